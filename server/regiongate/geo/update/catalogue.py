"""The sources there are: whose each is, and what its database is used for.

Nothing here knows how a source is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final, Literal

from regiongate.geo.gate import Role

Vendor = Literal["ip-location-db", "db-ip", "maxmind"]

IP_LOCATION_DB: Final[Mapping[str, Role]] = {
    "user-country": "country",
    "server-country": "country",
    "origin-asn": "asn",
}
DB_IP: Final[Mapping[str, Role]] = {
    "dbip-country-lite": "country",
    "dbip-city-lite": "country",
    "dbip-asn-lite": "asn",
}
MAXMIND: Final = "maxmind:"

_EDITION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_MAXMIND_ROLES: Final[Mapping[str, Role]] = {
    "Country": "country",
    "City": "country",
    "Enterprise": "country",
    "ASN": "asn",
    "ISP": "asn",
    "Anonymous": "anonymous",
}


def known() -> Iterator[str]:
    """Name the sources, with EDITION for any of MaxMind's."""
    yield from chain(IP_LOCATION_DB, DB_IP)
    yield f"{MAXMIND}EDITION"


def vendor(name: str) -> Vendor:
    """Return whose a source is.

    Raises:
        ValueError: there is no such source.
    """
    if name in IP_LOCATION_DB:
        return "ip-location-db"
    if name in DB_IP:
        return "db-ip"
    if name.startswith(MAXMIND) and _EDITION.fullmatch(name.removeprefix(MAXMIND)):
        return "maxmind"
    raise ValueError(f"expected one of {', '.join(known())} (got {name!r})")


def role(name: str) -> Role:
    """Return what a source's database is used for.

    Raises:
        ValueError: there is no such source, or nothing that RegionGate does with it.
    """
    vendor(name)
    if found := {**IP_LOCATION_DB, **DB_IP}.get(name):
        return found
    for part, purpose in _MAXMIND_ROLES.items():
        if part in name:
            return purpose
    raise ValueError(f"expected a database of countries, AS numbers or anonymity (got {name!r})")
