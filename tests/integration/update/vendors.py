"""Servers that behave like those that databases are fetched from, and misbehave when told to."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import ssl
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import orjson

ACCOUNT, KEY = "123456", "made-up_licence_key_mmk"
BASIC: Final = f"Basic {base64.b64encode(f'{ACCOUNT}:{KEY}'.encode()).decode()}"
EDITION: Final = "GeoLite2-Country"


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered.

    Attributes:
        drip: seconds between two bytes of the body; a negative number for those of the header.
        lacks: bytes of the body that are promised and not sent.
        holds: the body is sent when this is set, but for its first byte.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drip: float = 0.0
    lacks: int = 0
    holds: threading.Event | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that has arrived."""

    path: str
    headers: Mapping[str, str]


class Site:
    """A web server; `replies` has a list for each path, of which the last is repeated.

    Attributes:
        asked: what has arrived.
        base: its address.
    """

    def __init__(self, certificate: ssl.SSLContext | None = None) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self._server = _Server(self)
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            self._server.socket = certificate.wrap_socket(self._server.socket, server_side=True)
        self.base = f"{scheme}://127.0.0.1:{self._server.server_port}"

    def serve(self) -> None:
        """Answer until `close`."""
        self._server.serve_forever(0.01)

    def close(self) -> None:
        """Stop."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, *replies: Reply) -> None:
        """Answer a path from now on."""
        self.replies[path] = list(replies)

    def reply(self, asked: Asked) -> Reply:
        """Answer a request; 404 for what is not there, 304 for what the client has."""
        self.asked.append(asked)
        waiting = self.replies.get(asked.path.partition("?")[0], [Reply(404)])
        reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        etag = reply.headers.get("etag")
        return Reply(304) if etag and asked.headers.get("if-none-match") == etag else reply

    def paths(self) -> list[str]:
        """Name what was asked for, in order."""
        return [one.path for one in self.asked]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, site: Site) -> None:
        self.site = site
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        with suppress(OSError):
            self._send(self.server.site.reply(Asked(self.path, headers)))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        if reply.drip < 0:
            self._drip(b"x" * 10_000, -reply.drip)
        if reply.status != 304:
            self.send_header("content-length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._send_body(reply)

    def _send_body(self, reply: Reply) -> None:
        body = reply.body[: len(reply.body) - reply.lacks]
        if reply.holds is not None:
            self.wfile.write(body[:1])
            reply.holds.wait(30)
            body = body[1:]
        if reply.drip > 0:
            self._drip(body, reply.drip)
        else:
            self.wfile.write(body)

    def _drip(self, content: bytes, seconds: float) -> None:
        self.flush_headers()
        for byte in content:
            self.wfile.write(bytes([byte]))
            if self.server.site.closing.wait(seconds):
                return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
        pass


@contextmanager
def site(certificate: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Run a server until the end of the with statement."""
    made = Site(certificate)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join()


# ------------------------------------------------------------------------------- the vendors


def md5(content: bytes) -> str:
    """Return a checksum as MaxMind gives it."""
    return hashlib.md5(content).hexdigest()


def archive(content: bytes, edition: str = EDITION, notice: bytes = b"(c)") -> bytes:
    """Return a .tar.gz as MaxMind packs it: a folder with a licence and the database."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        files = {"COPYRIGHT.txt": notice, f"{edition}.mmdb": content, "LICENSE.txt": b"EULA" * 500}
        for name, held in files.items():
            about = tarfile.TarInfo(f"{edition}_20261120/{name}")
            about.size = len(held)
            tar.addfile(about, io.BytesIO(held))
    return packed.getvalue()


def metadata(content: bytes, edition: str = EDITION, **changes: str) -> bytes:
    """Return what MaxMind says of a database."""
    about = {"date": "2026-11-20", "edition_id": edition, "md5": md5(content), **changes}
    return orjson.dumps({"databases": [about]})


def publish_ip_location_db(site: Site, storage: Site, content: bytes, etag: str = '"1"') -> None:
    """Publish user-country as a release of GitHub: a redirect to a signed address elsewhere."""
    where = f"{storage.base}/assets/1?signature=secret"
    site.put("/user-country.mmdb", Reply(302, headers={"location": where}))
    storage.put("/assets/1", Reply(body=content, headers={"etag": etag}))


def publish_db_ip(site: Site, month: str, content: bytes) -> None:
    """Publish dbip-country-lite for a month."""
    path = f"/dbip-country-lite-{month}.mmdb.gz"
    site.put(path, Reply(body=gzip.compress(content), headers={"etag": f'"{month}"'}))


def publish_maxmind(site: Site, storage: Site, content: bytes) -> None:
    """Publish GeoLite2-Country: metadata, and a redirect to a signed address elsewhere."""
    site.put("/geoip/updates/metadata", Reply(body=metadata(content)))
    where = f"{storage.base}/bucket/1?signature=secret"
    site.put(DOWNLOAD, Reply(302, headers={"location": where}))
    storage.put("/bucket/1", Reply(body=archive(content)))


DOWNLOAD: Final = f"/geoip/databases/{EDITION}/download"
