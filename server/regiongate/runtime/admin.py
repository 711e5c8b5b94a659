"""The admin address: /metrics, /healthz, /readyz, /info and /wiring over HTTP, all read-only.

Served by threads of the standard library's server, away from the event loop that answers Checks;
with several workers, by their parent. What is shown comes from reports alone.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, Final

import orjson
from prometheus_client.exposition import choose_encoder

from regiongate.deadline import Deadline
from regiongate.runtime.report import Summary
from regiongate.runtime.sockets import ensure_free, permissions, told
from regiongate.telemetry.exposition import Exposition

PATIENCE: Final = 5.0
"""Seconds that a client may take to send its request and to read the answer."""

CLIENTS: Final = 16
"""Connections at once; one more is closed."""

PAUSE: Final = 0.2
"""Seconds before another connection is accepted when one could not be."""

_JSON: Final = "application/json"
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    body: bytes
    content_type: str = _JSON
    status: HTTPStatus = HTTPStatus.OK


Page = Callable[[str], Reply]
"""Makes an answer; is given the request's Accept header."""


def pages(summary: Callable[[], Summary]) -> Mapping[str, Page]:
    """Return the pages by their paths.

    Args:
        summary: returns what is known of the workers; is called from threads.
    """
    return {
        "/metrics": lambda accept: _metrics(summary(), accept),
        # The process is there, or nobody would answer.
        "/healthz": lambda _: Reply(b"ok\n", "text/plain; charset=utf-8"),
        "/readyz": lambda _: _ready(summary()),
        "/info": lambda _: _info(summary()),
        "/wiring": lambda _: Reply(_json(summary().wiring().written())),
    }


def _metrics(summary: Summary, accept: str) -> Reply:
    registry = Exposition(summary.tally(), summary.gauges()).registry()
    try:
        encode, content_type = choose_encoder(accept)
        return Reply(encode(registry), content_type)
    except (TypeError, ValueError):  # of a version that is no number, by either of the two
        encode, content_type = choose_encoder("")
        return Reply(encode(registry), content_type)


def _ready(summary: Summary) -> Reply:
    status = HTTPStatus.OK if summary.ready else HTTPStatus.SERVICE_UNAVAILABLE
    told = {"ready": summary.ready, "problems": summary.problems}
    return Reply(_json(told), status=status)


def _info(summary: Summary) -> Reply:
    workers = [
        {"worker": one.worker, "pid": one.pid, "address": one.address, **one.info}
        for one in summary.reports
    ]
    return Reply(_json({"workers": workers}))


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


@contextmanager
def served(address: str, shown: Mapping[str, Page], mode: int = 0o660) -> Iterator[str]:
    """Serve pages until the end of the with statement.

    Args:
        address: `host:port` (port 0 for a free one) or `unix:/path`.
        shown: the pages by their paths.
        mode: the permissions of a Unix socket.

    Yields:
        The address as it is bound.

    Raises:
        BindError: it cannot be listened on.
    """
    server = _bind(address, shown, mode)
    thread = threading.Thread(target=server.serve_forever, name="admin", daemon=True)
    thread.start()
    try:
        port = server.server_address[1]
        unix = address.startswith("unix:")
        yield address if unix else f"{address.rpartition(':')[0]}:{port!s}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _bind(address: str, shown: Mapping[str, Page], mode: int) -> _Server:
    ensure_free(address)
    with told(address):
        if address.startswith("unix:"):
            return _Server(socket.AF_UNIX, _cleared(address.removeprefix("unix:")), shown, mode)
        host, _, port = address.rpartition(":")
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        family, _, _, _, where = found[0]
        return _Server(family, where, shown, mode)


def _cleared(path: str) -> str:
    """Remove a socket that an earlier process has left behind."""
    if Path(path).is_socket():
        Path(path).unlink()
    return path


class _Server(ThreadingHTTPServer):
    """Serves pages, to so many clients at once."""

    request_queue_size = CLIENTS

    def __init__(
        self, family: socket.AddressFamily, where: Any, shown: Mapping[str, Page], mode: int
    ) -> None:
        self.address_family = family
        self.pages = shown
        self._mode = mode
        self._free = threading.BoundedSemaphore(CLIENTS)
        super().__init__(where, _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: that one asks a name server for the host's name.
        with permissions(self._mode):
            TCPServer.server_bind(self)

    def get_request(self) -> tuple[Any, Any]:
        try:
            request, client = super().get_request()
        except OSError:
            # Out of file descriptors the listener would be asked again at once, without end.
            time.sleep(PAUSE)
            raise
        return request, client or ("unix", 0)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        # A time-out of the socket's begins anew with every byte: whoever sends one now and then
        # would have a connection for as long as they like, and all of them with a few more.
        with Deadline(PATIENCE) as deadline:
            deadline.watch(request)
            super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 the base's
        # Of a client that went away in the middle nobody has to know.
        gone = isinstance(sys.exception(), ConnectionError | TimeoutError)
        level = logging.DEBUG if gone else logging.ERROR
        _LOG.log(level, "a request to the admin address failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            self._send(Reply(b"no such page\n", "text/plain", HTTPStatus.NOT_FOUND))
        else:
            self._send(page(self.headers.get("accept", "")))

    do_HEAD = do_GET  # noqa: N815 likewise

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("content-type", reply.content_type)
        self.send_header("content-length", str(len(reply.body)))
        self.send_header("cache-control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def version_string(self) -> str:
        return "regiongate"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base's name
        _LOG.debug(format, *args)
