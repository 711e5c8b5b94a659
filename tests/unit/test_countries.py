"""The codes of countries and their subdivisions."""

import pycountry
import pytest

from regiongate.countries import countries, country_of, is_code, subdivisions

CODES = ["US", "NO", "XK", "GB", "TW", "IM", "UA-43", "UA-14", "UA-09", "GB-ENG", "US-CA", "FR-IDF"]
NO_CODES = [
    *("", "-", "us", "Us", "USA", "840", "UK", "EU", "XX", "ZZ", "AN", "A1", "U S", "US ", " US"),
    *("UA-", "-43", "UA-99", "ua-43", "UA43", "UA_43", "US-ca", "XK-01", "US\n", "\uff35\uff33"),
]


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_one_of_iso_3166_or_kosovos(code: str) -> None:
    """Countries, subdivisions and XK, in capitals."""
    assert is_code(code)


@pytest.mark.parametrize("code", NO_CODES, ids=ascii)
def test_nothing_else_is_a_code(code: str) -> None:
    """Neither reserved codes nor codes of another kind or spelling."""
    assert not is_code(code)


@pytest.mark.parametrize(("code", "country"), [("UA-43", "UA"), ("UA", "UA"), ("XK", "XK")])
def test_a_subdivision_belongs_to_a_country(code: str, country: str) -> None:
    """The country stands before the hyphen."""
    assert country_of(code) == country


def test_the_table_is_whole() -> None:
    """Every subdivision's country is a country, and none is missing."""
    assert len(countries()) == 250
    assert {country_of(code) for code in subdivisions()} <= countries()
    assert all(is_code(code) for code in countries() | subdivisions())


def test_the_table_is_pycountrys() -> None:
    """What pycountry itself tells: its tables may one day be kept in another form."""
    assert countries() == {one.alpha_2 for one in pycountry.countries} | {"XK"}
    assert subdivisions() == {one.code for one in pycountry.subdivisions}
