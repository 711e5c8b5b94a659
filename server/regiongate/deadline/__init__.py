"""A time after which connections are cut, whatever they are waiting for.

A timeout of a socket starts anew with every byte, so that a server that sends one now and then
would be listened to for days: in a body, in a header, in a TLS handshake. Nothing here knows HTTP.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Self

_CURRENT: Final[ContextVar[Deadline | None]] = ContextVar("deadline", default=None)


class Deadline:
    """Cuts the connections that are watched when the time is up; a context manager.

    Args:
        seconds: from the beginning of the with statement.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._end = 0.0
        self.passed = False

    def __enter__(self) -> Self:
        self._end = time.monotonic() + self.seconds
        self._token = _CURRENT.set(self)
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        _CURRENT.reset(self._token)
        with self._lock:
            for one in self._watched:
                one.close()
            self._watched.clear()

    @property
    def remaining(self) -> float:
        """Seconds until the time is up."""
        return max(0.0, self._end - time.monotonic())

    def watch(self, connection: socket.socket) -> None:
        """Cut a connection when the time is up, or now if it is.

        What is kept is a duplicate: TLS takes the original away from its socket object.
        """
        with self._lock:
            self._watched.append(connection.dup())
        if self.passed:
            self._cut()

    def _cut(self) -> None:
        self.passed = True
        with self._lock:
            for one in self._watched:
                with suppress(OSError):  # It has ended by itself.
                    one.shutdown(socket.SHUT_RDWR)


def watch(connection: socket.socket) -> None:
    """Cut a connection at the deadline of the with statement that this is within, if any."""
    deadline = _CURRENT.get()
    if deadline is not None:
        deadline.watch(connection)


def passed() -> Deadline | None:
    """Return the deadline of the with statement that this is within if its time is up."""
    deadline = _CURRENT.get()
    return deadline if deadline is not None and deadline.passed else None
