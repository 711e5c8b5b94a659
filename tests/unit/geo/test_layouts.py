"""What is read from a record of any vendor, and from records that make no sense."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate.countries import countries, subdivisions
from regiongate.facts import Source
from regiongate.geo.database import Database
from regiongate.geo.layouts import Field, Layout, Location, Way, _read_any, read
from tests.databases import anonymous, asn, city, country, write

RECORDS: dict[str, tuple[object, Location]] = {
    "MaxMind Country": (
        country("GB", registered="US"),
        Location(country="GB", continent="EU", registered_country="US"),
    ),
    "MaxMind Country, in use by the military of another": (
        country("PH", represented_country={"iso_code": "US", "type": "military"}),
        Location(country="PH", continent="AS", registered_country="PH"),
    ),
    "MaxMind Country, anycast": (
        country("US", traits={"is_anycast": True}),
        Location(country="US", continent="NA", registered_country="US"),
    ),
    "MaxMind, continent only": ({"continent": {"code": "EU"}}, Location(continent="EU")),
    "MaxMind, registered only": (
        {"registered_country": {"iso_code": "RO"}},
        Location(registered_country="RO"),
    ),
    "MaxMind City, Crimea": (
        city("UA", "43"),
        Location(country="UA", regions=("UA-43",), continent="EU", registered_country="UA"),
    ),
    "MaxMind City, two subdivisions": (
        city("GB", "ENG", "WBK"),
        Location(
            country="GB", regions=("GB-ENG", "GB-WBK"), continent="EU", registered_country="GB"
        ),
    ),
    "subdivision already prefixed, in small letters": (
        {"country": {"iso_code": "ua"}, "subdivisions": [{"iso_code": "ua-43"}]},
        Location(country="UA", regions=("UA-43",)),
    ),
    "subdivision that does not exist": (
        {"country": {"iso_code": "UA"}, "subdivisions": [{"iso_code": "99"}, {"iso_code": "43"}]},
        Location(country="UA", regions=("UA-43",)),
    ),
    "subdivision of no country": ({"subdivisions": [{"iso_code": "UA-43"}]}, Location()),
    "MaxMind Enterprise": (
        {
            **city("US", "MN"),
            "traits": {
                "autonomous_system_number": 217,
                "autonomous_system_organization": "University of Minnesota",
                "connection_type": "Corporate",
                "static_ip_score": 1.5,
            },
        },
        Location(
            country="US",
            regions=("US-MN",),
            continent="NA",
            registered_country="US",
            asn=217,
            as_org="University of Minnesota",
        ),
    ),
    "MaxMind ASN": (asn(1221, "Telstra"), Location(asn=1221, as_org="Telstra")),
    "MaxMind Anonymous-IP, VPN": (
        anonymous("is_anonymous", "is_anonymous_vpn"),
        Location(anonymous=True, vpn=True),
    ),
    "MaxMind Anonymous-IP, hosting": (
        anonymous("is_hosting_provider"),
        Location(hosting=True),
    ),
    "MaxMind Anonymous-IP, residential proxy": (
        anonymous("is_residential_proxy"),
        Location(anonymous=True, proxy=True),
    ),
    "MaxMind Anonymous-Plus": (
        {
            **anonymous("is_anonymous", "is_tor_exit_node"),
            "anonymizer_confidence": 99,
            "network_last_seen": "2026-06-01",
            "provider_name": "example",
        },
        Location(anonymous=True, tor=True),
    ),
    "explicitly false flags": (
        {"is_anonymous": False, "is_anonymous_vpn": False},
        Location(),
    ),
    "DB-IP Country": (
        {
            "continent": {"code": "OC", "geoname_id": 6255151, "names": {"en": "Oceania"}},
            "country": {"iso_code": "AU", "is_in_european_union": False},
        },
        Location(country="AU", continent="OC"),
    ),
    "DB-IP City": (
        {
            "continent": {"code": "OC"},
            "country": {"iso_code": "AU"},
            "subdivisions": [{"names": {"en": "New South Wales"}}],
        },
        Location(country="AU", continent="OC"),
    ),
    "IPinfo Lite": (
        {
            "country": "France",
            "country_code": "FR",
            "continent": "Europe",
            "continent_code": "EU",
            "asn": "AS3215",
            "as_name": "Orange S.A.",
            "as_domain": "orange.com",
        },
        Location(country="FR", continent="EU", asn=3215, as_org="Orange S.A."),
    ),
    "IPinfo country_asn": (
        {
            "country": "FR",
            "country_name": "France",
            "continent": "EU",
            "continent_name": "Europe",
            "asn": "AS3215",
            "as_name": "Orange S.A.",
        },
        Location(country="FR", continent="EU", asn=3215, as_org="Orange S.A."),
    ),
    "DB-IP ASN": (asn(13335, "Cloudflare, Inc."), Location(asn=13335, as_org="Cloudflare, Inc.")),
    "DB-IP Location and ISP": (
        {
            "continent": {"code": "EU", "names": {"en": "Europe"}},
            "country": {"iso_code": "DE", "is_in_european_union": True},
            "traits": {
                "autonomous_system_number": 3320,
                "autonomous_system_organization": "Deutsche Telekom AG",
                "user_type": "residential",
            },
        },
        Location(country="DE", continent="EU", asn=3320, as_org="Deutsche Telekom AG"),
    ),
    "MaxMind ISP": (
        {**asn(1221, "Telstra"), "isp": "Telstra Internet", "organization": "Telstra"},
        Location(asn=1221, as_org="Telstra"),
    ),
    "MaxMind, flags of the year 2015": (
        {**country("US"), "traits": {"is_anonymous_proxy": True, "is_satellite_provider": True}},
        Location(country="US", continent="NA", registered_country="US"),
    ),
    "IPLocate": (
        {"continent_code": "AS", "country_code": "JP", "country_name": "Japan"},
        Location(country="JP", continent="AS"),
    ),
    "IP2Location, nested": ({"country": {"iso_code": "BR"}}, Location(country="BR")),
    "IP2Location, flat": (
        {"country_code": "BR", "country_name": "Brazil", "region": "Sao Paulo"},
        Location(country="BR"),
    ),
    "IP2Location, unknown": ({"country_code": "-", "country_name": "-"}, Location()),
    "ip-location-db country": ({"country_code": "TW"}, Location(country="TW")),
    "ip-location-db city": (
        {"country_code": "DE", "city": "Berlin", "state1": "Berlin", "latitude": 52.5},
        Location(country="DE"),
    ),
    "Geoacumen": ({"country": {"iso_code": "HK"}}, Location(country="HK")),
    "Geoacumen, reserved": ({"country": {"iso_code": "None"}}, Location()),
    "sing-geoip": ("se", Location(country="SE")),
    "Meta-geoip0": (["cloudflare", "us"], Location(country="US")),
    "Kosovo": (country("XK"), Location(country="XK", continent="EU", registered_country="XK")),
    "nothing": (None, Location()),
}
NO_COUNTRIES = [
    "",
    "ZZ",
    "XX",
    "EU",
    "AP",
    "A1",
    "A2",
    "T1",
    "None",
    "USA",
    "U",
    "\u017fe",
    "UA-43",
]
WAYS: list[tuple[object, Way, str]] = [
    ({"country": {"iso_code": "GB"}}, ("country", "iso_code"), "GB"),
    ({"geo": [{"cc": "x"}, {"cc": "jp"}]}, ("geo", 1, "cc"), "JP"),
    ({"geo": ["jp"]}, ("geo", -1), "JP"),
    ({"geo": ["jp"]}, ("geo", 1), ""),
    ({"country": {"iso_code": "GB"}}, ("cc",), ""),
    (["DE", "FR"], (1,), "FR"),
    ("FR", (), "FR"),
]
LAYOUTS: dict[str, tuple[object, Layout, Location]] = {
    "a country alone": (
        {"cc": "UA", "subdivisions": [{"iso_code": "43"}], "asn": "AS1"},
        {"country": ("cc",)},
        Location(country="UA", regions=("UA-43",), asn=1),
    ),
    "an AS": (
        {"as": {"number": 174, "name": "Cogent"}, "asn": "AS1", "as_name": "Other"},
        {"asn": ("as", "number"), "as_org": ("as", "name")},
        Location(asn=174, as_org="Cogent"),
    ),
    "an AS that is absent": ({"asn": "AS1"}, {"asn": ("as", "number")}, Location()),
    "in traits, and absent where it should be": (
        {"traits": {"autonomous_system_number": 1}},
        {"asn": ("as",)},
        Location(),
    ),
    "flags, as text": (
        {"privacy": {"vpn": "true", "hosting": True, "tor": "", "proxy": "false"}},
        {
            "vpn": ("privacy", "vpn"),
            "hosting": ("privacy", "hosting"),
            "tor": ("privacy", "tor"),
            "proxy": ("privacy", "proxy"),
        },
        Location(anonymous=True, vpn=True, hosting=True),
    ),
    "a flag of its own": ({"risk": True}, {"anonymous": ("risk",)}, Location(anonymous=True)),
    "a bare record": ("de", {"country": ()}, Location(country="DE")),
}
ASNS: list[tuple[object, int]] = [
    (174, 174),
    ("AS174", 174),
    ("as174", 174),
    ("174", 174),
    (2**32 - 1, 2**32 - 1),
    (2**32, 0),
    (0, 0),
    (-1, 0),
    (True, 0),
    (174.0, 0),
    (float("nan"), 0),
    ("AS", 0),
    ("AS-174", 0),
    ("١٧٤", 0),
    (b"AS174", 0),
    ("9" * 5000, 0),
]
NAMES: list[tuple[object, str]] = [
    ("Société", "Société"),
    ("x" * 257, ""),
    ("\ud800", ""),
    (b"bytes", ""),
    (7, ""),
]
FIELDS = get_args(Field)
EXAMPLES: list[Way] = [("country", "iso_code"), ("asn",), (0,), ()]
HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary()
    | st.text(st.characters())
    | st.sampled_from(["UA", "ua", "43", "UA-43", "EU", "AS1", "\ud800", "x" * 100_000]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    7,
                    None,
                    "asn",
                    "as_name",
                    "autonomous_system_number",
                    "autonomous_system_organization",
                    "code",
                    "continent",
                    "continent_code",
                    "country",
                    "country_code",
                    "is_anonymous",
                    "is_tor_exit_node",
                    "iso_code",
                    "registered_country",
                    "subdivisions",
                    "traits",
                ]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(("record", "location"), RECORDS.values(), ids=RECORDS)
def test_a_record_of_any_vendor_is_read(record: object, location: Location) -> None:
    """Each vendor's layout is recognised by what the record contains."""
    assert read(record) == location


