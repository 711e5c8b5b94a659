"""Durations as an operator writes and reads them: 30s, 24h, 30d."""

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
_WRITTEN: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d|w)", re.ASCII)

LONGEST: Final = timedelta(days=36525)
"""A hundred years: more than that is a slip, and breaks the calendar."""


def duration(text: Any) -> timedelta:
    """Read a duration.

    Args:
        text: a whole number and a unit: ms, s, m, h, d or w.

    Raises:
        ValueError: it is anything else, no time at all, or more than a hundred years.
    """
    read = delay(text)
    if not read:
        raise ValueError(f"expected a duration of more than nothing (got {text!r})")
    return read


def written(time: timedelta) -> str:
    """Write a duration in the largest unit that it is a whole number of; one day is 24h."""
    for unit, least in (("d", 2), ("h", 1), ("m", 1), ("s", 1)):
        count, rest = divmod(time, _UNITS[unit])
        if count >= least and not rest:
            return f"{count}{unit}"
    return f"{time // _UNITS['ms']}ms"


def delay(text: Any) -> timedelta:
    """Read a duration that may be 0s.

    Raises:
        ValueError: it is anything else, or more than a hundred years.
    """
    found = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"expected a duration such as 30s, 24h or 30d (got {text!r})")
    count, unit = int(found[1]), _UNITS[found[2]]
    if count > LONGEST // unit:
        raise ValueError(f"expected a duration of at most a hundred years (got {text!r})")
    return count * unit
