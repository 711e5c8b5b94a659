"""`regiongate geo show`: the databases that are configured, and those that are in use."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from regiongate.cli import options
from regiongate.cli.geo import telling
from regiongate.geo import Database, DatabaseError
from regiongate.geo.gate import unanswered
from regiongate.runtime import config as configuration
from regiongate.runtime.config import Geo, Settings
from regiongate.runtime.databases import Place, gate_of, places, probes_of, together
from regiongate.runtime.inquiry import InquiryError, ask


@dataclass(frozen=True, slots=True)
class Reported:
    """What a worker says of a database that it uses."""

    worker: int
    digest: str
    built: datetime
    node_count: int
    refused: str

    @classmethod
    def read(cls, worker: int, told: Mapping[str, Any]) -> Reported:
        """Read a database of /info.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        built = datetime.fromisoformat(told["built"])
        return cls(worker, told["digest"], built, int(told["nodes"]), told["refused"])


@dataclass(frozen=True, slots=True)
class Shown:
    """A configured database.

    Attributes:
        told: what the file is, as `telling.described`; None if it is no database.
        problem: why the service would refuse the file now; empty if it would not.
        used: what each worker says of it.
    """

    place: Place
    told: Mapping[str, Any] | None
    problem: str
    used: Sequence[Reported]


@dataclass(frozen=True, slots=True)
class Service:
    """A running service.

    Attributes:
        address: its admin address, if it is configured.
        told: whether it answers there.
        problems: what it has on /readyz.
    """

    address: str | None
    told: str
    problems: Sequence[str] = ()


@click.command()
@options.configuration
@options.as_json
def show(config: Path, *, as_json: bool) -> None:
    """Show each database: what the file is, and what a running service makes of it.

    Exit 1 when the service would refuse one of the files.
    """
    settings = configuration.read(config)
    service, reported = _service(settings)
    opened: list[tuple[Place, Database]] = []
    shown = [
        _shown(place, settings.geo, reported.get((place.role, place.name), ()), opened)
        for place in places(settings.geo, config.parent)
    ]
    unmet = _unmet(opened, settings.geo) if len(opened) == len(shown) else []
    if as_json:
        answer = {"service": service, "probes": unmet, "databases": list(map(_as_json, shown))}
        click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2))
    else:
        telling.tell(_lines(shown, settings.geo, service, unmet))
    sys.exit(bool(unmet) or any(one.problem for one in shown))


def _service(settings: Settings) -> tuple[Service, Mapping[tuple[str, str], Sequence[Reported]]]:
    """Return what there is to say of the service, and what its workers use in each place."""
    admin = settings.listen.admin
    if admin is None:
        return Service(None, "not asked: listen.admin is not configured"), {}
    found: dict[tuple[str, str], list[Reported]] = {}
    try:
        for worker in ask(admin, "/info")["workers"]:
            for told in worker["databases"]:
                place = found.setdefault((told["role"], told["file"]), [])
                place.append(Reported.read(worker["worker"], told))
        problems = tuple(map(str, ask(admin, "/readyz")["problems"]))
        return Service(admin, f"{admin}: answers", problems), found
    except InquiryError as error:
        return Service(admin, str(error)), {}
    except (AttributeError, KeyError, TypeError, ValueError):
        return Service(admin, f"{admin}: answers, but not as RegionGate does"), {}


def _shown(
    place: Place, written: Geo, used: Sequence[Reported], opened: list[tuple[Place, Database]]
) -> Shown:
    now = datetime.now(UTC)
    try:
        candidate = Database.open(place.path)
        gate_of(place, written).check(candidate, now=now, in_use=used[0] if used else None)
    except DatabaseError as error:
        told = telling.described_with_care(place.path, place.role, place.layout, now)
        return Shown(place, told, str(error), used)
    opened.append((place, candidate))
    return Shown(place, telling.described(candidate, place.role, place.layout, now), "", used)


def _unmet(opened: Sequence[tuple[Place, Database]], written: Geo) -> list[str]:
    """Return what is wrong with the answers to the probes."""
    return unanswered(together(opened), probes_of(written))


# ------------------------------------------------------------------------------- the output


def _as_json(one: Shown) -> dict[str, Any]:
    return {
        "role": one.place.role,
        "file": one.place.name,
        "database": one.told,
        "problem": one.problem or None,
        "workers": [
            {
                "worker": used.worker,
                "digest": used.digest,
                "built": used.built.isoformat(),
                "nodes": used.node_count,
                "refused": used.refused or None,
            }
            for used in one.used
        ],
    }


def _lines(
    shown: Sequence[Shown], written: Geo, service: Service, unmet: Sequence[str]
) -> Iterator[str]:
    for one in shown:
        yield str(one.place)
        if one.told is not None:
            built, now = datetime.fromisoformat(one.told["built"]), datetime.now(UTC)
            stale = one.place.role == "country" and written.is_stale(built, now)
            yield from telling.lines(one.told, written.max_age if stale else None)
        yield f"  gate       {one.problem or 'passes'}"
        yield from dict.fromkeys(_used(used, one.told) for used in one.used)
        yield ""
    if written.probes:
        yield f"probes       {'; '.join(unmet) or 'as they should be, of these files together'}"
    yield f"service      {service.told}"
    yield from (f"  {problem}" for problem in service.problems)


def _used(used: Reported, told: Mapping[str, Any] | None) -> str:
    """Say what a worker uses; workers that use the same say the same."""
    if told is not None and used.digest == told["digest"]:
        return "  in use     this file"
    why = f", because of this file: {used.refused}" if used.refused else ""
    return (
        f"  in use     another, built {used.built:%Y-%m-%dT%H:%MZ}, of {used.node_count} nodes{why}"
    )
