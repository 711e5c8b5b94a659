"""Judges a database before it is put into use.

That a file opens says little: its records may not decode, it may be for another purpose, or be a
fraction of what it was yesterday. Nothing here opens or replaces anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.layouts import Layout, Location, read
from regiongate.geo.ranges import Address
from regiongate.geo.rehearsal import rehearse

Role = Literal["country", "asn", "anonymous"]
"""What a database is used for."""

_PURPOSES: dict[Role, str] = {
    "country": "countries",
    "asn": "AS numbers",
    "anonymous": "anonymous networks",
}
_CLOCK_TOLERANCE = timedelta(days=1)
_LEAST_PART = 0.8
_STARTS = 8192
_LONGEST_WALK = 128


@dataclass(frozen=True, slots=True)
class Gate:
    """What a database must be to be used for one purpose.

    Attributes:
        role: The purpose.
        probes: The country, or "" for none, that it must give for each of some addresses.
        layout: Where its records have the country, if in none of the usual places.
    """

    role: Role
    probes: Mapping[Address, str] = field(default_factory=dict)
    layout: Layout | None = None

    def check(self, candidate: Database, *, now: datetime, in_use: Database | None = None) -> None:
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
        problems = [
            *_from_the_future(candidate, now),
            *(_regressions(candidate, in_use) if in_use else ()),
            *_failed_probes(candidate, self.probes, self.layout),
            *_failed_sample(candidate, self.role, self.layout),
        ]
        if problems:
            raise DatabaseError(f"{candidate.path}: {'; '.join(problems)}")


def _from_the_future(candidate: Database, now: datetime) -> Iterator[str]:
    if candidate.built > now + _CLOCK_TOLERANCE:
        yield (
            f"expected a build time that has come (got {_time(candidate.built)}, "
            f"expected at most {_time(now + _CLOCK_TOLERANCE)})"
        )


def _regressions(candidate: Database, in_use: Database) -> Iterator[str]:
    if candidate.built < in_use.built:
        yield (
            "expected a build no older than the one in use "
            f"(got {_time(candidate.built)}, expected at least {_time(in_use.built)})"
        )
    least = int(in_use.node_count * _LEAST_PART)
    if candidate.node_count < least:
        yield (
            "expected at least four fifths of the nodes in use "
            f"(got {candidate.node_count}, expected at least {least})"
        )


def _failed_probes(
    candidate: Database, probes: Mapping[Address, str], layout: Layout | None
) -> Iterator[str]:
    for address, country in probes.items():
        try:
            found = read(candidate.lookup(address)[0], layout).country
        except DatabaseError:
            found = "a record that cannot be decoded"
        if found != country:
            yield (
                f"expected the probe {address} to be answered "
                f"(got {found or 'no country'}, expected {country or 'no country'})"
            )


def _failed_sample(candidate: Database, role: Role, layout: Layout | None) -> Iterator[str]:
    try:
        records = list(sample(candidate))
    except DatabaseError as error:
        yield f"expected records that can be decoded ({error})"
        return
    if not any(_serves(read(record, layout), role) for record in records):
        yield (
            f"expected a database for {_PURPOSES[role]} (got none in {len(records)} records "
            f"of the type {candidate.type!r})"
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
