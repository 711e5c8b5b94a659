"""Whether gRPC takes certificates, tried with servers that answer nobody.

gRPC has BoringSSL in it, which takes other keys and other forms of PEM than Python's OpenSSL, and
says of a rotation that it cannot use nothing at all. Nothing here knows where they come from.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import grpc

_HOST: Final = "127.0.0.1"

_PATIENCE: Final = 5.0
"""Seconds that a handshake may take; it takes some milliseconds."""

_GIVEN_UP: Final = "Handshake read failed"
"""What gRPC's client says of a server that has nothing it could sign with for this client."""

_CLIENT: Final = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
"""No way round, and no connection of another channel's."""


def is_servable(credentials: grpc.ServerCredentials) -> bool:
    """Say whether a server can listen with credentials; also where none can listen at all."""
    with _served(credentials) as port:
        return port is not None or not _can_listen()


def is_taken(key: bytes, chain: bytes) -> bool:
    """Say whether gRPC's own client takes a server's key; also where that cannot be tried.

    Args:
        key: PEM, as the other.
        chain: certificates, the server's first. What the client thinks of those is not asked.
    """
    with _served(grpc.ssl_server_credentials([(key, chain)])) as port:
        if port is None:
            return True
        return _GIVEN_UP not in _objection(port, grpc.ssl_channel_credentials(chain))


@contextmanager
def _served(credentials: grpc.ServerCredentials) -> Iterator[int | None]:
    """Serve nothing, and lend the port; None where that is not possible."""
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        try:
            port = server.add_secure_port(f"{_HOST}:0", credentials)
        except RuntimeError:
            yield None
            return
        # A server that was never started keeps its port for ever.
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()


def _can_listen() -> bool:
    try:
        socket.create_server((_HOST, 0)).close()
    except OSError:
        return False
    return True


def _objection(port: int, credentials: grpc.ChannelCredentials) -> str:
    """Call what is not there, and return why it failed: at the latest because of that."""
    with grpc.secure_channel(f"{_HOST}:{port}", credentials, options=_CLIENT) as channel:
        call = channel.unary_unary("/none/none", bytes, bytes)
        try:
            call(b"", timeout=_PATIENCE)
        except grpc.RpcError as error:
            return str(error.details())
    return ""
