"""Where the records of a database have what it is used for."""

import pytest

from regiongate.geo.gate import Role
from regiongate.geo.layouts import Layout
from regiongate.geo.recognition import recognised
from tests.databases import anonymous, asn, city, country

CASES: dict[str, tuple[list[object], Role, Layout | None, list[str]]] = {
    "MaxMind": ([country("GB"), city("UA", "43")], "country", None, ["country.iso_code"]),
    "flat": ([{"country_code": "GB"}], "country", None, ["country_code"]),
    "a bare code": (["de"], "country", None, ["the record itself"]),
    "a list": ([["de"]], "country", None, ["0"]),
    "an old IPinfo": ([{"country": "DE"}], "country", None, ["country"]),
    "IPinfo Lite": (
        [{"country": "Germany", "country_code": "DE"}],
        "country",
        None,
        ["country_code"],
    ),
    "the most frequent first": (
        [country("GB"), country("DE"), {"country_code": "GB"}],
        "country",
        None,
        ["country.iso_code", "country_code"],
    ),
    "of its own": ([{"cc": "GB"}], "country", {"country": ("cc",)}, ["cc"]),
    "not of its own": ([{"country_code": "GB"}], "country", {"country": ("cc",)}, []),
    "AS numbers": ([asn(1, "a")], "asn", None, ["autonomous_system_number"]),
    "AS numbers as text": ([{"asn": "AS1"}], "asn", None, ["asn"]),
    "AS numbers of an Enterprise database": (
        [{"traits": {"autonomous_system_number": 1}}],
        "asn",
        None,
        ["traits.autonomous_system_number"],
    ),
    "flags": (
        [anonymous("is_anonymous", "is_tor_exit_node"), anonymous("is_anonymous")],
        "anonymous",
        None,
        ["is_anonymous", "is_tor_exit_node"],
    ),
    "nothing": ([{"name": "x"}, None, 7], "country", None, []),
}


@pytest.mark.parametrize(("records", "role", "layout", "places"), CASES.values(), ids=CASES)
def test_the_places_are_named(
    records: list[object], role: Role, layout: Layout | None, places: list[str]
) -> None:
    """Those that are read."""
    assert recognised(records, role, layout) == places
