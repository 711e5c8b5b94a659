"""One update against servers that behave like the vendors', and that misbehave."""

from __future__ import annotations

import gzip
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from email.utils import formatdate
from ipaddress import ip_address
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import pytest
import trustme

from regiongate.geo.gate import Gate
from regiongate.geo.update.fetch import Web
from regiongate.geo.update.install import claimed
from regiongate.geo.update.renew import Outcome, Patience, Target, renew
from regiongate.geo.update.sources import source
from regiongate.geo.update.web import Credentials
from tests import databases
from tests.integration.update.vendors import (
    ACCOUNT,
    BASIC,
    DOWNLOAD,
    EDITION,
    KEY,
    Reply,
    Site,
    archive,
    metadata,
    publish_db_ip,
    publish_ip_location_db,
    publish_maxmind,
    site,
)

pytestmark = pytest.mark.usefixtures("unrehearsed")

QUICK = Patience(first=0.001, within=20, lock=5)
TODAY = date(2026, 11, 22)
OLD, NEW = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
METADATA = "/geoip/updates/metadata"
WRONG = "0" * 32
SMALL = {"2.125.160.216/29": databases.country("GB")}


def built(folder: Path, moment: datetime = NEW, **options: Any) -> bytes:
    """Return a country database of a moment."""
    options = {"tree": "aliased", "records": databases.COUNTRY, **options}
    path = databases.write(folder / "built", built=moment, **options)
    content = path.read_bytes()
    path.unlink()
    return content


@dataclass
class Client:
    """Updates country.mmdb in a folder from a vendor's server."""

    path: Path
    base: str
    unpacked: int = 1 << 20
    trusted: ssl.SSLContext | None = None
    largest: int = 1 << 30
    patience: Patience = QUICK
    probes: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    seen: list[tuple[int, int | None]] = field(default_factory=list)

    def update(self, name: str = "user-country", **options: Any) -> Outcome:
        """Update once."""
        found: Any = source(
            name,
            today=lambda: TODAY,
            credentials=lambda: Credentials(ACCOUNT, KEY),
            mirrors={"ip-location-db": self.base, "db-ip": self.base, "maxmind": self.base},
        )
        found = replace(found, largest=self.unpacked)
        gate = Gate("country", {ip_address(one): code for one, code in self.probes.items()})
        web = Web(
            trusted=self.trusted,
            silence=5,
            largest=self.largest,
            progress=lambda *one: self.seen.append(one),
        )
        target = Target(path=self.path, gates=[gate], **options)
        return renew(target, found, web.get, patience=self.patience, tell=self.told.append)

    def left(self) -> list[str]:
        """Name what lies in the folder."""
        return sorted(one.name for one in self.path.parent.iterdir())


