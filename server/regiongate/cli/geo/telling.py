"""What the commands on databases have in common: how a database is told of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from regiongate import durations
from regiongate.geo import Database, DatabaseError, Layout, Role
from regiongate.geo.gate import sample
from regiongate.geo.recognition import recognised, spelled
from regiongate.printable import printable

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def tell(lines: Iterable[str]) -> None:
    """Print lines, whatever files and services have said in them."""
    for line in lines:
        click.echo(printable(line))


def described(
    database: Database, role: Role, layout: Layout | None, now: datetime
) -> dict[str, Any]:
    """Return what a database is; takes a while.

    Args:
        database: which has passed the gate, or is read with care.
        role: what it is for.
        layout: where its records have that, if it is said.
        now: the current time.
    """
    found = recognised(sample(database), role, layout)
    return {
        "type": database.type,
        "built": database.built.isoformat(),
        "age_days": (now - database.built).days,
        "layout": {
            "given": sorted(map(spelled, layout.values())) if layout else None,
            "found": found,
        },
        "nodes": database.node_count,
        "record_size": database.record_size,
        "ip_version": 6 if database.knows_ipv6 else 4,
        "digest": database.digest,
    }


def described_with_care(
    path: Path, role: Role, layout: Layout | None, now: datetime
) -> dict[str, Any] | None:
    """Return the same of a file that was refused, and may hold anything; None if it is none.

    Args:
        path: of the file.
        role: as above, like the rest.
    """
    try:
        return described(Database.open(path, careful=True), role, layout, now)
    except DatabaseError:
        return None


def lines(told: Mapping[str, Any], exceeded: timedelta | None = None) -> Iterator[str]:
    """Write down what `described` returns.

    Args:
        told: that.
        exceeded: the age that a database may have, where this one is older.
    """
    days = told["age_days"]
    age = f"{days} day{'s' * (days != 1)} old"
    if exceeded is not None:
        age += f", more than geo.max_age, {durations.written(exceeded)}"
    layout, versions = told["layout"], "IPv4 and IPv6" if told["ip_version"] == 6 else "IPv4"  # noqa: PLR2004 the version
    yield f"  type       {told['type']}"
    yield f"  built      {told['built'][:16]}Z ({age})"
    yield f"  layout     {', '.join(layout['found']) or 'not recognised'}"
    if layout["given"] and layout["found"] != layout["given"]:
        yield f"             configured: {', '.join(layout['given'])}"
    yield f"  tree       {told['nodes']} nodes of two times {told['record_size']} bits, {versions}"
    yield f"  digest     {told['digest']}"
