"""The decision log: one JSON object a line, written off the request's way.

A Check is never held up: what the writer cannot keep up with is dropped and counted, and a disk
that is full or a pipe that is closed costs lines, not answers. A line is made at once, which takes
less than to keep the Check for later; a thread writes it, which the disk may hold up. Several
processes may write to one file or pipe; their lines do not mix.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from regiongate.extauthz.service import Event
from regiongate.policy.decide import Verdict
from regiongate.telemetry import privacy
from regiongate.telemetry.record import record

CAPACITY: Final = 10_000
"""Lines that may wait to be written."""

CAPACITY_BYTES: Final = 32 * 1024 * 1024
"""Bytes of them, by default."""

BATCH: Final = 500
"""Lines written at once; a failure costs no more than these."""

GATHERED: Final = 0.01
"""Seconds for which lines gather before they are written: waking the writer for each of them would
cost a busy service more than the writing."""

LOCK_TRIES: Final = 50
LOCK_SECONDS: Final = 0.002
"""How often, and how long after each other, it is tried to be alone with a file: other processes
write for microseconds."""

STDOUT: Final = "-"

_FORM: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z

_LOG: Final = logging.getLogger(__name__)


class DecisionLog:
    """Writes decisions down.

    Args:
        path: of the file, appended to; None for standard output.
        sample_allowed: the share of plain allows that is written, 0 to 1. What is denied, or will
            be, always is.
        address: how much of a client's address is written.
        capacity: bytes of lines that may wait to be written: a client decides how long a line is.

    Attributes:
        sampled_out: how many were left out by sampling.
        written: how many lines were written.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(
        self,
        path: Path | None,
        sample_allowed: float = 1.0,
        address: privacy.Privacy = privacy.full,
        capacity: int = CAPACITY_BYTES,
    ) -> None:
        self._path = path
        self._sample = sample_allowed
        self._address = address
        self._capacity = capacity
        self._lines: deque[bytes] = deque()
        # Bytes of lines, each counted by one thread.
        self._made = 0
        self._taken = 0
        self._waiting = threading.Event()
        self._closing = threading.Event()
        self._reopen = threading.Event()
        self._failing = False
        self._torn = False
        self._overflown = 0
        self._lost = 0
        self.sampled_out = 0
        self.written = 0
        self._descriptor = self._open()
        self._writer = threading.Thread(target=self._write_all, name="decision-log", daemon=True)
        self._writer.start()

    @property
    def dropped(self) -> int:
        """How many events were lost to a full queue or a failing disk."""
        # Two counts, each of one thread: adding to one from two threads would lose some.
        return self._overflown + self._lost

    @property
    def failing(self) -> bool:
        """Whether the last lines could not be written."""
        return self._failing

    @property
    def queued(self) -> int:
        """How many lines wait to be written."""
        return len(self._lines)

    def write(self, event: Event) -> None:
        """Take note of a decision; returns at once."""
        plain = event.told.outcome == event.told.policy_verdict == Verdict.ALLOW
        if plain and random.random() >= self._sample:  # noqa: S311 a sample, not a secret
            self.sampled_out += 1
            return
        if len(self._lines) >= CAPACITY or self._made - self._taken > self._capacity:
            self._overflown += 1
            return
        written = record(event)
        if "source" in written:
            written["source"] = self._address(written["source"])
        line = orjson.dumps(written, option=_FORM)
        self._lines.append(line)
        self._made += len(line)
        if not self._waiting.is_set():
            self._waiting.set()

    def reopen(self) -> None:
        """Open the file anew before the next line, as logrotate needs it."""
        self._reopen.set()

    def close(self, timeout: float = 5.0) -> None:
        """Write what is waiting, and stop.

        Args:
            timeout: seconds; a disk that hangs does not keep the process from ending.
        """
        self._closing.set()
        self._waiting.set()
        self._writer.join(timeout)

    def _write_all(self) -> None:
        ended = False
        while not ended:
            self._waiting.wait()
            ended = self._closing.wait(GATHERED)
            self._waiting.clear()
            while self._lines:
                lines = [self._lines.popleft() for _ in range(min(BATCH, len(self._lines)))]
                self._write(lines)
                self._taken += sum(map(len, lines))

    def _write(self, lines: list[bytes]) -> None:
        # What a full disk has cut short must not spoil the line that follows.
        mend = b"\n" if self._torn else b""
        data = mend + b"".join(lines)
        arrived = data[: self._append(data)]
        if not arrived:
            self._lost += len(lines)
            return
        done = arrived.count(b"\n") - len(mend)
        self._torn = not arrived.endswith(b"\n")
        self.written += done
        self._lost += len(lines) - done

    def _append(self, data: bytes) -> int:
        """Write as much as can be, and return how many bytes that was."""
        sent = 0
        try:
            self._follow()
            with _alone(self._descriptor):
                while sent < len(data):
                    sent += os.write(self._descriptor, data[sent:])
        except OSError as error:
            self._fail("loses lines", error)
        else:
            self._failing = self._reopen.is_set()
        return sent

    def _follow(self) -> None:
        """Open the file anew where that was asked for; until it can be, lines go on as before."""
        if not self._reopen.is_set():
            return
        self._reopen.clear()
        try:
            self._descriptor = self._open(self._descriptor)
        except OSError as error:
            self._reopen.set()
            self._fail("cannot be opened anew, and goes on in the file that it had", error)

    def _fail(self, how: str, error: OSError) -> None:
        """Say what is wrong, once until it works again."""
        if not self._failing:
            _LOG.error("the decision log %s: %s", how, error)
        self._failing = True

    def _open(self, old: int | None = None) -> int:
        if self._path is None:
            return sys.stdout.fileno()
        # A pipe that nobody reads is an error, and not something to wait for.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        new = os.open(self._path, flags, 0o640)
        os.set_blocking(new, True)
        if old is not None:
            os.close(old)
        return new


@contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """Keep other processes from writing to a file, or to a pipe, meanwhile.

    A pipe takes no more than 4096 bytes at once without those of others in between. Where there are
    no locks, on some network file systems, lines may mix.
    """
    locked = _locked(descriptor)
    try:
        yield
    finally:
        if locked:
            fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _locked(descriptor: int) -> bool:
    """Lock a file, unless somebody keeps it: whoever may read it could, and end the log with it."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_SECONDS)
        except OSError:
            return False
        else:
            return True
    return False
