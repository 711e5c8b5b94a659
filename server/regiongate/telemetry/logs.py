"""What the process says of itself: for people on a terminal, as JSON elsewhere.

Whatever is said goes this way: by libraries, by Python's warnings, and by what ends a thread or the
process. Only gRPC's core has a way and a form of its own; it is silent unless it is asked to speak.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import orjson

from regiongate.printable import printable

Format = Literal["auto", "text", "json"]

_OURS: Final = "regiongate"

SELDOM: Final = 10.0
"""Seconds in which a library's message is not repeated: out of file descriptors, the native engine
says so twenty times a second."""

DIFFERENT: Final = 1000
"""Messages that are remembered for that."""

_QUOTING: Final = frozenset({("grpc._cython.cygrpc", "Invalid encoding on %s")})
"""What libraries say of a caller's metadata by quoting it. It may be anything, a key too, and is
judged as it is: nobody has to act on it."""

_LOG: Final = logging.getLogger(_OURS)


def configure(form: Format, worker: int | None = None, stream: TextIO | None = None) -> None:
    """Let the process's log go to a stream.

    Args:
        form: auto is text on a terminal and JSON elsewhere.
        worker: of many, which this process is.
        stream: None for standard error.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    as_text = form == "text" or (form == "auto" and stream.isatty())
    handler.setFormatter(_Text(worker) if as_text else _Json(worker))
    handler.addFilter(Seldom())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _ended_by
    threading.excepthook = lambda told: _ended_by(told.exc_type, told.exc_value)


class Seldom(logging.Filter):
    """Lets what a library repeats pass once in a while, and never what quotes a caller.

    Args:
        clock: tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record passes."""
        if record.name.startswith(_OURS):
            return True
        said, now = (record.name, record.msg), self._clock()
        if said in _QUOTING:
            return False
        if now - self._last.get(said, -SELDOM) < SELDOM:
            return False
        if len(self._last) >= DIFFERENT:
            self._last.clear()
        self._last[said] = now
        return True


def _ended_by(kind: type[BaseException], error: BaseException | None, *_: object) -> None:
    """Log what would otherwise be a traceback on standard error."""
    if error is not None and issubclass(kind, Exception):
        _LOG.critical("ended by an error", exc_info=(kind, error, error.__traceback__))


class _Text(logging.Formatter):
    """`12:00:00 regiongate: message`; what is not ours, or not just information, says so.

    Messages quote what others have written. Nothing in one is an order to a terminal, and what
    follows on lines of its own is indented, so that it is not taken for another message.
    """

    def __init__(self, worker: int | None) -> None:
        super().__init__(datefmt="%H:%M:%S")
        self._worker = "" if worker is None else f" worker {worker}"

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f" {record.levelname}"
        name = _OURS if record.name.startswith(_OURS) else record.name
        head = f"{self.formatTime(record, self.datefmt)}{level} {name}{self._worker}"
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        lines = f"{head}: {record.getMessage().rstrip()}{trace}".split("\n")
        return "\n  ".join(map(printable, lines))


class _Json(logging.Formatter):
    """An object a line."""

    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._worker is not None:
            line["worker"] = self._worker
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()
