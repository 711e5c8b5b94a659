"""What is logged as a warning while a command works, told as a command's own warnings are.

A service writes it to its log; a command has none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import regiongate


class _Gathering(logging.Handler):
    """Keeps messages, each once."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        message = record.getMessage()
        if message not in self._messages:
            self._messages.append(message)


@contextmanager
def gathered() -> Iterator[list[str]]:
    """Lend a list that warnings are added to until the end of the with statement."""
    messages: list[str] = []
    handler, log = _Gathering(messages), logging.getLogger(regiongate.__name__)
    log.addHandler(handler)
    try:
        yield messages
    finally:
        log.removeHandler(handler)
