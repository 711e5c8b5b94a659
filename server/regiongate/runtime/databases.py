"""The databases in force: each taken over on its own, and all of them answering together.

A file that cannot be used leaves the database in use as it is, and holds up no other. One that can
be has answered the probes, in its place among the others, before the one it replaces goes; that
goes when the last Check that began with it has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, get_args

from regiongate import documents
from regiongate.address import Address
from regiongate.extauthz.judging import Locator as LocatorPort
from regiongate.geo import Database, DatabaseError, Gate, Layout, Locator, Role, read
from regiongate.geo.database import Objection
from regiongate.geo.gate import sample, unanswered
from regiongate.geo.staleness import UnknownWhenStale
from regiongate.runtime.config import Geo
from regiongate.runtime.files import Files, Part
from regiongate.runtime.named import Named, UnreadableError

ROLES: Final[tuple[Role, ...]] = get_args(Role)

_LOG: Final = logging.getLogger(__name__)

Load = Callable[[Files, Database | None], Database]

Make = Callable[[str, Load, Database | None], Part[Database] | None]
"""Makes a part, given its name, what loads it and what it replaces; None if that cannot be done."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is configured.

    Attributes:
        role: what it is for.
        name: its path as it is written.
        path: its path.
        layout: where its records have what it is for, if that is said.
        key: of the configuration, that names it.
    """

    role: Role
    name: str
    path: Path
    layout: Layout | None
    key: documents.Path = ()

    def __str__(self) -> str:
        return f"{self.role} database {self.name}"


@dataclass(frozen=True, slots=True)
class InUse:
    """A database in use, and what became of its file since."""

    place: Place
    part: Part[Database]

    @property
    def database(self) -> Database:
        """What is answered from."""
        return self.part.value

    @property
    def objections(self) -> tuple[Objection, ...]:
        """What is held against the file that is there now; nothing if it is the one in use."""
        match self.part.error:
            case None:
                return ()
            case UnreadableError():
                return ("unreadable",)
            case DatabaseError() as error:
                return error.objections
        return ("changing",)

    def told(self) -> dict[str, Any]:
        """Return what may be told of it."""
        database = self.database
        return {
            "role": self.place.role,
            "file": self.place.name,
            "type": database.type,
            "built": database.built.isoformat(),
            "digest": database.digest,
            "nodes": database.node_count,
            "reader": database.reader,
            "objections": self.objections,
            "refused": self.part.problem,
        }


class Databases:
    """Every database that is configured.

    Args:
        written: the configuration.
        config: the path of regiongate.yaml.
        before: what was in force so far; new files are held against it.
        make: makes a part of each.

    Attributes:
        in_use: one for each place, by role and by how far they are trusted.
        problems: why they cannot answer together; empty if they can, or if one is missing.
    """

    def __init__(self, written: Geo, config: Path, before: Databases | None, make: Make) -> None:
        self._written = written
        self._config = config
        earlier = {one.place.path: one.database for one in before.in_use} if before else {}
        configured = places(written, config.parent)
        self.in_use: tuple[InUse, ...] = ()
        self._whole = False
        made = [
            (place, make(str(place), partial(self._load, place), earlier.get(place.path)))
            for place in configured
        ]
        self.in_use = tuple(InUse(place, part) for place, part in made if part is not None)
        self._whole = len(self.in_use) == len(configured)
        self.problems = self._unanswered() if self._whole else []
        self._answering: dict[tuple[Database, ...], Locator] = {}
        self._undecodable = before.undecodable if before else 0

    @property
    def parts(self) -> tuple[Part[Database], ...]:
        """Everything that is renewed on its own."""
        return tuple(one.part for one in self.in_use)

    @property
    def country(self) -> tuple[Database, ...]:
        """The databases that countries come from, the most trusted first."""
        return tuple(one.database for one in self.in_use if one.place.role == "country")

    @property
    def type(self) -> str:
        """What the databases of countries call themselves; with their dates if there are more."""
        if len(self.country) == 1:
            return self.country[0].type
        return ", ".join(f"{one.type} of {one.built:%Y-%m-%d}" for one in self.country)

    @property
    def built(self) -> datetime:
        """When the oldest of the databases of countries was built."""
        return min(one.built for one in self.country)

    @property
    def know_subdivisions(self) -> bool:
        """Whether any of a sample of records tells more than a country; takes a while."""
        return any(
            read(record, one.place.layout).regions
            for one in self.in_use
            if one.place.role == "country"
            for record in sample(one.database)
        )

    @property
    def stale(self) -> bool:
        """Whether the oldest of the databases of countries is older than is allowed."""
        return self._written.is_stale(self.built, datetime.now(UTC))

    @property
    def undecodable(self) -> int:
        """How many look-ups have met a record that cannot be decoded, in these and earlier ones."""
        return self._undecodable + sum(one.undecodable for one in self._answering.values())

    def locator(self) -> LocatorPort:
        """Return what locates clients now, with what staleness makes of it."""
        now = tuple(one.database for one in self.in_use)
        if now not in self._answering:
            self._undecodable = self.undecodable
            self._answering = {now: self._together()}
        return aging(self._answering[now], self._written)

    def _load(self, place: Place, files: Files, last: Database | None) -> Database:
        written, now = self._written, datetime.now(UTC)
        files.path(place.path)
        path = Named(self._config, place.key, place.name).expect()
        candidate = Database.open(path, require_c_extension=written.require_c_extension)
        gate = gate_of(place, written)
        # Until every database is there, they cannot answer together.
        if self._whole:
            answering = partial(self._together, place)
            gate = replace(gate, probes=probes_of(written), together=answering)
        gate.check(candidate, now=now, in_use=last)
        _warn_of(candidate, place, written, now)
        return last if last and last.digest == candidate.digest else candidate

    def _together(self, at: Place | None = None, candidate: Database | None = None) -> Locator:
        """Return what answers from all databases, or with another in one place."""
        return together(
            (one.place, candidate if candidate and one.place == at else one.database)
            for one in self.in_use
        )

    def _unanswered(self) -> list[str]:
        names = ", ".join(str(database.path) for database in self.country)
        return [f"{names}: {one}" for one in unanswered(self._together(), probes_of(self._written))]


def places(written: Geo, base: Path) -> list[Place]:
    """Name the places of a configuration, by role and by how far they are trusted.

    Args:
        written: the configuration.
        base: the folder that paths are relative to.
    """
    return [
        Place(role, file.path, base / file.path, file.layout_for(role), key)
        for role in ROLES
        for key, file in zip(written.keys(role), written.files(role), strict=False)
    ]


def gate_of(place: Place, written: Geo) -> Gate:
    """Return what a file must pass in its place, whatever the others answer."""
    return Gate(place.role, layout=place.layout, accepted=frozenset(written.accept))


def probes_of(written: Geo) -> dict[Address, str]:
    """Return the countries of a configuration that all databases must answer together."""
    return {ip_address(text): country for text, country in written.probes.items()}


def together(databases: Iterable[tuple[Place, Database]]) -> Locator:
    """Return what answers from databases in their places."""
    by_role: dict[Role, list[Database]] = {role: [] for role in ROLES}
    layouts: dict[Database, Layout] = {}
    for place, database in databases:
        by_role[place.role].append(database)
        if place.layout is not None:
            layouts[database] = place.layout
    return Locator(*by_role.values(), layouts=layouts)


def aging(locator: Locator, written: Geo) -> LocatorPort:
    """Return a locator with what staleness makes of it."""
    if written.max_age is None or written.on_stale == "serve":
        return locator
    return UnknownWhenStale(locator, locator.built + written.max_age, lambda: datetime.now(UTC))


def _warn_of(database: Database, place: Place, written: Geo, now: datetime) -> None:
    """Say what an operator should know of a database."""
    if database.reader != "c":
        _LOG.warning("the C extension of maxminddb is missing: look-ups take 15 times as long")
    if place.role == "country" and written.is_stale(database.built, now):
        days = (now - database.built).days
        _LOG.warning("%s is %d days old, more than geo.max_age allows", database.path, days)
