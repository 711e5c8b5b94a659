"""Reading a text file that an operator names, whatever it turns out to be. Imports nothing of ours.

Neither a pipe that nobody writes to nor a file without end holds up who reads: that may be the
thread that all reloads go through.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LARGEST: Final = 256 * 1024 * 1024
"""Bytes of a file that is read whole."""
PATIENCE: Final = 5.0
"""Seconds in which a pipe has to say something."""
_PIECE: Final = 1024 * 1024


def text(path: Path) -> str:
    """Read a text file.

    Raises:
        OSError: it cannot be read, is larger than LARGEST, or is a pipe and nothing comes.
        ValueError: it is not UTF-8, or there is a NUL in the path.
    """
    return b"".join(_pieces(path)).decode()


def _pieces(path: Path) -> Iterator[bytes]:
    # To open a pipe is to wait for somebody who writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        waits = not stat.S_ISREG(os.fstat(descriptor).st_mode)
        left = LARGEST
        while True:
            if waits and not select.select([file], [], [], PATIENCE)[0]:
                raise OSError(errno.ETIMEDOUT, f"nothing has come for {PATIENCE:g} s", path)
            piece = file.read(_PIECE)
            if not piece:
                return
            left -= len(piece)
            if left < 0:
                raise OSError(errno.EFBIG, f"more than {LARGEST >> 20} MB", path)
            yield piece
