"""Reads any vendor's database record as one Location.

Records are told apart by what they contain, never by the type that a file states. A record may be
wrong in every way that a decoder lets through: a field that makes no sense is absent, and nothing
here raises. Nothing here knows about files, networks or which of several databases was asked.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from regiongate.countries import countries, subdivisions
from regiongate.facts import Source

Way = tuple[str | int, ...]
"""The way to a value in a record: keys of maps and positions in lists, outermost first."""

Field = Literal["country", "asn", "as_org", "anonymous", "vpn", "tor", "hosting", "proxy"]
"""What a layout can tell the place of."""

Layout = Mapping[Field, Way]
"""Where a record has what it has in none of the usual places, which are then not looked at."""


_COUNTRIES = countries()
_SUBDIVISIONS = subdivisions()
_CONTINENTS = frozenset({"AF", "AN", "AS", "EU", "NA", "OC", "SA"})
_ASN = re.compile(r"(?:AS)?([0-9]{1,10})", re.IGNORECASE)
_MAX_ASN = 2**32 - 1  # RFC 6793
_LONGEST_NAME = 256
_LONGEST_CODE = len("UA-999")

_PLACE = frozenset(
    {
        "city",
        "continent",
        "country",
        "location",
        "postal",
        "registered_country",
        "represented_country",
        "subdivisions",
    }
)
"""All that a record of MaxMind's Country and City and of DB-IP's Lite databases usually has."""

FLAGS: Mapping[Field, tuple[str, ...]] = {
    "anonymous": ("is_anonymous",),
    "vpn": ("is_anonymous_vpn",),
    "tor": ("is_tor_exit_node",),
    "hosting": ("is_hosting_provider",),
    "proxy": ("is_public_proxy", "is_residential_proxy"),
}
"""The keys of MaxMind's Anonymous-IP and Anonymous-Plus."""

_USUAL: Mapping[Field, tuple[str, ...]] = {
    "country": ("country_code", "country"),
    "asn": ("autonomous_system_number", "asn"),
    "as_org": ("autonomous_system_organization", "as_name"),
    **FLAGS,
}
"""The keys that a value is usually found under."""

_FLAG_KEYS = frozenset(key for keys in FLAGS.values() for key in keys)


@dataclass(frozen=True, slots=True)
class Location:
    """What a record says. The fields are those of the message Source; empty where it is silent.

    Attributes:
        facts: The same as a Source in wire format, for a message to begin with; its status is
            `located` if there is a country.
    """

    country: str = ""
    regions: tuple[str, ...] = ()
    continent: str = ""
    registered_country: str = ""
    asn: int = 0
    as_org: str = ""
    anonymous: bool = False
    vpn: bool = False
    tor: bool = False
    hosting: bool = False
    proxy: bool = False
    facts: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        source = Source(
            status="located" if self.country else "",
            country=self.country,
            regions=self.regions,
            continent=self.continent,
            registered_country=self.registered_country,
            asn=self.asn,
            as_org=self.as_org,
            anonymous=self.anonymous,
            vpn=self.vpn,
            tor=self.tor,
            hosting=self.hosting,
            proxy=self.proxy,
        )
        object.__setattr__(self, "facts", source.SerializeToString())


# Databases have few different locations, and making one takes longer than finding it again.
_location = lru_cache(maxsize=16384)(Location)


def read(record: object, layout: Layout | None = None) -> Location:
    """Return what a record says about its network.

    The country is the first known code among `country.iso_code`, `country_code`, `country` and the
    record itself, which some vendors make a bare code or a list with one in it. The registered
    country never takes its place.

    Args:
        record: What the database holds for a network.
        layout: Where some values stand, for a vendor who has them in other places.
    """
    if layout is not None:
        return _read_any(_rearranged(record, layout))
    if not isinstance(record, dict):
        return _location(_bare_country(record))
    if _PLACE.issuperset(record):
        return _read_place(record)
    return _read_any(record)


def _rearranged(record: object, layout: Layout) -> Mapping[str, object]:
    """Return a record with its values where they usually are."""
    values = dict(record) if isinstance(record, dict) else {}
    for name, way in layout.items():
        usual, *others = _USUAL[name]
        found = _at(record, way)
        # Who lays out a flag as text knows that it is one.
        values[usual] = True if found == "true" else found
        values.update(dict.fromkeys(others))
    return values


