"""Addresses to listen on: whether one is free, and who may open the file of a Unix socket."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regiongate.errors import ExpectedError


class BindError(ExpectedError, OSError):
    """An address that cannot be listened on."""


def ensure_free(address: str) -> None:
    """Try an address before an engine does.

    An engine says less of why it fails, says it in lines of its own, and takes the path of a Unix
    socket from whoever still listens there.

    Args:
        address: `host:port` or `unix:/path`.

    Raises:
        BindError: nothing can listen there, or something does.
    """
    try:
        if address.startswith("unix:"):
            _ensure_free_path(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
            family, kind, protocol, _, target = found[0]
            with socket.socket(family, kind, protocol) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(target)
    except OSError as error:
        reason = error.strerror or error
        raise BindError(f"{address}: expected a free address to listen on ({reason})") from None


def _ensure_free_path(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            # Nobody listens; a socket left behind is replaced by whoever binds the path.
            if not Path(path).parent.is_dir():
                raise
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


@contextmanager
def permissions(mode: int) -> Iterator[None]:
    """Give sockets that are bound in the with statement a mode, from the moment they are there.

    For the start, when no other thread makes files: the umask is the whole process's.
    """
    before = os.umask(0o777 & ~mode)
    try:
        yield
    finally:
        os.umask(before)