@pytest.fixture
def client(tmp_path: Path, vendor: Site) -> Client:
    """A client with a database that is a month old."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "country.mmdb").write_bytes(built(tmp_path, OLD))
    return Client(folder / "country.mmdb", vendor.base)


@dataclass(frozen=True)
class Secure:
    """Servers with certificates, and who vouches for them."""

    certificate: ssl.SSLContext
    trusted: ssl.SSLContext


@pytest.fixture(scope="module")
def secure() -> Secure:
    """Certificates of an authority that only the client trusts."""
    authority = trustme.CA()
    server, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(trusted)
    return Secure(server, trusted)


NAMES: dict[str, Callable[[Site, Site, bytes], None]] = {
    "user-country": publish_ip_location_db,
    "dbip-country-lite": lambda vendor, _, content: publish_db_ip(vendor, "2026-11", content),
    f"maxmind:{EDITION}": publish_maxmind,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_new_database_takes_the_place_of_the_old(
    name: str, client: Client, vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """Whole, and with nothing left beside it but the note of where it is from."""
    content = built(tmp_path)
    NAMES[name](vendor, storage, content)
    client.path.chmod(0o640)
    found = client.update(name)
    assert (found.result, found.built, found.problem) == ("updated", NEW, "")
    assert found.licence
    assert client.path.read_bytes() == content
    assert client.path.stat().st_mode & 0o777 == 0o640
    assert client.left() == [".country.mmdb.update", "country.mmdb"]
    received, total = client.seen[-1]
    assert received == total


@pytest.mark.parametrize("name", NAMES)
def test_what_is_current_is_not_fetched(
    name: str, client: Client, vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """By its entity tag, or by the checksum that MaxMind gives; `force` fetches it all the same."""
    NAMES[name](vendor, storage, built(tmp_path))
    assert client.update(name).result == "updated"
    before = client.path.stat().st_ino
    client.seen.clear()
    found = client.update(name)
    assert (found.result, found.built) == ("current", NEW)
    assert client.path.stat().st_ino == before
    asked = sum(received for received, _ in client.seen)
    assert asked < 1000
    assert client.update(name, force=True).result == "current"
    assert sum(received for received, _ in client.seen) > asked + 1000


def test_a_file_that_somebody_else_has_put_there_is_not_taken_for_what_was_fetched(
    client: Client, vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """The note is about a file with a digest; another file is replaced although the tag agrees."""
    content = built(tmp_path)
    publish_ip_location_db(vendor, storage, content)
    client.update()
    client.path.write_bytes(built(tmp_path, OLD))
    assert client.update().result == "updated"
    assert client.path.read_bytes() == content


@pytest.mark.parametrize(
    "note", ["", "[]", '{"url": 1}', '{"url": "x\\u000a"}', "\x00" * 100, "[" * 5000], ids=range(6)
)
def test_a_damaged_note_is_no_note(
    note: str, client: Client, vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """It costs a download."""
    publish_ip_location_db(vendor, storage, built(tmp_path))
    client.path.with_name(".country.mmdb.update").write_text(note)
    assert client.update().result == "updated"
    assert client.update().result == "current"


HOSTILE = {
    "a tag that no server reads": {"etag": '"' + "e" * 60_000 + '"'},
    "a date that has yet to come": {"last-modified": "Fri, 31 Dec 9999 23:59:59 GMT"},
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_server_made_up_is_not_sent_to_the_next(
    hostile: str, client: Client, vendor: Site, tmp_path: Path
) -> None:
    """A mirror that was hostile once does not keep later updates from being made."""
    reply = Reply(body=built(tmp_path), headers=HOSTILE[hostile])
    vendor.put("/user-country.mmdb", reply)
    assert client.update().result == "updated"
    assert client.update().result == "current"
    assert not {"if-none-match", "if-modified-since"} & vendor.asked[-1].headers.keys()


def test_what_an_earlier_release_took_down_is_not_sent_either(
    client: Client, vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """The note may hold what is not taken down any more."""
    publish_ip_location_db(vendor, storage, built(tmp_path))
    client.update()
    note = client.path.with_name(".country.mmdb.update")
    note.write_text(note.read_text().replace('\\"1\\"', "e" * 60_000))
    assert "e" * 60_000 in note.read_text()
    assert client.update().result == "current"
    assert "if-none-match" not in storage.asked[-1].headers


def test_a_first_database_needs_no_other(
    client: Client, vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """Nor is one that cannot be used any measure."""
    publish_ip_location_db(vendor, storage, built(tmp_path, OLD))
    for content in (None, b"no database"):
        client.path.unlink(missing_ok=True)
        if content:
            client.path.write_bytes(content)
        assert client.update().result == "updated"


def test_what_a_link_points_to_is_replaced(
    client: Client, vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """The link stays."""
    publish_ip_location_db(vendor, storage, built(tmp_path))
    link = tmp_path / "country.mmdb"
    link.symlink_to(client.path)
    client.path = link
    assert client.update().result == "updated"
    assert link.is_symlink()


def test_last_months_file_is_taken_until_this_months_is_there(
    client: Client, vendor: Site, tmp_path: Path
) -> None:
    """DB-IP publishes on the first of a month, some hours after it has begun."""
    client.path.unlink()
    publish_db_ip(vendor, "2026-10", built(tmp_path, OLD))
    assert client.update("dbip-country-lite").built == OLD
    assert client.update("dbip-country-lite").result == "current"
    publish_db_ip(vendor, "2026-11", built(tmp_path, NEW))
    assert client.update("dbip-country-lite").built == NEW
    this, last = (f"/dbip-country-lite-2026-{month}.mmdb.gz" for month in (11, 10))
    assert vendor.paths() == [this, last, this, last, this]


def test_a_months_file_without_a_tag_is_known_by_its_name(
    client: Client, vendor: Site, tmp_path: Path
) -> None:
    """It is not asked for again."""
    path = "/dbip-country-lite-2026-11.mmdb.gz"
    vendor.put(path, Reply(body=gzip.compress(built(tmp_path))))
    assert client.update("dbip-country-lite").result == "updated"
    assert client.update("dbip-country-lite").result == "current"
    assert vendor.paths() == [path]


def test_maxmind_is_asked_as_its_own_client_asks(
    client: Client, vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """Metadata first, then an archive of that day; both with the account and its key."""
    publish_maxmind(vendor, storage, built(tmp_path))
    client.update(f"maxmind:{EDITION}")
    assert vendor.paths() == [
        f"{METADATA}?edition_id={EDITION}",
        f"{DOWNLOAD}?date=20261120&suffix=tar.gz",
    ]
    assert [one.headers["authorization"] for one in vendor.asked] == [BASIC, BASIC]


# ----------------------------------------------------------------------------- what goes wrong

FAULTS: dict[str, tuple[list[Reply], str, int]] = {
    # what the server says first, what is said of it, how often it is asked before it is believed
    "401": ([Reply(401)], "(got 401, the account id or the licence key is not accepted)", 1),
    "403": ([Reply(403)], "(got 403, access is refused; the account may not be entitled", 1),
    "404": ([Reply(404)], "expected a file (got 404, there is none)", 1),
    "418": ([Reply(418)], "expected a file (got 418, I'm a Teapot)", 1),
    "204": ([Reply(204)], "expected a file (got 204, No Content)", 1),
    "500 for ever": ([Reply(500)], "expected a file (got 500, Internal Server Error)", 5),
    "429 for an hour": (
        [Reply(429, headers={"retry-after": "3600"})],
        "expected a file (got 429, too many requests)",
        1,
    ),
    "cut short for ever": (
        [Reply(body=b"x" * 100, lacks=50)],
        "expected an answer (IncompleteRead(50 bytes read, 50 more expected))",
        5,
    ),
    "HTML": ([Reply(body=b"<!doctype html>" * 9)], "expected a MaxMind DB file, found", 1),
    "nothing": ([Reply()], "expected a MaxMind DB file, found an empty file", 1),
    "304 unasked": ([Reply(304)], "expected a file (got 304, Not Modified)", 1),
    "another checksum": (
        [Reply(body=b"x", headers={"content-md5": "AAAA"})],
        "expected what Content-MD5 says (got another checksum)",
        5,
    ),
    "a circle": (
        [Reply(302, headers={"location": "/user-country.mmdb"})],
        "expected at most 5 redirects",
        6,
    ),
    "a redirect to a file": (
        [Reply(302, headers={"location": "file:///etc/passwd"})],
        "expected an address of http:// or https:// (got file:///etc/passwd)",
        1,
    ),
    "a redirect to nowhere": ([Reply(302)], "expected a file (got 302, Found)", 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_had_leaves_what_there_is(fault: str, client: Client, vendor: Site) -> None:
    """It is told why, what may pass is tried again, and nothing is left beside the old file."""
    replies, told, times = FAULTS[fault]
    vendor.put("/user-country.mmdb", *replies)
    before = client.path.read_bytes()
    found = client.update()
    assert (found.result, found.built) == ("failed", OLD)
    assert told in found.problem
    assert len(vendor.asked) == times
    assert client.path.read_bytes() == before
    assert client.left() == [".country.mmdb.update", "country.mmdb"]


PASSING: dict[str, Callable[[bytes], Reply]] = {
    "500": lambda _: Reply(500),
    "503": lambda _: Reply(503, headers={"retry-after": "soon"}),
    "429 with seconds": lambda _: Reply(429, headers={"retry-after": "0"}),
    "429 with a date": lambda _: Reply(
        429, headers={"retry-after": formatdate(time.time() - 5, usegmt=True)}
    ),
    "cut short": lambda content: Reply(body=content, lacks=10),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_waited_for(
    fault: str, client: Client, vendor: Site, tmp_path: Path
) -> None:
    """The next attempt begins from the beginning."""
    content = built(tmp_path)
    vendor.put("/user-country.mmdb", PASSING[fault](content), Reply(body=content))
    assert client.update().result == "updated"
    assert "tries again in 0 s" in client.told[0]
    assert client.path.read_bytes() == content


def test_the_server_says_how_long_it_wants_to_be_left_alone(
    client: Client, vendor: Site, tmp_path: Path
) -> None:
    """Retry-After is what is waited, not less."""
    vendor.put(
        "/user-country.mmdb",
        Reply(429, headers={"retry-after": "1"}),
        Reply(body=built(tmp_path)),
    )
    started = time.monotonic()
    assert client.update().result == "updated"
    assert time.monotonic() - started >= 1
    assert "(got 429, too many requests); tries again in 1 s" in client.told[0]


def test_a_server_that_is_not_there_is_told_of(client: Client, vendor: Site) -> None:
    """So that an operator looks at the firewall."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client.base = f"http://127.0.0.1:{free.getsockname()[1]}"
        found = client.update()
    assert (
        found.problem == f"{client.base}/user-country.mmdb: expected an answer (Connection refused)"
    )
    assert not vendor.asked


