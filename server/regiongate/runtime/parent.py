"""What a worker has of its parent: its post, and its life.

The parent holds the other end of the worker's standard input and never writes to it: it ends when
the parent does, however that came about. This works everywhere; on Linux the kernel sends SIGTERM
as well, which also reaches a worker that has not begun to read.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class Post:
    """Which worker a process is, and where it listens.

    Attributes:
        settings: the sections of the configuration that its parent goes by, as JSON; empty for a
            process of its own.
    """

    worker: int
    address: str
    settings: str = ""


def end_with_parent(within: float) -> None:
    """End this process when its parent ends: kindly, and if that takes too long, at once.

    Args:
        within: seconds that a kind end may take.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    threading.Thread(target=_watch, args=(within,), name="parent", daemon=True).start()


def _watch(within: float) -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    # Not a timer of the event loop, which may be what hangs.
    threading.Event().wait(within)
    os._exit(1)
