"""Asks a running service what it says of itself, at its admin address."""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

import orjson

from regiongate.printable import printable

PATIENCE: Final = 2.0
"""Seconds that the service may take."""

_MOST: Final = 16 * 2**20
"""Bytes that are read of an answer."""


class InquiryError(Exception):
    """Nobody answers, or not as a service does; the message is one line."""


def ask(address: str, page: str) -> Any:
    """Return what a page says, whatever the status.

    Args:
        address: `host:port` or `unix:/path`.
        page: its path, of those that are JSON.

    Raises:
        InquiryError: nobody answers there, or not as a service does.
    """
    connection = _connection(address)
    try:
        connection.request("GET", page)
        return orjson.loads(connection.getresponse().read(_MOST))
    except OSError as error:
        raise InquiryError(f"{address}: nobody answers ({error.strerror or error})") from None
    except (HTTPException, ValueError) as error:
        why = printable(str(error))
        raise InquiryError(f"{address}{page}: expected an answer in JSON ({why})") from None
    finally:
        connection.close()


def _connection(address: str) -> HTTPConnection:
    if address.startswith("unix:"):
        return _UnixConnection(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    return HTTPConnection(host.strip("[]"), int(port), timeout=PATIENCE)


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)