def test_a_record_of_any_vendor_is_read_from_a_file(tmp_path: Path) -> None:
    """What a decoder makes of it is read the same."""
    records = [(f"1.{number}.0.0/16", *one) for number, one in enumerate(RECORDS.values())]
    path = write(
        tmp_path / "x.mmdb",
        {network: record for network, record, _ in records if record is not None},
    )
    for reader in (Database.open(path), Database.open(path, careful=True)):
        for network, _, location in records:
            assert read(reader.lookup(ip_network(network)[0])[0]) == location


@pytest.mark.parametrize("code", NO_COUNTRIES)
@pytest.mark.parametrize("shape", ["{}", "country.iso_code", "country_code", "country"])
def test_what_is_no_known_code_is_no_country(code: str, shape: str) -> None:
    """Placeholders, pseudo-countries and longer codes locate nobody."""
    shapes: dict[str, Any] = {
        "{}": code,
        "country.iso_code": {"country": {"iso_code": code}},
        "country_code": {"country_code": code},
        "country": {"country": code},
    }
    assert read(shapes[shape]).country == ""


def test_the_first_known_code_counts() -> None:
    """The places are tried in one order, and a placeholder in one does not hide the next."""
    assert read({"country": {"iso_code": "GB"}, "country_code": "US"}).country == "GB"
    assert read({"country": {"iso_code": "None"}, "country_code": "US"}).country == "US"
    assert read({"country": "FR", "country_code": "ZZ"}).country == "FR"


