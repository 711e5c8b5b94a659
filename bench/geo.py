"""Measures how long it takes to locate an address, against a bare lookup of maxminddb.

Builds a database like MaxMind's Country, with names in eight languages, asks for its networks in
random order and prints a table. From the root of the repository:

    python -m bench.geo [--networks 60000] [--distinct 1000000]
"""

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

import maxminddb
from rich.console import Console
from rich.table import Table

from regiongate.address import ClientAddress
from regiongate.geo import Database, Locator
from tests.databases import CONTINENTS, country, write

Item = TypeVar("Item")

ROUNDS = 40
ASKED = 3000


def build(path: Path, networks: int, chance: random.Random) -> list[IPv4Address]:
    """Write a database of networks of 256 to 4096 addresses; return the first address of each."""
    kinds = [country(code, registered=other) for code in CONTINENTS for other in CONTINENTS]
    firsts = [IPv4Address((1 << 24) + (number << 12)) for number in range(networks)]
    write(path, {f"{first}/{chance.randint(20, 24)}": chance.choice(kinds) for first in firsts})
    chance.shuffle(firsts)
    return firsts


def best_times(work: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Return the shortest time of each piece of work, taken in turns so that noise is shared."""
    best = dict.fromkeys(work, float("inf"))
    for _ in range(ROUNDS):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def through(function: Callable[[Item], object], items: Sequence[Item]) -> Callable[[], None]:
    """Return the work of calling a function for each item."""

    def run() -> None:
        for item in items:
            function(item)

    return run


def memory_growth(database: Database, distinct: int) -> tuple[float, float]:
    """Return the resident megabytes gained by the first tenth of distinct addresses, and by all."""
    locator, step = Locator([database]), 2**32 // distinct
    gained, start = [], resident()
    for part in (range(distinct // 10), range(distinct // 10, distinct)):
        for number in part:
            locator.locate(ClientAddress(IPv4Address(number * step), ""))
        gained.append(resident() - start)
    return gained[0], gained[1]


def resident() -> float:
    """Return the memory of this process in megabytes; of Linux only."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=60_000)
    parser.add_argument("--distinct", type=int, default=1_000_000)
    arguments = parser.parse_args()
    chance = random.Random(1)  # noqa: S311 - no secret: the same run each time
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "country.mmdb"
        firsts = build(path, arguments.networks, chance)[:ASKED]
        bare = maxminddb.open_database(path)
        database = Database.open(path)
    # Asked in the same order again, what was remembered has just been forgotten.
    forgetful, locator = Locator([database], remembered=ASKED // 2), Locator([database])
    clients = [ClientAddress(first, "") for first in firsts]
    others = [ClientAddress(first + 1, "") for first in firsts]
    times = best_times(
        {
            "bare lookup": through(bare.get, firsts),
            "located, not remembered": through(forgetful.locate, clients),
            "located, network remembered": through(locator.locate, others),
        }
    )
    table = Table("", "microseconds", "of a bare lookup")
    for name, seconds in times.items():
        share = seconds / times["bare lookup"]
        table.add_row(name, f"{seconds / len(firsts) * 1e6:.2f}", f"{share:.2f}")
    console = Console()
    console.print(table)
    tenth, every = memory_growth(database, arguments.distinct)
    console.print(
        f"{arguments.distinct:,} distinct addresses: {every:.0f} MB, "
        f"of which {tenth:.0f} MB for the first tenth"
    )


if __name__ == "__main__":
    main()
