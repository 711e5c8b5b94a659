"""Who may connect to a Unix socket: the permissions of its file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def permissions(mode: int) -> Iterator[None]:
    """Give sockets that are bound in the with statement a mode, from the moment they are there.

    For the start, when no other thread makes files: the umask is the whole process's.
    """
    before = os.umask(0o777 & ~mode)
    try:
        yield
    finally:
        os.umask(before)