@pytest.mark.parametrize("drip", [0.02, -0.02], ids=["in the body", "in the header"])
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_server_that_drips_is_not_listened_to_for_ever(
    drip: float, client: Client, secure: Secure, tmp_path: Path, *, encrypted: bool
) -> None:
    """A byte now and then keeps a socket from timing out; the time for all of it does not care."""
    client.patience, client.trusted = Patience(within=0.5), secure.trusted
    with site(secure.certificate if encrypted else None) as vendor:
        client.base = vendor.base
        vendor.put("/user-country.mmdb", Reply(body=built(tmp_path), drip=drip))
        started = time.monotonic()
        found = client.update()
    assert "expected to have all of it within 0.5 s" in found.problem
    assert time.monotonic() - started < 5
    assert client.left() == [".country.mmdb.update", "country.mmdb"]


def test_no_more_is_downloaded_than_a_limit(client: Client, vendor: Site) -> None:
    """Whatever length is announced."""
    client.largest = 1000
    vendor.put("/user-country.mmdb", Reply(body=b"x" * 2000))
    assert "expected at most 1000 bytes" in client.update().problem


BOMB = bytes(1 << 24)
BOMBS = {
    "gzip": ("dbip-country-lite", "/dbip-country-lite-2026-11.mmdb.gz", gzip.compress(BOMB)),
    "several of gzip": (
        "dbip-country-lite",
        "/dbip-country-lite-2026-11.mmdb.gz",
        gzip.compress(bytes(1 << 16)) * 1000,
    ),
    "the database in an archive": (f"maxmind:{EDITION}", DOWNLOAD, archive(BOMB)),
    "another file of the archive": (f"maxmind:{EDITION}", DOWNLOAD, archive(b"x", notice=BOMB)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_at_a_limit(
    bomb: str, client: Client, vendor: Site, tmp_path: Path
) -> None:
    """Some kilobytes that are megabytes once they are unpacked are not unpacked beyond it."""
    name, path, content = BOMBS[bomb]
    vendor.put(METADATA, Reply(body=metadata(built(tmp_path))))
    vendor.put(path, Reply(body=content))
    assert client.update(name).problem == "expected at most 1 MiB once it is unpacked"
    assert client.left() == [".country.mmdb.update", "country.mmdb"]


MAXMIND_FAULTS: dict[str, tuple[str, Callable[[bytes], Reply], str]] = {
    "a wrong checksum": (
        METADATA,
        lambda content: Reply(body=metadata(content, md5=WRONG)),
        f"expected {WRONG})",
    ),
    "another edition": (
        METADATA,
        lambda content: Reply(body=metadata(content, "GeoIP2-City")),
        "expected the date and the checksum of GeoLite2-Country, once",
    ),
    "a path for a date": (
        METADATA,
        lambda content: Reply(body=metadata(content, date="../../x")),
        "expected the date and the checksum of GeoLite2-Country, once",
    ),
    "no JSON": (METADATA, lambda _: Reply(body=b"<html>"), "expected the date and the checksum"),
    "endless metadata": (
        METADATA,
        lambda _: Reply(body=b" " * 100_000),
        "expected at most 0.0625 MiB",
    ),
    "a damaged archive": (
        DOWNLOAD,
        lambda content: Reply(body=archive(content)[:-8] + bytes(8)),
        "expected a sound gzip file",
    ),
    "half an archive": (
        DOWNLOAD,
        lambda content: Reply(body=archive(content)[:-99]),
        "expected a complete gzip file (got one that is cut short)",
    ),
    "another database": (
        DOWNLOAD,
        lambda _: Reply(body=archive(b"another")),
        "expected the checksum that the source gives",
    ),
    "no archive": (DOWNLOAD, lambda content: Reply(body=content), "expected a sound gzip file"),
}


@pytest.mark.parametrize("fault", MAXMIND_FAULTS)
def test_what_maxmind_sends_is_checked(
    fault: str, client: Client, vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """The metadata, the archive, and the checksum of what is in it."""
    path, reply, told = MAXMIND_FAULTS[fault]
    content = built(tmp_path)
    publish_maxmind(vendor, storage, content)
    vendor.put(path, reply(content))
    before = client.path.read_bytes()
    assert told in client.update(f"maxmind:{EDITION}").problem
    assert client.path.read_bytes() == before
    assert client.left() == [".country.mmdb.update", "country.mmdb"]


# ------------------------------------------------------------------------------------ the gate

GATE: dict[str, tuple[dict[str, Any], str]] = {
    "older": ({"moment": datetime(2026, 9, 1, tzinfo=UTC)}, "expected a build no older than"),
    "of the future": ({"moment": datetime(2099, 1, 1, tzinfo=UTC)}, "a build time that has come"),
    "smaller": ({"records": SMALL}, "expected at least four fifths of the nodes in use"),
}


@pytest.mark.parametrize("fault", GATE)
def test_what_does_not_pass_the_gate_is_not_installed(
    fault: str, client: Client, vendor: Site, tmp_path: Path
) -> None:
    """The same one as before a reload."""
    options, told = GATE[fault]
    vendor.put("/user-country.mmdb", Reply(body=built(tmp_path, **options)))
    before = client.path.read_bytes()
    found = client.update()
    assert told in found.problem
    assert ".temporary" not in found.problem
    assert client.path.read_bytes() == before


def test_probes_are_asked(client: Client, vendor: Site, tmp_path: Path) -> None:
    """A database that does not know what it must is not installed."""
    client.probes = {"81.2.69.160": "US"}
    vendor.put("/user-country.mmdb", Reply(body=built(tmp_path)))
    assert "the probe 81.2.69.160 to be answered (got GB, expected US)" in client.update().problem


def test_an_older_or_smaller_one_is_taken_when_told_so(
    client: Client, vendor: Site, tmp_path: Path
) -> None:
    """An operator who goes back knows why."""
    moment = datetime(2026, 9, 1, tzinfo=UTC)
    vendor.put("/user-country.mmdb", Reply(body=built(tmp_path, moment, records=SMALL)))
    assert client.update(allow_older=True).built == moment


# ------------------------------------------------------------------------------- credentials


def test_credentials_are_for_one_host(
    client: Client, vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """Where MaxMind redirects to is another's: no Authorization arrives there."""
    publish_maxmind(vendor, storage, built(tmp_path))
    assert client.update(f"maxmind:{EDITION}").result == "updated"
    (asked,) = storage.asked
    assert asked.path == "/bucket/1?signature=secret"
    assert "authorization" not in asked.headers


def test_credentials_do_not_come_back(
    client: Client, vendor: Site, storage: Site, tmp_path: Path
) -> None:
    """One who has redirected cannot have them sent to where it redirects next; the own host can."""
    publish_maxmind(vendor, storage, built(tmp_path))
    vendor.put(DOWNLOAD, Reply(307, headers={"location": "/again"}))
    vendor.put("/again", Reply(302, headers={"location": f"{storage.base}/back"}))
    storage.put("/back", Reply(302, headers={"location": f"{vendor.base}/last"}))
    vendor.put("/last", Reply(body=archive(built(tmp_path))))
    assert client.update(f"maxmind:{EDITION}").result == "updated"
    given = {one.path.partition("?")[0]: one.headers.get("authorization") for one in vendor.asked}
    assert given == {METADATA: BASIC, DOWNLOAD: BASIC, "/again": BASIC, "/last": None}
    assert [one.headers.get("authorization") for one in storage.asked] == [None]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_a_licence_key_is_not_told(
    status: int, client: Client, vendor: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """In no outcome, no word about waiting, and no line of any library's log."""
    caplog.set_level(logging.DEBUG)
    vendor.put(METADATA, Reply(status, body=f"your key {KEY} is bad".encode()))
    found = client.update(f"maxmind:{EDITION}")
    said = f"{found} {client.told} {caplog.text} {Credentials(ACCOUNT, KEY)}"
    assert found.result == "failed"
    assert KEY not in said
    assert BASIC.removeprefix("Basic ") not in said


def test_a_signed_address_is_not_told(
    client: Client, vendor: Site, storage: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Who reads the log could fetch with it."""
    caplog.set_level(logging.INFO)
    publish_ip_location_db(vendor, storage, b"")
    storage.put("/assets/1", Reply(403))
    found = client.update()
    assert found.problem.startswith(f"{storage.base}/assets/1: expected a file (got 403")
    assert "secret" not in f"{found} {client.told} {caplog.text}"


def test_maxmind_over_tls(client: Client, secure: Secure, tmp_path: Path) -> None:
    """Credentials go through it to one host, and not to the next."""
    content = built(tmp_path)
    with site(secure.certificate) as vendor, site(secure.certificate) as storage:
        publish_maxmind(vendor, storage, content)
        client.base, client.trusted = vendor.base, secure.trusted
        assert client.update(f"maxmind:{EDITION}").result == "updated"
        assert [one.headers.get("authorization") for one in vendor.asked] == [BASIC, BASIC]
        assert [one.headers.get("authorization") for one in storage.asked] == [None]


def test_encryption_is_not_given_up(
    client: Client, secure: Secure, storage: Site, tmp_path: Path
) -> None:
    """A redirect from https:// to http:// is not followed."""
    with site(secure.certificate) as vendor:
        publish_ip_location_db(vendor, storage, built(tmp_path))
        client.base, client.trusted = vendor.base, secure.trusted
        told = f"expected to be redirected to https:// (got {storage.base}/assets/1)"
        assert told in client.update().problem
    assert not storage.asked


def test_a_certificate_is_verified(client: Client, secure: Secure) -> None:
    """By the system's authorities, who do not know this one; that does not pass by waiting."""
    with site(secure.certificate) as vendor:
        client.base = vendor.base
        found = client.update(f"maxmind:{EDITION}")
    assert "its certificate is not to be trusted: unable to get local issuer" in found.problem
    assert not vendor.asked
    assert not client.told


def test_the_systems_authorities_can_be_added_to(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE is OpenSSL's own way."""
    authority, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with site(server) as vendor:
        vendor.put("/user-country.mmdb", Reply(body=built(tmp_path)))
        client.base = vendor.base
        assert client.update().result == "updated"


def test_a_proxy_of_the_environment_is_used(
    client: Client, vendor: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the name and password that its address has, unless NO_PROXY excepts the host."""
    vendor.put("http://db.example/user-country.mmdb", Reply(body=built(tmp_path)))
    monkeypatch.setenv("http_proxy", vendor.base.replace("://", "://me:word@"))
    client.base = "http://db.example"
    assert client.update().result == "updated"
    assert vendor.asked[0].headers["proxy-authorization"] == "Basic bWU6d29yZA=="
    monkeypatch.setenv("no_proxy", "db.example")
    client.patience = Patience(attempts=1)
    assert "word" not in client.update().problem
    assert len(vendor.asked) == 1


# ------------------------------------------------------------------------------- two at once


def test_two_updates_take_turns(client: Client, vendor: Site, tmp_path: Path) -> None:
    """The second says that it waits, and then finds that there is nothing to do."""
    go = threading.Event()
    whole = Reply(body=built(tmp_path), headers={"etag": '"1"'})
    vendor.put("/user-country.mmdb", Reply(body=whole.body, headers=whole.headers, holds=go))
    outcomes: list[Outcome] = []
    first = threading.Thread(target=lambda: outcomes.append(client.update()))
    first.start()
    second = Client(client.path, vendor.base)
    _until(lambda: bool(vendor.asked))
    other = threading.Thread(target=lambda: outcomes.append(second.update()))
    other.start()
    _until(lambda: bool(second.told))
    go.set()
    for one in (first, other):
        one.join(20)
    assert [one.result for one in outcomes] == ["updated", "current"]
    assert second.told == ["waits for another update of this file"]


def test_one_that_hangs_is_not_waited_for_for_ever(client: Client, vendor: Site) -> None:
    """It is told; the file stays."""
    client.patience = Patience(lock=0.2)
    with claimed(client.path, 1, lambda: None):
        found = client.update()
    assert found.problem == "expected no other update of country.mmdb to take longer than 0.2 s"
    assert not vendor.asked


def test_what_a_killed_update_left_is_removed(client: Client, vendor: Site, tmp_path: Path) -> None:
    """Also where somebody has put a link under its name."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    client.path.with_name(".country.mmdb.temporary").symlink_to(victim)
    vendor.put("/user-country.mmdb", Reply(body=built(tmp_path)))
    assert client.update().result == "updated"
    assert victim.read_text() == "mine"
    assert client.left() == [".country.mmdb.update", "country.mmdb"]


def test_a_folder_that_is_not_there_is_told_of(client: Client) -> None:
    """Rather than raised."""
    client.path = client.path.parent / "elsewhere" / "country.mmdb"
    found = client.update()
    told = "expected a folder that can be written to (No such file or directory)"
    assert (found.result, found.built, found.problem) == ("failed", None, told)


def test_what_is_installed_is_on_the_disk(
    client: Client, vendor: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file before it gets its name, and the folder after."""
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    vendor.put("/user-country.mmdb", Reply(body=built(tmp_path)))
    assert client.update().result == "updated"
    assert done == ["file", "rename", "folder"]


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
