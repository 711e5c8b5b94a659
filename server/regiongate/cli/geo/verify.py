"""`regiongate geo verify`: would a file be put into use?"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, get_args

import click
import orjson

from regiongate.cli import options
from regiongate.cli.geo import telling
from regiongate.countries import countries
from regiongate.geo import Database, DatabaseError, Gate, Layout, Role
from regiongate.runtime import config as configuration
from regiongate.runtime.config import Geo
from regiongate.runtime.databases import Place, places


def _probe(text: str) -> tuple[IPv4Address | IPv6Address, str]:
    address, equals, country = text.partition("=")
    try:
        if equals and country in {"", *countries()}:
            return ip_address(address), country
    except ValueError:
        pass
    raise click.BadParameter(f"expected ADDRESS=COUNTRY such as 8.8.8.8=US (got {text!r})")


@click.command()
@click.argument("file", type=telling.FILE)
@click.option(
    "--role",
    type=click.Choice(get_args(Role)),
    default="country",
    show_default=True,
    help="What it is to be used for.",
)
@click.option(
    "--probe",
    "probes",
    type=_probe,
    metavar="IP=CC",
    multiple=True,
    help="An address and the country it must be in, or none; may be given again.",
)
@click.option(
    "--layout",
    "way",
    metavar="WAY",
    help="Where its records have what it is for, for instance geo.code.",
)
@click.option("--in-use", type=telling.FILE, help="The file it is to replace.")
@click.option(
    "-c",
    "--config",
    type=telling.FILE,
    help="A configuration whose probes count as well, and whose database of this name or alone for"
    " this role it is to replace.",
)
@options.as_json
def verify(  # noqa: PLR0913 an option each
    *,
    file: Path,
    role: Role,
    probes: Sequence[tuple[IPv4Address | IPv6Address, str]],
    way: str | None,
    in_use: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Judge FILE as the service would before it is put into use; exit 1 if it would be refused."""
    written = configuration.read(config).geo if config else None
    replaced = _replaced(file, role, places(written, config.parent)) if written and config else None
    layout: Layout | None = {role: tuple(way.split("."))} if way else None
    if layout is None and replaced is not None:
        layout = replaced.layout
    gate = Gate(role, _probes(probes, role, written), layout, _accepted(written))
    told, problem, objections = _judged(
        file, gate, in_use or (replaced.path if replaced else None), datetime.now(UTC)
    )
    if as_json:
        answer = {"file": str(file), "role": role, "fit": not problem, "problem": problem or None}
        answer |= {"objections": objections, "database": told}
        click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2))
    else:
        about = telling.lines(told) if told else ()
        judgement = problem or f"{file}: would be put into use"
        telling.tell((f"{role} database {file}", *about, judgement))
    sys.exit(bool(problem))


def _replaced(file: Path, role: Role, configured: Sequence[Place]) -> Place | None:
    """Return the place that a file is for: that of its name, or the only one of its role."""
    fitting = [place for place in configured if place.role == role]
    named = [place for place in fitting if place.path.name == file.name]
    return (named or fitting)[0] if len(named or fitting) == 1 else None


def _probes(
    given: Sequence[tuple[IPv4Address | IPv6Address, str]], role: Role, written: Geo | None
) -> Mapping[IPv4Address | IPv6Address, str]:
    # Of several databases of countries, one need not know every probe.
    alone = written is not None and role == "country" and len(written.files(role)) == 1
    configured = written.probes.items() if written and alone else ()
    return {**{ip_address(text): country for text, country in configured}, **dict(given)}


def _accepted(written: Geo | None) -> frozenset[str]:
    return frozenset(written.accept) if written else frozenset()


def _judged(
    file: Path, gate: Gate, replaced: Path | None, now: datetime
) -> tuple[dict[str, Any] | None, str, Sequence[str]]:
    """Return what the file is, if it can be told, why it is refused, and that in words."""
    try:
        in_use = Database.open(replaced, careful=True) if replaced else None
        candidate = Database.open(file)
    except DatabaseError as error:
        return None, str(error), error.objections
    try:
        gate.check(candidate, now=now, in_use=in_use)
    except DatabaseError as error:
        told = telling.described_with_care(file, gate.role, gate.layout, now)
        return told, str(error), error.objections
    return telling.described(candidate, gate.role, gate.layout, now), "", ()
