"""What the process uses of the machine, where the system tells."""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from regiongate.telemetry import metrics

SCARCE: Final = 0.9
"""The share of file descriptors in use from which an operator is told."""


def measured() -> Iterator[tuple[metrics.Family, float]]:
    """Yield gauges of the process."""
    for family, value in ((metrics.MEMORY, resident()), (metrics.FILES, open_files())):
        if value is not None:
            yield family, value


def problem() -> str:
    """Say that the file descriptors come to an end, if they do: no connection can be accepted then.

    Connections that are there go on, and so do those that come once there are descriptors again.
    """
    used, limit = open_files(), _most_files()
    if used is None or used < SCARCE * limit:
        return ""
    return f"{used} of {limit} file descriptors are in use"


def resident() -> int | None:
    """Return the bytes of memory in use; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int | None:
    """Return how many file descriptors are in use; None where the system does not tell."""
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError as error:
        # Looking takes one, and there is none left.
        return _most_files() if error.errno == errno.EMFILE else None


def _most_files() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit if limit != resource.RLIM_INFINITY else sys.maxsize
