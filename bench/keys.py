"""A million keys in SQLite: the time to import them, a cold start, a flood, and the memory.

`python -m bench.keys [KEYS]`; a million when left out. The same with a real server, and with limits
that are held: `python -m pytest -m soak -s tests/integration/keys/test_million.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from regiongate.keys.cache import CachedStore, Limits
from regiongate.keys.stores import opening

FLOOD = 100_000
"""Different unknown keys."""
BURST = 5_000
"""Different keys that nobody has used yet, at once."""
CACHE = Limits().size
CONSOLE = Console(highlight=False, soft_wrap=True)


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.keys", description=__doc__)
    parser.add_argument("keys", nargs="?", metavar="KEYS", type=int, default=1_000_000)
    keys = parser.parse_args().keys
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/keys.db"
        lines = Path(folder) / "keys.jsonl"
        write(lines, keys)
        started = time.perf_counter()
        command = [sys.executable, "-m", "regiongate", "keys", "import", str(lines)]
        subprocess.run([*command, "--store", url], check=True)  # noqa: S603 ourselves
        size = (Path(folder) / "keys.db").stat().st_size
        took = time.perf_counter() - started
        CONSOLE.print(f"import of {keys:,} keys: {took:.1f} s, {size / 1e6:.0f} MB on disk")
        serve = [sys.executable, "-c", "from bench.keys import serve; serve()", url, str(keys)]
        subprocess.run(serve, check=True)  # noqa: S603 ourselves, for the memory of its own


def write(path: Path, keys: int) -> None:
    """Write keys of a thousand organisations, a JSON object a line, as `keys import` reads it."""
    with path.open("w") as file:
        for number in range(1000):
            org = {"organisation": f"org-{number}", "plan": "team", "allowed_countries": ["FR"]}
            file.write(json.dumps(org) + "\n")
        for number in range(keys):
            key = {
                "id": f"key-{number}",
                "digest": f"sha256:{_digest(number).hex()}",
                "org": f"org-{number % 1000}",
                "display": f"rg_{number % 10000:04}…{number % 10000:04}",
                "created": "2026-01-01T00:00:00Z",
            }
            file.write(json.dumps(key) + "\n")


def _digest(number: int) -> bytes:
    return hashlib.sha256(f"key-{number}".encode()).digest()


def serve() -> None:
    """Look up more keys than are remembered, and then a flood of unknown ones."""
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))


async def _serve(url: str, keys: int) -> None:
    CONSOLE.print(f"resident at the start: {_resident():.0f} MB")
    store = CachedStore(url, opening.source(url, Path("/")), Limits())
    following = asyncio.create_task(store.run())
    while not store.version:  # noqa: ASYNC110 the store tells nobody
        await asyncio.sleep(0.01)
    await _burst(store, keys)
    await _look_up_all(store, keys)
    await _flood(store, keys)
    following.cancel()
    await asyncio.wait([following])


async def _burst(store: CachedStore, keys: int) -> None:
    numbers = random.Random(1).sample(range(keys), min(keys, BURST))  # noqa: S311 not a secret
    waits, unknown = [], 0

    async def look_up(number: int) -> None:
        nonlocal unknown
        started = time.perf_counter()
        unknown += await store.find(_digest(number)) is None
        waits.append(time.perf_counter() - started)

    await asyncio.gather(*map(look_up, numbers))
    CONSOLE.print(
        f"{len(numbers):,} cold keys at once: {unknown} unknown, median wait"
        f" {statistics.median(waits) * 1e3:.0f} ms, the longest {max(waits) * 1e3:.0f} ms"
    )


async def _look_up_all(store: CachedStore, keys: int) -> None:
    chance = random.Random(0)  # noqa: S311 not a secret
    started, wanted = time.perf_counter(), min(keys, 3 * CACHE)
    for _ in range(0, wanted, 50):
        numbers = chance.sample(range(keys), 50)
        await asyncio.gather(*(store.find(_digest(number)) for number in numbers))
    took = (time.perf_counter() - started) / wanted
    CONSOLE.print(
        f"{wanted:,} look-ups, {took * 1e6:.0f} us each; {len(store):,} remembered;", end=" "
    )
    CONSOLE.print(f"resident {_resident():.0f} MB; {store.counts}")
    known, calls = _digest(numbers[-1]), 100_000
    started = time.perf_counter()
    for _ in range(calls):
        await store.find(known)
    CONSOLE.print(
        f"a key that is remembered: {(time.perf_counter() - started) / calls * 1e6:.2f} us"
    )


async def _flood(store: CachedStore, keys: int) -> None:
    known = [_digest(number) for number in range(min(keys, 100))]
    await asyncio.gather(*map(store.find, known))
    remembered = len(store)
    before, waits = store.counts.lookups, []
    done = asyncio.Event()

    async def legitimate() -> None:
        while not done.is_set():
            started = time.perf_counter()
            assert await store.find(random.choice(known)) is not None  # noqa: S311 not a secret
            waits.append(time.perf_counter() - started)
            await asyncio.sleep(0.001)

    beside = asyncio.create_task(legitimate())
    started = time.perf_counter()
    for start in range(0, FLOOD, 100):
        numbers = range(keys + start, keys + start + 100)
        await asyncio.gather(*(store.find(_digest(number)) for number in numbers))
    took = time.perf_counter() - started
    done.set()
    await beside
    waits.sort()
    CONSOLE.print(
        f"a flood of {FLOOD:,} unknown keys: {took:.1f} s, {store.counts.lookups - before:,}",
        end="",
    )
    CONSOLE.print(
        f" look-ups, {remembered - len(store)} known keys pushed out; a known key meanwhile:",
        end="",
    )
    CONSOLE.print(
        f" median {statistics.median(waits) * 1e6:.1f} us, the slowest {waits[-1] * 1e6:.0f} us;",
        end="",
    )
    CONSOLE.print(f" resident {_resident():.0f} MB")


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    main()
