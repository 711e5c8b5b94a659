"""Copies a file to where nobody else can change it.

A database is mapped into memory, and a mapped file that is truncated or overwritten in place by an
operator's `cp` kills the process that reads it (SIGBUS) or gives it a mixture of two files. Nothing
here knows what is copied.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import BinaryIO

if sys.platform == "linux":
    import fcntl

    @contextmanager
    def sealed_in_memory(source: BinaryIO) -> Iterator[str]:
        """Lend the path of a copy in memory, sealed against every change (memfd_create(2)).

        What has been opened through the path outlives it.
        """
        descriptor = os.memfd_create("regiongate", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(descriptor, "wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            fcntl.fcntl(
                copy,
                fcntl.F_ADD_SEALS,
                fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL,
            )
            yield f"/proc/self/fd/{descriptor}"


@contextmanager
def unlinked(source: BinaryIO) -> Iterator[str]:
    """Lend the path of a temporary file that only this user may open and that is then unlinked.

    What has been opened through the path outlives it.
    """
    with NamedTemporaryFile(prefix="regiongate-") as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        yield copy.name


private_copy = sealed_in_memory if sys.platform == "linux" else unlinked