@pytest.mark.parametrize(("record", "way", "expected"), WAYS)
def test_an_explicit_layout_replaces_the_usual_places(
    record: object, way: Way, expected: str
) -> None:
    """With a layout only the value at the end of the way can be the country."""
    assert read(record, {"country": way}).country == expected


@pytest.mark.parametrize(("record", "layout", "location"), LAYOUTS.values(), ids=LAYOUTS)
def test_each_field_can_be_laid_out(record: object, layout: Layout, location: Location) -> None:
    """The other fields are read from where they usually are."""
    assert read(record, layout) == location


@pytest.mark.parametrize(("value", "expected"), ASNS)
def test_an_as_number_is_a_number_or_its_usual_text(value: object, expected: int) -> None:
    """What is not an AS number is absent."""
    assert read({"autonomous_system_number": value}).asn == expected


@pytest.mark.parametrize(("value", "expected"), NAMES)
def test_a_name_fits_into_a_message(value: object, expected: str) -> None:
    """What a protobuf string cannot hold, or should not, is absent."""
    assert read({"as_name": value}).as_org == expected


def test_a_flag_is_set_by_true_alone() -> None:
    """Values that merely equal True, or once were read as it, set nothing."""
    assert read({"is_anonymous": True}).anonymous
    assert not read({"is_anonymous": 1}).anonymous
    assert not read({"is_anonymous": "true"}).anonymous


def test_deep_nesting_is_harmless() -> None:
    """A record nested far deeper than a decoder allows is read like any other."""
    record: Any = "GB"
    for _ in range(100_000):
        record = {"country": record}
    assert read(record) == Location()


@given(HOSTILE, st.none() | st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(EXAMPLES)))
def test_no_record_raises(record: object, layout: Layout | None) -> None:
    """Whatever a decoder returns becomes a Location of known codes that fits into a message."""
    location = read(record, layout)
    assert location.country in {"", *countries()}
    assert set(location.regions) <= subdivisions()
    assert Source.FromString(location.facts).country == location.country


@given(HOSTILE)
def test_the_fast_way_of_reading_gives_what_the_thorough_one_gives(record: object) -> None:
    """Nothing remembered for speed is taken for something that merely equals it."""
    if isinstance(record, dict):
        assert read(record) == _read_any(record)


def test_the_facts_are_the_location_in_wire_format() -> None:
    """A message begins with everything but what the network and the address decide."""
    location = read({**city("UA", "43"), "traits": {"autonomous_system_number": 7}})
    assert Source.FromString(location.facts) == Source(
        status="located",
        country="UA",
        regions=["UA-43"],
        continent="EU",
        registered_country="UA",
        asn=7,
    )
