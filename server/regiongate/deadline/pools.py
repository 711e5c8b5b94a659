"""Connections of urllib3's that are cut at a deadline."""

from __future__ import annotations

import logging
import socket
from typing import Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from regiongate import deadline


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        deadline.watch(connection)
        return connection


class _Tls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        deadline.watch(connection)
        return connection


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


# Its warnings quote addresses, as that of an answer with a bad header, and they may hold secrets.
logging.getLogger("urllib3").setLevel(logging.ERROR)

POOLS: Final[dict[str, type]] = {"http": _PlainPool, "https": _TlsPool}
"""By scheme, for a pool manager. Only connections that are new within a deadline are cut at it."""
