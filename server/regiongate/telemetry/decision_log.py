"""The decision log: one JSON object a line, written off the request's way.

A Check is never held up: what the writer cannot keep up with is dropped and counted, and a disk
that is full or a pipe that is closed costs lines, not answers.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from regiongate.extauthz.service import Event
from regiongate.policy.decide import Verdict
from regiongate.telemetry.record import record

CAPACITY: Final = 10_000
"""Events that may wait to be written."""

STDOUT: Final = "-"

_LOG: Final = logging.getLogger(__name__)


class DecisionLog:
    """Writes decisions down.

    Args:
        path: of the file, appended to; None for standard output.
        sample_allowed: the share of plain allows that is written, 0 to 1. What is denied, or will
            be, always is.

    Attributes:
        dropped: how many events were lost to a full queue or a failing disk.
    """

    def __init__(self, path: Path | None, sample_allowed: float = 1.0) -> None:
        self._path = path
        self._sample = sample_allowed
        self._events: queue.Queue[Event | None] = queue.Queue(CAPACITY)
        self._reopen = threading.Event()
        self.dropped = 0
        self._descriptor = self._open()
        self._writer = threading.Thread(target=self._write_all, name="decision-log", daemon=True)
        self._writer.start()

    def write(self, event: Event) -> None:
        """Take note of a decision; returns at once."""
        plain = event.told.outcome == event.told.policy_verdict == Verdict.ALLOW
        if plain and random.random() >= self._sample:  # noqa: S311 a sample, not a secret
            return
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self.dropped += 1

    def reopen(self) -> None:
        """Open the file anew before the next line, as logrotate needs it."""
        self._reopen.set()

    def close(self, timeout: float = 5.0) -> None:
        """Write what is waiting, and stop.

        Args:
            timeout: seconds; a disk that hangs does not keep the process from ending.
        """
        with suppress(queue.Full):
            self._events.put(None, timeout=timeout)
        self._writer.join(timeout)

    def _write_all(self) -> None:
        while (event := self._events.get()) is not None:
            lines = [self._line(event)]
            # One system call for all that has gathered meanwhile.
            while len(lines) < CAPACITY:
                try:
                    event = self._events.get_nowait()
                except queue.Empty:
                    break
                if event is None:
                    self._write(lines)
                    return
                lines.append(self._line(event))
            self._write(lines)

    def _line(self, event: Event) -> bytes:
        return orjson.dumps(record(event), option=orjson.OPT_APPEND_NEWLINE)

    def _write(self, lines: list[bytes]) -> None:
        try:
            if self._reopen.is_set():
                self._reopen.clear()
                self._descriptor = self._open(self._descriptor)
            data = b"".join(lines)
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            if not self.dropped:
                _LOG.error("the decision log loses lines: %s", error)
            self.dropped += len(lines)

    def _open(self, old: int | None = None) -> int:
        if self._path is None:
            return sys.stdout.fileno()
        new = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if old is not None:
            os.close(old)
        return new