def _read_place(record: Mapping[str, object]) -> Location:
    """Read the record that nearly everybody has, fast."""
    country = record.get("country")
    continent = record.get("continent")
    registered = record.get("registered_country")
    try:
        return _place(
            country.get("iso_code") if isinstance(country, dict) else country,
            continent.get("code") if isinstance(continent, dict) else continent,
            registered.get("iso_code") if isinstance(registered, dict) else None,
            _subdivision_codes(record) if "subdivisions" in record else (),
        )
    except TypeError:
        return _read_any(record)


@lru_cache(maxsize=16384)
def _place(
    country: object, continent: object, registered: object, subdivisions: tuple[object, ...]
) -> Location:
    """Interpret four values, and remember the outcome if they are what they should be.

    Raises:
        TypeError: They are not, and shall neither be remembered nor compared with what is: among
            the values that a decoder can return some are huge, some not hashable, and 1 is True.
    """
    for code in (country, continent, registered, *subdivisions):
        if code is not None and not (isinstance(code, str) and len(code) <= _LONGEST_CODE):
            raise TypeError
    code = _code(country)
    return _location(
        code, _regions(code, subdivisions), _known(continent, _CONTINENTS), _code(registered)
    )


def _read_any(record: Mapping[str, object]) -> Location:
    traits = record.get("traits")
    values = {**traits, **record} if isinstance(traits, dict) else record
    country = _country(values)
    return _location(
        country,
        _regions(country, _subdivision_codes(values)),
        _continent(values),
        _code(_member(values.get("registered_country"), "iso_code")),
        _number(values.get("autonomous_system_number")) or _number(values.get("asn")),
        _name(values.get("autonomous_system_organization")) or _name(values.get("as_name")),
        *(() if _FLAG_KEYS.isdisjoint(values) else _flags(values)),
    )


def _country(values: Mapping[str, object]) -> str:
    country = values.get("country")
    return (
        _code(_member(country, "iso_code")) or _code(values.get("country_code")) or _code(country)
    )


def _bare_country(record: object) -> str:
    items = record if isinstance(record, list) else [record]
    return next((code for item in items if (code := _code(item))), "")


def _code(value: object) -> str:
    return _known(value, _COUNTRIES)


def _known(value: object, codes: frozenset[str]) -> str:
    """Return a code in capitals if it is one of those known."""
    # Only of ASCII: elsewhere a capital may be a surprise, as S is for U+017F.
    if not isinstance(value, str) or len(value) > _LONGEST_CODE or not value.isascii():
        return ""
    return capitals if (capitals := value.upper()) in codes else ""


def _subdivision_codes(values: Mapping[str, object]) -> tuple[object, ...]:
    subdivisions = values.get("subdivisions")
    if not isinstance(subdivisions, list):
        return ()
    return tuple([_member(subdivision, "iso_code") for subdivision in subdivisions])


def _regions(country: str, codes: tuple[object, ...]) -> tuple[str, ...]:
    return tuple([region for code in codes if (region := _region(country, code))])


def _region(country: str, code: object) -> str:
    """Return an ISO 3166-2 code, of which MaxMind gives only the part behind the country."""
    if not isinstance(code, str):
        return ""
    return _known(code if code[:3].upper() == f"{country}-" else f"{country}-{code}", _SUBDIVISIONS)


def _continent(values: Mapping[str, object]) -> str:
    continent = values.get("continent")
    return (
        _known(_member(continent, "code"), _CONTINENTS)
        or _known(values.get("continent_code"), _CONTINENTS)
        or _known(continent, _CONTINENTS)
    )


def _number(value: object) -> int:
    """Return an AS number, which some vendors write as text: "AS174"."""
    if isinstance(value, str) and (match := _ASN.fullmatch(value)):
        value = int(match[1])
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 < value <= _MAX_ASN else 0


def _name(value: object) -> str:
    """Return a name that a message can hold: of a sane length and without lone surrogates."""
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        return ""
    return value if value.encode(errors="ignore").decode() == value else ""


def _flags(values: Mapping[str, object]) -> tuple[bool, bool, bool, bool, bool]:
    """Return anonymous, vpn, tor, hosting and proxy; whoever uses one but hosting is anonymous."""
    vpn = values.get("is_anonymous_vpn") is True
    tor = values.get("is_tor_exit_node") is True
    hosting = values.get("is_hosting_provider") is True
    proxy = values.get("is_public_proxy") is True or values.get("is_residential_proxy") is True
    return values.get("is_anonymous") is True or vpn or tor or proxy, vpn, tor, hosting, proxy


def _at(record: object, way: Way) -> object:
    for step in way:
        record = _member(record, step)
    return record


def _member(value: object, step: str | int) -> object:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
        return value[step]
    return None
