"""Measures how long it takes to locate an address, against a bare lookup of maxminddb.

Builds a database like MaxMind's Country, with names in eight languages, asks for its networks in
random order and prints a table. Then asks for a million addresses, each only once, and ends with 1
when memory grows past its bound. From the root of the repository:

    python -m bench.geo [--networks 60000] [--distinct 1000000]
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TypeVar

import maxminddb
from rich.console import Console
from rich.table import Table

from regiongate.address import ClientAddress
from regiongate.geo import Database, Locator
from regiongate.geo.locate import RECENT
from tests.databases import CONTINENTS, country, write

Item = TypeVar("Item")

_GLOBAL = 0x2A00 << 112
"""2a00::/16, where every address of IPv6 that is asked for is."""

ROUNDS = 40
ASKED = 3 * RECENT
"""Addresses asked for in the same order again, so that none of them is a recent one."""
BOUND = 32.0
"""Megabytes that a locator may come to hold: 65,536 answers for each of IPv4 and IPv6."""


def build(path: Path, networks: int, chance: random.Random) -> list[IPv4Address]:
    """Write a database of networks of 256 to 4096 addresses, and as many of IPv6.

    Return the first address of each of IPv4.
    """
    kinds = [country(code, registered=other) for code in CONTINENTS for other in CONTINENTS]
    firsts = [IPv4Address((1 << 24) + (number << 12)) for number in range(networks)]
    records: dict[str, object] = {
        f"{first}/{chance.randint(20, 24)}": chance.choice(kinds) for first in firsts
    }
    for number in range(networks):
        first = IPv6Address(_GLOBAL | number << 92)
        records[f"{first}/{chance.randint(36, 48)}"] = chance.choice(kinds)
    write(path, records)
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


@dataclass(frozen=True)
class Growth:
    """Megabytes that this process held, of all kinds and of its own.

    What is its own leaves out the database, whose pages come in as they are read.

    Attributes:
        before: at the start.
        tenth: after a tenth of the addresses.
        after: at the end.
    """

    before: tuple[float, float]
    tenth: tuple[float, float]
    after: tuple[float, float]

    @property
    def own(self) -> float:
        """By how much its own memory grew."""
        return self.after[1] - self.before[1]


def memory_growth(database: Database, distinct: int) -> Growth:
    """Locate distinct addresses, as many of IPv4 as of IPv6, and watch the memory."""
    locator, held = Locator([database]), [resident()]
    for part in (range(distinct // 20), range(distinct // 20, distinct // 2)):
        for number in part:
            # Odd numbers: each product is another one.
            ipv4, ipv6 = number * 0x9E3779B1 % 2**28, number * 0x9E3779B97F4A7C15 % 2**56
            locator.locate(ClientAddress(IPv4Address((1 << 24) + ipv4), ""))
            locator.locate(ClientAddress(IPv6Address(_GLOBAL | ipv6 << 52), ""))
        held.append(resident())
    return Growth(*held)


def resident() -> tuple[float, float]:
    """Return the memory of this process in megabytes, and that of it alone; of Linux only."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = dict(line.split(":", 1) for line in lines)
    every, own = (int(found[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon"))
    return every, own


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.geo", description=__doc__)
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
    lately, few = Locator([database]), clients[: RECENT // 2]
    times = best_times(
        {
            "bare lookup": through(bare.get, firsts),
            "located, not remembered": through(forgetful.locate, clients),
            "located, network remembered": through(locator.locate, others),
            "located, asked for lately": through(lately.locate, few * (ASKED // len(few))),
        }
    )
    table = Table("", "microseconds", "of a bare lookup")
    for name, seconds in times.items():
        share = seconds / times["bare lookup"]
        table.add_row(name, f"{seconds / len(firsts) * 1e6:.2f}", f"{share:.2f}")
    console = Console()
    console.print(table)
    growth = memory_growth(database, arguments.distinct)
    held = Table(f"{arguments.distinct:,} distinct addresses", "resident MB", "of its own")
    for moment in ("before", "tenth", "after"):
        held.add_row(moment, *(f"{size:.0f}" for size in getattr(growth, moment)))
    console.print(held)
    console.print(f"its own grew by {growth.own:.0f} MB, of at most {BOUND:.0f}")
    if growth.own > BOUND:
        sys.exit(1)


if __name__ == "__main__":
    main()
