"""Which sources there are, and what may be told of what they are asked with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest

from regiongate.geo.update.catalogue import known, role, vendor
from regiongate.geo.update.errors import UpdateError
from regiongate.geo.update.install import Nothing
from regiongate.geo.update.sources import BASES, MaxMind, source
from regiongate.geo.update.web import (
    LONGEST_ETAG,
    Answer,
    Credentials,
    Get,
    Request,
    Validators,
    shown,
)

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


DATE = "Sun, 22 Nov 2026 12:00:00 GMT"
EPOCH, SOON = "Thu, 01 Jan 1970 00:00:00 GMT", "Sun, 22 Nov 2026 12:04:00 GMT"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SENT: dict[str, tuple[str, str, Validators]] = {
    "both": ('"1"', DATE, Validators('"1"', DATE)),
    "weak": ('W/"1"', "", Validators('W/"1"')),
    "the longest": ("e" * LONGEST_ETAG, "", Validators("e" * LONGEST_ETAG)),
    "too long": ("e" * (LONGEST_ETAG + 1), DATE, Validators("", DATE)),
    "not ASCII": ('"é"', DATE, Validators("", DATE)),
    "not to be seen": ('"\x1b[2J"', DATE, Validators("", DATE)),
    "lines": ('"1"\r\nx: y', DATE, Validators("", DATE)),
    "an old date": ("", EPOCH, Validators("", EPOCH)),
    "a clock that is ahead": ("", SOON, Validators("", SOON)),
    "tomorrow": ('"1"', "Mon, 23 Nov 2026 12:00:00 GMT", Validators('"1"')),
    "the last year": ("", "Fri, 31 Dec 9999 23:59:59 GMT", Validators()),
    "a year without end": ("", f"Fri, 31 Dec {'9' * 60_000} 23:59:59 GMT", Validators()),
    "no such day": ("", "Mon, 30 Feb 2026 00:00:00 GMT", Validators()),
    "no time zone": ("", "Sun, 22 Nov 2026 12:00:00", Validators()),
    "another date": ("", "2026-11-22", Validators()),
    "no date": ("", "yesterday", Validators()),
    "other digits": ("", "Sun, 22 Nov \u0662\u0660\u0662\u0666 12:00:00 GMT", Validators()),
    "neither": ("", "", Validators()),
}


@pytest.mark.parametrize("case", SENT)
def test_only_what_any_server_reads_is_sent_back(case: str) -> None:
    """What one server made up, every later one would be asked with."""
    etag, last_modified, kept = SENT[case]
    assert Validators.usable(etag, last_modified, NOW) == kept


def _answering(content: bytes) -> Get:
    @contextmanager
    def get(_: Request) -> Iterator[Answer]:
        yield Answer(unchanged=False, validators=Validators(), body=iter([content]))

    return get


METADATA = {
    "deep": b"[" * 5000,
    "deep inside": b'{"databases":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "no JSON": b"<!doctype html>",
    "not UTF-8": b'{"databases": "\xff"}',
    "a list": b"[]",
    "no databases": b"{}",
    "none": b'{"databases": []}',
    "lists": b'{"databases": [[]]}',
    "numbers": b'{"databases": [{"edition_id": "GeoLite2-City", "date": 1, "md5": 1}]}',
}


@pytest.mark.parametrize("case", METADATA)
def test_what_is_not_maxminds_metadata_is_an_error(case: str) -> None:
    """However deep it is; the message is one line that names the edition."""
    asked = MaxMind("GeoLite2-City", CREDENTIALS)
    with (
        pytest.raises(UpdateError, match="the date and the checksum of GeoLite2-City, once"),
        asked.offered(_answering(METADATA[case]), Nothing()),
    ):
        pass


def test_validators_are_there_or_not() -> None:
    """One of the two is enough."""
    assert [bool(one) for one in (Validators(), Validators("a"), Validators("", "b"))] == [
        False,
        True,
        True,
    ]
