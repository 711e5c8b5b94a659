"""Which sources there are, and what may be told of what they are asked with."""

from __future__ import annotations

from datetime import date

import pytest

from regiongate.geo.update.catalogue import known, role, vendor
from regiongate.geo.update.errors import UpdateError
from regiongate.geo.update.sources import BASES, MaxMind, source
from regiongate.geo.update.web import Credentials, Validators, shown

SOURCES = {
    "user-country": ("ip-location-db", "country", "PDDL 1.0"),
    "server-country": ("ip-location-db", "country", "PDDL 1.0"),
    "origin-asn": ("ip-location-db", "asn", "PDDL 1.0"),
    "dbip-country-lite": ("db-ip", "country", "CC BY 4.0"),
    "dbip-city-lite": ("db-ip", "country", "CC BY 4.0"),
    "dbip-asn-lite": ("db-ip", "asn", "CC BY 4.0"),
    "maxmind:GeoLite2-Country": ("maxmind", "country", "GeoLite EULA"),
    "maxmind:GeoLite2-City": ("maxmind", "country", "GeoLite EULA"),
    "maxmind:GeoLite2-ASN": ("maxmind", "asn", "GeoLite EULA"),
    "maxmind:GeoIP2-Enterprise": ("maxmind", "country", "MaxMind's commercial licence"),
    "maxmind:GeoIP2-ISP": ("maxmind", "asn", "MaxMind's commercial licence"),
    "maxmind:GeoIP2-Anonymous-IP": ("maxmind", "anonymous", "MaxMind's commercial licence"),
    "maxmind:GeoIP-Anonymous-Plus": ("maxmind", "anonymous", "MaxMind's commercial licence"),
}
CREDENTIALS = Credentials("1", "key")


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_known_by_its_name(name: str) -> None:
    """Whose it is, what it is for, and under what licence."""
    whose, purpose, licence = SOURCES[name]
    found = source(name, today=lambda: date(2026, 11, 22), credentials=lambda: CREDENTIALS)
    assert (vendor(name), role(name), found.name) == (whose, purpose, name)
    assert found.licence.startswith(licence)


@pytest.mark.parametrize("name", ["", "maxmind:", "maxmind:a/../b", "maxmind:é", "User-Country"])
def test_another_name_is_an_error(name: str) -> None:
    """It says which there are."""
    with pytest.raises(ValueError, match=f"expected one of {', '.join(known())}"):
        vendor(name)


def test_every_vendor_is_asked_over_tls() -> None:
    """Unless an operator has a mirror."""
    assert {address.partition(":")[0] for address in BASES.values()} == {"https"}


@pytest.mark.parametrize(
    "base", ["http://example.com", "http://127.0.0.1.example.com", "ftp://localhost.example"]
)
def test_a_licence_key_is_sent_encrypted(base: str) -> None:
    """To this machine itself it may go as it is."""
    MaxMind("GeoLite2-City", CREDENTIALS, "http://127.0.0.1:8080")
    with pytest.raises(UpdateError, match="expected https:// where a licence key is sent to"):
        MaxMind("GeoLite2-City", CREDENTIALS, base)


@pytest.mark.parametrize("password", ["", " ", "a\nb", "a\r\nx: y", "é", "\0"])
def test_a_licence_key_is_one_line(password: str) -> None:
    """What is wrong with it is told, and it is not."""
    with pytest.raises(UpdateError) as caught:
        Credentials("1", password)
    assert str(caught.value) == "expected a licence key of visible characters on one line"


def test_what_is_secret_is_not_shown() -> None:
    """Neither the password nor the query of an address."""
    assert "key" not in repr(CREDENTIALS)
    assert "key" not in repr(MaxMind("GeoLite2-City", CREDENTIALS))
    assert shown("https://x/y?signature=z") == "https://x/y"


def test_validators_are_there_or_not() -> None:
    """One of the two is enough."""
    assert [bool(one) for one in (Validators(), Validators("a"), Validators("", "b"))] == [
        False,
        True,
        True,
    ]
