"""Where databases come from: what to ask each source for, how to read its answer, its licence.

Three vendors: ip-location-db (releases on GitHub), DB-IP (a file a month) and MaxMind (metadata
first, then an archive; the protocol of geoipupdate 7 and 8, client/metadata.go and download.go).
Nothing here opens a connection or a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

import orjson

from regiongate.geo.update.catalogue import MAXMIND, Vendor, vendor
from regiongate.geo.update.errors import NotFound, UpdateError
from regiongate.geo.update.unpack import gunzip, limited, member
from regiongate.geo.update.web import Answer, Credentials, Get, Request, Validators

BASES: Final[Mapping[Vendor, str]] = {
    "ip-location-db": "https://github.com/sapics/ip-location-db/releases/download/latest",
    "db-ip": "https://download.db-ip.com/free",
    "maxmind": "https://updates.maxmind.com",
}
"""Where each vendor's files are; a mirror has the same paths below another address."""

LARGEST: Final = 1 << 30
"""Bytes of an unpacked database."""

_METADATA: Final = 1 << 16
_MD5: Final = re.compile(r"[0-9a-f]{32}")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_PDDL: Final = "PDDL 1.0, public domain: nothing is asked of you."
_CC_BY: Final = (
    "CC BY 4.0: where results of it are shown, link to https://db-ip.com as"
    ' "IP Geolocation by DB-IP".'
)
_GEOLITE: Final = (
    'GeoLite EULA: say "This product includes GeoLite Data created by MaxMind, available from'
    ' https://www.maxmind.com."; destroy every older copy, in backups and images too, within'
    " 30 days of a new release; hand no copy on."
)
_COMMERCIAL: Final = "MaxMind's commercial licence: your agreement says what is asked of you."


class Held(Protocol):
    """The port: what is there already."""

    def validators(self, url: str) -> Validators:
        """Return what the file was served with, if it is what came from this address."""
        ...

    def is_from(self, url: str) -> bool:
        """Say whether the file is what came from this address."""
        ...

    def md5(self) -> str:
        """Return the checksum of the file in hexadecimal; empty where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """A database to be had.

    Attributes:
        url: where it comes from.
        validators: what it is served with.
        content: the database, in pieces, as it arrives.
        md5: its checksum in hexadecimal, where the source gives one.
    """

    url: str
    validators: Validators
    content: Iterator[bytes]
    md5: str = ""


class Source(Protocol):
    """The port: one database of one vendor."""

    @property
    def name(self) -> str:
        """As it is written in a configuration."""

    @property
    def licence(self) -> str:
        """What is asked of whoever uses it."""

    def offered(self, get: Get, held: Held) -> AbstractContextManager[Offer | None]:
        """Ask for the database, and lend it; None if what is held is current.

        Raises:
            UpdateError: it cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class IpLocationDb:
    """A database of ip-location-db, from its latest release."""

    name: str
    base: str = BASES["ip-location-db"]
    largest: int = LARGEST
    licence: str = _PDDL

    @contextmanager
    def offered(self, get: Get, held: Held) -> Iterator[Offer | None]:
        """Ask for it."""
        url = f"{self.base}/{self.name}.mmdb"
        with get(Request(url, held.validators(url))) as answer:
            yield _offer(url, answer, limited(answer.body, self.largest))


@dataclass(frozen=True, slots=True)
class DbIp:
    """A database of DB-IP Lite: of this month, or of the last one while this one's is not there.

    Attributes:
        today: tells the date, in UTC.
    """

    name: str
    today: Callable[[], date]
    base: str = BASES["db-ip"]
    largest: int = LARGEST
    licence: str = _CC_BY

    @contextmanager
    def offered(self, get: Get, held: Held) -> Iterator[Offer | None]:
        """Ask for it."""
        first = self.today().replace(day=1)
        this, last = (self._url(day) for day in (first, first - timedelta(days=1)))
        with ExitStack() as closing:
            try:
                url, answer = this, self._asked(this, get, held, closing)
            except NotFound:
                url, answer = last, self._asked(last, get, held, closing)
            if answer is None:
                yield None
            else:
                yield _offer(url, answer, limited(gunzip(answer.body), self.largest))

    def _asked(self, url: str, get: Get, held: Held, closing: ExitStack) -> Answer | None:
        validators = held.validators(url)
        if held.is_from(url) and not validators:
            # The month is in its name: that is all there is to tell it by.
            return None
        return closing.enter_context(get(Request(url, validators)))

    def _url(self, day: date) -> str:
        return f"{self.base}/{self.name}-{day:%Y-%m}.mmdb.gz"


