"""From exec to ready: what a start takes, and what a worker weighs then.

`python -m bench.start [--keys 1000000] [--rounds 5]`: the demonstration's database of 10 MB, a
million keys in SQLite, decision log and metrics on, one worker and two. The first start rehearses
the database; later ones remember that. Python has its bytecode, as where RegionGate is installed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import yaml
from rich.console import Console
from rich.table import Table

from bench.keys import write
from demo.database import obtain
from demo.stack import HERE, NO_PROXY, SERVICE

CONSOLE = Console(highlight=False, width=110)
DATABASES = Path(__file__).parent.parent / ".demo"


@dataclass(frozen=True, slots=True)
class Start:
    """One start.

    Attributes:
        serving: seconds until it said that it serves.
        answered: until every worker had answered a Check.
        resident: bytes that each worker had resident then.
    """

    serving: float
    answered: float
    resident: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where starts happen.

    Attributes:
        folder: for files that are read, and that caches are in.
    """

    folder: Path

    def environment(self) -> Mapping[str, str]:
        """Return the environment of a process, with bytecode and caches of its own."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in {"PYTHONDONTWRITEBYTECODE", "CACHE_DIRECTORY"}
        }
        bytecode, caches = self.folder / "bytecode", self.folder / "caches"
        return {**kept, "PYTHONPYCACHEPREFIX": str(bytecode), "XDG_CACHE_HOME": str(caches)}

    def python(self, *arguments: str) -> float:
        """Run Python to its end, and return the seconds it took."""
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], env=self.environment(), check=True)  # noqa: S603 ourselves
        return time.perf_counter() - started

    def forget(self) -> None:
        """Forget every rehearsal."""
        shutil.rmtree(self.folder / "caches", ignore_errors=True)

    def start(self, workers: int) -> Start:
        """Start RegionGate, ask each worker a Check, and end it."""
        command = [sys.executable, "-m", "regiongate", "serve", "--log", "text", "-c"]
        config = str(self.folder / f"{workers}.yaml")
        started = time.perf_counter()
        with self._running([*command, config]) as child:
            said = _until_serving(child)
            serving = time.perf_counter() - started
            for address in said.partition("serving on ")[2].partition(" (")[0].split(", "):
                _ask(address)
            return Start(serving, time.perf_counter() - started, tuple(_weights(child.pid)))

    @contextmanager
    def _running(self, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        child = subprocess.Popen(command, stderr=subprocess.PIPE, env=self.environment())  # noqa: S603 ourselves
        try:
            yield child
        finally:
            child.terminate()
            child.communicate()


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.start", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    database = obtain(DATABASES)
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        _configure(place, database, options.keys)
        CONSOLE.print(_starts(place, options.rounds, options.keys))
        CONSOLE.print("What a worker imports, in this order; each by what it adds:")
        place.python("-m", "bench.imports")


def _configure(place: Place, database: Path, keys: int) -> None:
    shutil.copy(database, place.folder / "country.mmdb")
    lines, url = place.folder / "keys.jsonl", f"sqlite:///{place.folder}/keys.db"
    write(lines, keys)
    place.python("-m", "regiongate", "keys", "import", str(lines), "--store", url)
    settings: dict[str, Any] = yaml.safe_load((HERE / "regiongate.yaml").read_text())
    settings["geo"]["country"] = "country.mmdb"
    settings["keys"]["store"] = url
    settings["policy"] = str(HERE / "policy.yaml")
    settings["decision_log"] = {"path": "decisions.jsonl"}
    settings["shutdown"] = {"notice": "1ms", "grace": "5s"}
    for workers in (1, 2):
        settings["listen"] = {"grpc": workers * ["127.0.0.1:0"], "admin": "127.0.0.1:0"}
        (place.folder / f"{workers}.yaml").write_text(yaml.safe_dump(settings))


def _starts(place: Place, rounds: int, keys: int) -> Table:
    """Start in turns with the floors, so that a machine whose speed drifts treats them alike."""
    floors: dict[str, Callable[[], float]] = {
        "python -c pass": lambda: place.python("-c", "pass"),
        "python -c 'import grpc.aio'": lambda: place.python("-c", "import grpc.aio"),
        "... all that a worker imports": lambda: place.python(
            "-c", "import regiongate.runtime.worker"
        ),
    }
    took: dict[str, list[float]] = {name: [] for name in floors}
    starts: dict[str, list[Start]] = {}
    place.start(2)  # which compiles everything
    for _ in range(rounds):
        for name, run in floors.items():
            took[name].append(run())
        for workers in (1, 2):
            place.forget()
            for what in ("first start", "later start"):
                one = starts.setdefault(f"{what}, {workers} worker{'s'[: workers - 1]}", [])
                one.append(place.start(workers))
    table = Table(title=f"exec to ready, {keys:,} keys, median of {rounds} (least to most)")
    for column in ("", "serving, ms", "first Check, ms", "times importing", "MB each worker"):
        table.add_column(column, justify="right" if column else "left")
    for name, seconds in took.items():
        table.add_row(name, _milliseconds(seconds), "", "", "")
    imports = statistics.median(took["... all that a worker imports"])
    for name, found in starts.items():
        serving = [one.serving for one in found]
        weights = [weight / 1e6 for one in found for weight in one.resident]
        table.add_row(
            name,
            _milliseconds(serving),
            _milliseconds([one.answered for one in found]),
            f"{statistics.median(serving) / imports:.1f}",
            f"{statistics.median(weights):.0f} (at most {max(weights):.0f})",
        )
    return table


def _milliseconds(seconds: list[float]) -> str:
    low, middle, high = (1000 * f(seconds) for f in (min, statistics.median, max))
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def _until_serving(child: subprocess.Popen[bytes]) -> str:
    assert child.stderr is not None
    lines: list[str] = []
    for line in child.stderr:
        lines.append(line.decode())
        if "serving on" in lines[-1]:
            return lines[-1]
    sys.exit("".join(lines))


def _ask(address: str) -> None:
    with grpc.insecure_channel(address, options=NO_PROXY) as channel:
        channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)(b"", timeout=10)


def _weights(pid: int) -> Iterator[int]:
    """Yield what each worker has in memory: the children, or the process that has none."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for worker in children or [str(pid)]:
        pages = int(Path(f"/proc/{worker}/statm").read_text().split()[1])
        yield pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
