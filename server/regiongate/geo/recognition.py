"""Tells where the records of a database have what it is used for. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

from regiongate.geo.gate import Role
from regiongate.geo.layouts import FLAGS, Field, Layout, Way, read

_COUNTRY: tuple[Way, ...] = (("country", "iso_code"), ("country_code",), ("country",), (), (0,))
_ASN: tuple[Way, ...] = (
    ("autonomous_system_number",),
    ("traits", "autonomous_system_number"),
    ("asn",),
)
_WAYS: Mapping[Role, tuple[tuple[Field, Way], ...]] = {
    "country": tuple(("country", way) for way in _COUNTRY),
    "asn": tuple(("asn", way) for way in _ASN),
    "anonymous": tuple((field, (key,)) for field, keys in FLAGS.items() for key in keys),
}


def recognised(records: Iterable[object], role: Role, layout: Layout | None = None) -> list[str]:
    """Name the places where records have what is asked for, the most frequent first.

    Args:
        records: A sample.
        role: What is asked for.
        layout: Where that is said to be, if it is in none of the usual places.
    """
    ways = tuple(layout.items()) if layout else _WAYS[role]
    found = Counter(
        spelled(way) for record in records for field, way in ways if _has(record, field, way)
    )
    return [place for place, _ in found.most_common()]


def spelled(way: Way) -> str:
    """Write a way as an operator would."""
    return ".".join(map(str, way)) or "the record itself"


def _has(record: object, field: Field, way: Way) -> bool:
    return bool(getattr(read(record, {field: way}), field))
