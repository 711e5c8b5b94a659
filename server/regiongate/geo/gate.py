"""Judges a database before it is put into use.

That a file opens says little: its records may not decode, it may be for another purpose, or be a
fraction of what it was yesterday. Nothing here opens or replaces anything.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, Protocol

from regiongate.address import Address, ClientAddress
from regiongate.geo.database import Database, DatabaseError, Objection
from regiongate.geo.layouts import Layout, Location, read
from regiongate.geo.locate import Locator
from regiongate.geo.rehearsal import rehearse

Role = Literal["country", "asn", "anonymous"]
"""What a database is used for."""

_PURPOSES: dict[Role, str] = {
    "country": "countries",
    "asn": "AS numbers",
    "anonymous": "anonymous networks",
}
_Findings = Iterator[tuple[Objection, str]]
_REGRESSIONS = {"older", "smaller"}
_CLOCK_TOLERANCE = timedelta(days=1)
_LEAST_PART = 0.8
_STARTS = 8192
_LONGEST_WALK = 128


class Measured(Protocol):
    """What must be known of a database to compare another with it."""

    @property
    def built(self) -> datetime:
        """When it was built."""

    @property
    def node_count(self) -> int:
        """The size of its search tree."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What a database must be to be used for one purpose.

    Attributes:
        role: The purpose.
        probes: The country, or "" for none, that must be the answer for each of some addresses.
        layout: Where its records have what matters, if in none of the usual places.
        accepted: Digests of files that may be older or smaller than the one in use.
        together: Puts a database among those that it is to answer with, which the probes are for;
            left out, it is to answer alone.
    """

    role: Role
    probes: Mapping[Address, str] = field(default_factory=dict)
    layout: Layout | None = None
    accepted: frozenset[str] = frozenset()
    together: Callable[[Database], Locator] | None = None

    def check(self, candidate: Database, *, now: datetime, in_use: Measured | None = None) -> None:
        """Make sure that a database can be put into use.

        Takes seconds, mostly of another process; look nothing up in the database before.

        Args:
            candidate: The database.
            now: The current time.
            in_use: The database it would replace, than which it must not be older, nor have less
                than four fifths of its nodes; None to take it whatever its age and size.

        Raises:
            DatabaseError: It cannot; the message has every reason.
        """
        if candidate.reader == "c":
            rehearse(candidate)
        findings = [
            *_from_the_future(candidate, now),
            *self._regressions(candidate, in_use),
            *self._failed_probes(candidate),
            *_failed_sample(candidate, self.role, self.layout),
        ]
        if findings:
            objections, problems = zip(*findings, strict=True)
            told = "; ".join(problems)
            if _REGRESSIONS.issuperset(objections):
                told += f"; to use it all the same, list {candidate.digest} under geo.accept"
            raise DatabaseError(f"{candidate.path}: {told}", *objections)

    def _regressions(self, candidate: Database, in_use: Measured | None) -> _Findings:
        if in_use is None or candidate.digest in self.accepted:
            return
        if candidate.built < in_use.built:
            yield (
                "older",
                (
                    "expected a build no older than the one in use "
                    f"(got {_time(candidate.built)}, expected at least {_time(in_use.built)})"
                ),
            )
        least = int(in_use.node_count * _LEAST_PART)
        if candidate.node_count < least:
            yield (
                "smaller",
                (
                    "expected at least four fifths of the nodes in use "
                    f"(got {candidate.node_count}, expected at least {least})"
                ),
            )

    def _failed_probes(self, candidate: Database) -> _Findings:
        layouts = {candidate: self.layout} if self.layout is not None else {}
        together = self.together or (lambda one: Locator([one], layouts=layouts))
        for problem in unanswered(together(candidate), self.probes):
            yield "probe", problem


def unanswered(locator: Locator, probes: Mapping[Address, str]) -> list[str]:
    """Return what is wrong with the answers to probes.

    Args:
        locator: What is asked.
        probes: The country, or "" for none, that must be the answer for each address.
    """
    found = {
        address: locator.locate(ClientAddress(address, "")).source.country for address in probes
    }
    return [
        f"expected the probe {address} to be answered "
        f"(got {found[address] or 'no country'}, expected {country or 'no country'})"
        for address, country in probes.items()
        if found[address] != country
    ]


def _from_the_future(candidate: Database, now: datetime) -> _Findings:
    if candidate.built > now + _CLOCK_TOLERANCE:
        yield (
            "future",
            (
                f"expected a build time that has come (got {_time(candidate.built)}, "
                f"expected at most {_time(now + _CLOCK_TOLERANCE)})"
            ),
        )


def _failed_sample(candidate: Database, role: Role, layout: Layout | None) -> _Findings:
    try:
        records = list(sample(candidate))
    except DatabaseError as error:
        yield "undecodable", f"expected records that can be decoded ({error})"
        return
    if not any(_serves(read(record, layout), role) for record in records):
        yield (
            "purpose",
            (
                f"expected a database for {_PURPOSES[role]} (got none in {len(records)} records "
                f"of the type {candidate.type!r})"
            ),
        )


def _serves(location: Location, role: Role) -> bool:
    """Say whether a record has something of what a database is used for."""
    match role:
        case "country":
            return location.country != ""
        case "asn":
            return location.asn != 0
        case "anonymous":
            return location.anonymous or location.hosting


def sample(database: Database) -> Iterator[object]:
    """Return records from all over the search tree, always the same ones of the same file.

    Raises:
        DatabaseError: One of them cannot be decoded.
    """
    kinds = (IPv4Address, IPv6Address) if database.knows_ipv6 else (IPv4Address,)
    for kind in kinds:
        step = (1 << kind(0).max_prefixlen) // _STARTS
        for part in range(_STARTS):
            record = _first_record(database, kind(part * step), kind((part + 1) * step - 1))
            if record is not None:
                yield record


def _first_record(database: Database, first: Address, last: Address) -> object:
    """Return the first record from one address to another, if it is not too far."""
    for _ in range(_LONGEST_WALK):
        record, length = database.lookup(first)
        if record is not None:
            return record
        host_bits = first.max_prefixlen - length
        behind = ((int(first) >> host_bits) + 1) << host_bits
        if behind > int(last):
            break
        first = type(first)(behind)
    return None


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%MZ}"