@dataclass(frozen=True, slots=True)
class MaxMind:
    """A database of MaxMind's, for whoever has an account.

    Raises:
        UpdateError: the address is not encrypted, although credentials are sent to it.
    """

    edition: str
    credentials: Credentials
    base: str = BASES["maxmind"]
    largest: int = LARGEST

    def __post_init__(self) -> None:
        parts = urlsplit(self.base)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise UpdateError(
                f"expected https:// where a licence key is sent to (got {parts.scheme}://)"
            )

    @property
    def name(self) -> str:
        """Its name in a configuration."""
        return f"{MAXMIND}{self.edition}"

    @property
    def licence(self) -> str:
        """What is asked of whoever uses it."""
        return _GEOLITE if self.edition.startswith("GeoLite") else _COMMERCIAL

    @contextmanager
    def offered(self, get: Get, held: Held) -> Iterator[Offer | None]:
        """Ask what there is, and for that unless it is held."""
        day, md5 = self._release(get)
        if md5 == held.md5():
            yield None
            return
        edition = quote(self.edition, safe="")
        url = f"{self.base}/geoip/databases/{edition}/download?date={day}&suffix=tar.gz"
        with get(Request(url, credentials=self.credentials)) as answer:
            archive = limited(gunzip(answer.body), self.largest)
            yield Offer(url, Validators(), member(archive, ".mmdb"), md5)

    def _release(self, get: Get) -> tuple[str, str]:
        """Return the day of the latest release, without hyphens, and the database's checksum."""
        edition = quote(self.edition, safe="")
        url = f"{self.base}/geoip/updates/metadata?edition_id={edition}"
        with get(Request(url, credentials=self.credentials)) as answer:
            text = b"".join(limited(answer.body, _METADATA))
        try:
            (release,) = (
                one for one in orjson.loads(text)["databases"] if one["edition_id"] == self.edition
            )
            return _day(release["date"]), _checksum(release["md5"])
        except (ValueError, KeyError, TypeError):
            raise UpdateError(
                f"{self.base}: expected the date and the checksum of {self.edition}, once"
                " (got something else; may the account download it?)"
            ) from None


def _offer(url: str, answer: Answer, content: Iterator[bytes]) -> Offer | None:
    return None if answer.unchanged else Offer(url, answer.validators, content)


def _day(text: Any) -> str:
    return f"{date.fromisoformat(text):%Y%m%d}"


def _checksum(text: Any) -> str:
    if not _MD5.fullmatch(text):
        raise ValueError(text)
    return str(text)


def source(
    name: str,
    *,
    today: Callable[[], date],
    credentials: Callable[[], Credentials],
    mirrors: Mapping[Vendor, str] | None = None,
) -> Source:
    """Return the source of a name.

    Args:
        name: one of `catalogue.known`.
        today: tells the date, in UTC.
        credentials: of MaxMind's; called where they are needed.
        mirrors: other addresses than the vendors' own.

    Raises:
        ValueError: there is no such source.
        UpdateError: it cannot be asked.
    """
    of = vendor(name)
    base = {**BASES, **(mirrors or {})}[of].rstrip("/")
    match of:
        case "ip-location-db":
            return IpLocationDb(name, base)
        case "db-ip":
            return DbIp(name, today, base)
        case "maxmind":
            return MaxMind(name.removeprefix(MAXMIND), credentials(), base)
