"""`regiongate geo lookup`: what the databases have for an address, and what is made of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, TypeAlias

import click
from rich.console import Console
from rich.table import Table

from regiongate.address import ClientAddress
from regiongate.cli import options
from regiongate.cli.geo import telling
from regiongate.extauthz.judging import Locator
from regiongate.facts import Located
from regiongate.geo import Database
from regiongate.geo.finding import Finding, carries, find
from regiongate.printable import printable
from regiongate.runtime import config as configuration
from regiongate.runtime.databases import Place, aging, places, together
from regiongate.telemetry.record import source as source_record

Opened: TypeAlias = Sequence[tuple[Place, Database]]
"""Databases in their places."""

_WIDEST = 1000
"""Characters in a line."""
_FLAGS = ("anonymous", "vpn", "tor", "hosting", "proxy")


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:
        raise click.BadParameter(f"expected an IP address (got {text!r})") from None


@click.command()
@click.argument("addresses", type=_address, metavar="IP...", nargs=-1, required=True)
@click.option(
    "--database",
    "files",
    type=telling.FILE,
    multiple=True,
    help="A database to ask instead of those that are configured; may be given again.",
)
@options.configuration
@options.as_json
def lookup(
    addresses: Sequence[IPv4Address | IPv6Address],
    files: Sequence[Path],
    config: Path,
    *,
    as_json: bool,
) -> None:
    """Look addresses up, and show what RegionGate makes of what the databases have.

    The files are read as they are now, which the service may not have taken over: see geo show.
    With --json, also each record as it is stored. Exit 1 when a record cannot be read.
    """
    opened, locator = _given(files) if files else _configured(config)
    answers = [_answer(address, opened, locator) for address in addresses]
    if as_json:
        click.echo(json.dumps([_as_json(*answer) for answer in answers], indent=2))
    else:
        _print(answers)
    problems = [one.problem for _, _, findings in answers for _, _, one in findings if one.problem]
    for problem in problems:
        click.echo(printable(problem), err=True)
    sys.exit(bool(problems))


def _given(files: Sequence[Path]) -> tuple[Opened, Locator]:
    # Among those of countries a database is heard on everything it knows.
    opened = [
        (Place("country", str(path), path, None), Database.open(path, careful=True))
        for path in files
    ]
    return opened, together(opened)


def _configured(config: Path) -> tuple[Opened, Locator]:
    written = configuration.read(config).geo
    opened = [
        (place, Database.open(place.path, careful=True)) for place in places(written, config.parent)
    ]
    return opened, aging(together(opened), written)


_Answer: TypeAlias = tuple[
    IPv4Address | IPv6Address, Located, Sequence[tuple[Place, Database, Finding]]
]


def _answer(address: IPv4Address | IPv6Address, opened: Opened, locator: Locator) -> _Answer:
    findings = [(place, database, find(database, address)) for place, database in opened]
    return address, locator.locate(ClientAddress(address, "")), findings


# ------------------------------------------------------------------------------- the output


def _print(answers: Sequence[_Answer]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("address", "status", "country", "regions", "AS", "flags", "network", "file"):
        table.add_column(heading)
    for address, located, findings in answers:
        source, carried = located.source, carries(address)
        row = (
            f"{address}" + (f" ({carried[0]} of {carried[1]})" if carried else ""),
            source.status,
            source.country,
            " ".join(source.regions),
            f"{source.asn} {source.as_org}".strip() if source.asn else "",
            " ".join(flag for flag in _FLAGS if getattr(source, flag)),
            source.network,
            ", ".join(place.name for place, _, one in findings if one.record is not None),
        )
        table.add_row(*map(printable, row))
    # As wide as it has to be: an address that is cut is of no use.
    Console(highlight=False, markup=False, soft_wrap=True, width=_WIDEST).print(table)


def _as_json(
    address: IPv4Address | IPv6Address,
    located: Located,
    findings: Sequence[tuple[Place, Database, Finding]],
) -> dict[str, Any]:
    carried = carries(address)
    return {
        "address": str(address),
        "status": located.source.status,
        "carries": {"kind": carried[0], "address": str(carried[1])} if carried else None,
        "source": source_record(located),
        "databases": [
            {
                "role": place.role,
                "file": place.name,
                "type": database.type,
                "built": database.built.isoformat(),
                "network": str(found.network) if found.network else None,
                "record": _plain(found.record),
                "problem": found.problem or None,
            }
            for place, database, found in findings
        ],
    }


def _plain(value: Any) -> Any:
    """Return a record as JSON can have it: bytes as hexadecimal, odd numbers as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, float) and (value != value or value in {float("inf"), -float("inf")}):  # noqa: PLR0124 only NaN differs from itself
        return str(value)
    return value
