"""Durations as an operator writes them: 30s, 24h, 30d."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_WRITTEN: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d|w)")


def duration(text: Any) -> timedelta:
    """Read a duration.

    Args:
        text: a whole number and a unit: ms, s, m, h, d or w.

    Raises:
        ValueError: it is anything else, or nothing at all.
    """
    found = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if not found or int(found[1]) == 0:
        raise ValueError(f"expected a duration such as 30s, 24h or 30d (got {text!r})")
    return int(found[1]) * _UNITS[found[2]]
