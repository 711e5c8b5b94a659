"""A million keys in SQLite, served by a real process: memory, a flood, and a cold start.

`python -m pytest -m soak -s tests/integration/keys/test_million.py`; three minutes or so.
"""

from __future__ import annotations

import asyncio
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from grpc import aio

from bench.keys import write
from regiongate.extauthz.service import METHOD, SERVICE
from tests.integration import deployment
from tests.integration.deployment import FRANCE, question, read
from tests.integration.process import NO_PROXY, Process, serving

KEYS = 1_000_000
CACHE = 100_000
FLOOD = 100_000
BURST = 5_000
AT_ONCE = 100
IMPORT_SECONDS, MEGABYTES = 120, 200

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration whose store holds a million keys."""
    folder = tmp_path_factory.mktemp("million")
    lines = folder / "keys.jsonl"
    write(lines, KEYS)
    store = f"sqlite:///{folder}/keys.db"
    command = [sys.executable, "-m", "regiongate", "keys", "import", str(lines), "--store", store]
    started = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    took = time.monotonic() - started
    lines.unlink()
    print(f"\n{KEYS:,} keys imported in {took:.0f} s")
    assert took < IMPORT_SECONDS
    keys = {"extract": [{"header": "x-api-key"}], "store": store, "cache": {"size": CACHE}}
    return deployment.deploy(folder, keys=keys, limits={"calls": 10_000, "streams": 10_000})


@pytest.fixture
def process(config: Path) -> Iterator[Process]:
    """Serve it."""
    with serving(config) as one:
        yield one


def resident(process: Process) -> float:
    """Return the megabytes of a process that are in memory."""
    pages = int(Path(f"/proc/{process.child.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def ask(process: Process, keys: Iterable[str], at_once: int = AT_ONCE) -> int:
    """Ask a Check with each key, so many at once; return how many of them were unknown."""
    address = process.said().partition("serving on ")[2].split()[0]
    return asyncio.run(_ask(address, iter(keys), at_once))


async def _ask(address: str, keys: Iterator[str], at_once: int) -> int:
    async with aio.insecure_channel(address, options=NO_PROXY) as channel:
        check = channel.unary_unary(f"/{SERVICE}/{METHOD}", bytes, bytes)

        async def some() -> int:
            unknown = 0
            for key in keys:
                answer = read(await check(question(FRANCE, key), timeout=60))
                unknown += not answer["key_id"]
            return unknown

        return sum(await asyncio.gather(*(some() for _ in range(at_once))))


def names(many: int) -> list[str]:
    """Name keys of the million, by chance."""
    return [f"key-{number}" for number in random.Random(4).sample(range(KEYS), many)]


def test_memory_and_a_flood(process: Process) -> None:
    """Memory is bounded by the cache, and a flood of unknown keys pushes out no known one."""
    at_start = resident(process)
    known = names(CACHE)
    unknown = ask(process, known)
    assert unknown == 0
    full = resident(process)
    flooded = ask(process, (f"nobody-{number}" for number in range(FLOOD)))
    assert flooded == FLOOD
    after = resident(process)
    print(
        f"\nresident: {at_start:.0f} MB at the start, {full:.0f} MB with {CACHE:,} keys"
        f" remembered, {after:.0f} MB after a flood of {FLOOD:,} unknown ones"
    )
    assert after < MEGABYTES


def test_a_cold_start(process: Process) -> None:
    """Thousands of keys that nobody has used yet, at once: each of them is known."""
    started = time.monotonic()
    unknown = ask(process, names(BURST), BURST)
    took = time.monotonic() - started
    print(f"\n{BURST:,} cold keys at once: {unknown} unknown, all answered in {took:.2f} s")
    assert unknown == 0


def test_the_time_to_be_ready(config: Path) -> None:
    """A start does not depend on how many keys there are."""
    started = time.monotonic()
    with serving(config) as process:
        took = time.monotonic() - started
        assert process.ask(question(FRANCE, "key-1"))["key_id"] == "key-1"
    print(f"\nready {took:.2f} s after the start")
