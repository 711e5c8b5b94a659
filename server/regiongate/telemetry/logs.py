"""What the process says of itself: for people on a terminal, as JSON elsewhere."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import orjson

Format = Literal["auto", "text", "json"]

_OURS: Final = "regiongate"


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
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class _Text(logging.Formatter):
    """`12:00:00 regiongate: message`; what is not ours, or not just information, says so."""

    def __init__(self, worker: int | None) -> None:
        super().__init__(datefmt="%H:%M:%S")
        self._worker = "" if worker is None else f" worker {worker}"

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f" {record.levelname}"
        name = _OURS if record.name.startswith(_OURS) else record.name
        head = f"{self.formatTime(record, self.datefmt)}{level} {name}{self._worker}"
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{head}: {record.getMessage()}{trace}"


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
        # What a log call adds with `extra` is meant for machines.
        line |= record.__dict__.get("fields", {})
        return orjson.dumps(line, default=str).decode()
