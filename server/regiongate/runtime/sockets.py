"""Addresses to listen on: whether one is free, and who may open the file of a Unix socket."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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
    with told(address):
        if address.startswith("unix:"):
            _ensure_free_path(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            _ensure_bindable(host, int(port))


def ensure_possible(address: str) -> None:
    """Try whether an address could be listened on here, though something may do so now.

    Args:
        address: `host:port` or `unix:/path`.

    Raises:
        BindError: its host cannot be looked up, or is not this machine; or its folder is not there,
            or not to be written to.
    """
    with told(address):
        if address.startswith("unix:"):
            path = address.removeprefix("unix:")
            _ensure_place(path)
            _ensure_short(path)
        else:
            # At any port that is free: whether this one is says nothing of later.
            _ensure_bindable(address.rpartition(":")[0], 0)


@contextmanager
def told(address: str) -> Iterator[None]:
    """Make a BindError of why an address cannot be listened on, with what was expected instead."""
    try:
        yield
    except (OSError, UnicodeError) as error:  # a name that can be no host's is a UnicodeError
        reason = getattr(error, "strerror", None) or error
        raise BindError(f"{address}: expected {_expected(error)} ({reason})") from None


def _expected(error: OSError | UnicodeError) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "a host that can be looked up"
    return _EXPECTED.get(error.errno or 0, "an address that can be listened on")


_EXPECTED: Final = {
    errno.EADDRINUSE: "a free address to listen on",
    errno.EADDRNOTAVAIL: "an address of this machine",
    errno.EACCES: "an address that this user may listen on",
    errno.ENOENT: "a path in a folder that is there",
    errno.EEXIST: "a path where there is nothing, or a socket",
}


def _ensure_bindable(host: str, port: int) -> None:
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, target = found[0]
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(target)


def _ensure_free_path(path: str) -> None:
    _ensure_place(path)
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return  # Nobody listens; a socket left behind is replaced by whoever binds the path.
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _ensure_place(path: str) -> None:
    """Expect that a socket can be made at a path, or be replaced."""
    place = Path(path)
    folder = place.parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if place.exists() and not place.is_socket():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    effective = os.access in os.supports_effective_ids
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _ensure_short(path: str) -> None:
    """Expect that a path is no longer than that of a socket may be."""
    # Whoever listens on a stream hears nothing of a datagram socket.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect(path)
        except OSError as error:
            if error.errno is None:  # what Python says itself, and not the system
                raise


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
