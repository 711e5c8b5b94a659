"""What several databases say together."""

import pytest

from regiongate.geo.layouts import Location
from regiongate.geo.merge import merge

UA = Location(country="UA")
CRIMEA = Location(country="UA", regions=("UA-43",), continent="EU")
RU = Location(country="RU", regions=("RU-MOW",), continent="EU", registered_country="RU")
EUROPE = Location(continent="EU")
NOTHING = Location()
COGENT = Location(asn=174, as_org="Cogent")

CASES: list[tuple[str, tuple[Location, ...], tuple[Location, ...], Location]] = [
    ("nobody knows", (NOTHING, NOTHING), (NOTHING,), NOTHING),
    ("the second knows", (NOTHING, CRIMEA), (), CRIMEA),
    ("the first knows", (UA, RU), (), Location(country="UA", registered_country="RU")),
    ("the second knows the region", (UA, CRIMEA), (), CRIMEA),
    ("the region is of another country", (Location(country="GB"), CRIMEA), (), Location("GB")),
    ("the first knows the continent alone", (EUROPE, CRIMEA), (), CRIMEA),
    ("only the continent is known", (NOTHING, EUROPE), (), EUROPE),
    ("others do not say where", (NOTHING,), (CRIMEA,), NOTHING),
    ("the AS number is next to the country", (COGENT,), (NOTHING,), COGENT),
    ("the others know the AS number first", (Location(asn=1, as_org="x"),), (COGENT,), COGENT),
    ("the name is of another AS", (COGENT,), (Location(asn=1),), Location(asn=1)),
    ("the name is of the same AS", (COGENT,), (Location(asn=174),), COGENT),
    (
        "any may know a flag",
        (Location(tor=True),),
        (Location(vpn=True), Location(hosting=True, proxy=True, anonymous=True)),
        Location(anonymous=True, vpn=True, tor=True, hosting=True, proxy=True),
    ),
]


@pytest.mark.parametrize(
    ("country", "others", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_first_that_knows_a_field_decides_it(
    country: tuple[Location, ...], others: tuple[Location, ...], expected: Location
) -> None:
    """The parts of an answer come from databases that agree about the whole."""
    assert merge(country, others) == expected
