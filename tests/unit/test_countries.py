"""The codes of countries and their subdivisions."""

import pycountry
import pytest

from regiongate.countries import countries, country_of, is_code, meant, subdivisions

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


MEANT = {
    "UK": "GB",
    "uk": "GB",
    "EN": "GB",
    "EL": "GR",
    "JA": "JP",
    "USA": "US",
    "DEU": "DE",
    "UAE": "AE",
    "ZR": "CD",
    "us": "US",
    "Fr ": "FR",
    "ua-43": "UA-43",
}


@pytest.mark.parametrize(("code", "close"), MEANT.items(), ids=ascii)
def test_a_code_that_people_take_for_one_is_understood(code: str, close: str) -> None:
    """Reserved, withdrawn, of three letters, of a language, in lower case."""
    assert meant(code) == f"; did you mean {close}?"


@pytest.mark.parametrize(
    "code", ["", "-", "FR", "UA-43", "XX", "840", "AN", "UA-99", "U S", "\uff35\uff33"], ids=ascii
)
def test_nothing_is_suggested_for_what_could_be_anything(code: str) -> None:
    """Rather no word than a wrong one."""
    assert meant(code) == ""


def test_a_union_is_not_a_country() -> None:
    """It has no code that a database would tell."""
    assert meant("EU") == "; list the countries of the European Union one by one"


def test_what_is_suggested_is_a_code() -> None:
    """A table of slips has none of its own."""
    assert all(is_code(close) for close in MEANT.values())


def test_the_table_is_whole() -> None:
    """Every subdivision's country is a country, and none is missing."""
    assert len(countries()) == 250
    assert {country_of(code) for code in subdivisions()} <= countries()
    assert all(is_code(code) for code in countries() | subdivisions())


def test_the_table_is_pycountrys() -> None:
    """What pycountry itself tells: its tables may one day be kept in another form."""
    assert countries() == {one.alpha_2 for one in pycountry.countries} | {"XK"}
    assert subdivisions() == {one.code for one in pycountry.subdivisions}
