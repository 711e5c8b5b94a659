"""Where something listens: a loopback port or a Unix socket."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.errors import DemoError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Tcp:
    """A port on the loopback interface."""

    port: int

    def __str__(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def for_envoy(self) -> dict[str, Any]:
        """Return Envoy's `config.core.v3.Address`."""
        return {"socket_address": {"address": LOOPBACK, "port_value": self.port}}


@dataclass(frozen=True, slots=True)
class Unix:
    """A Unix socket; its path must be short (107 bytes on Linux)."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"

    def for_envoy(self) -> dict[str, Any]:
        """Return Envoy's `config.core.v3.Address`."""
        return {"pipe": {"path": str(self.path)}}


Address = Tcp | Unix


@contextmanager
def reserved(port: int = 0) -> Iterator[Tcp]:
    """Keep a port from being given to anybody else until the one it is for listens on it.

    A socket that is bound but does not listen does that: with SO_REUSEADDR, which every server
    sets, another may bind the same port beside it.

    Args:
        port: a particular one, or 0 for any that is free.

    Raises:
        DemoError: the particular port is in use.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            hint = f"see what listens there with: ss -ltnp 'sport = :{port}'"
            raise DemoError(f"port {port} is in use; {hint}") from None
        yield Tcp(holder.getsockname()[1])
