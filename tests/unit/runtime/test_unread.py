"""Which files are read again although nothing about them has changed."""

from __future__ import annotations

import errno
import ssl
from pathlib import Path

import pytest

from regiongate.documents import DocumentError, Problem
from regiongate.runtime.files import Files, Part

REASONS = {
    "out of descriptors": (OSError(errno.EMFILE, "Too many open files"), True),
    "not ours to read": (PermissionError(errno.EACCES, "Permission denied"), True),
    "not there": (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
    "a key of another certificate": (ssl.SSLError(errno.ESTALE, "KEY_VALUES_MISMATCH"), False),
    "wrong in itself": (ValueError("expected something else"), False),
}


@pytest.mark.parametrize(("reason", "again"), REASONS.values(), ids=REASONS)
def test_what_the_system_may_let_be_read_later_is_tried_again(
    reason: Exception, *, again: bool, tmp_path: Path
) -> None:
    """And nothing else: what is wrong in a file stays so until that is changed."""
    path, tries, failing = tmp_path / "file", list[str](), False
    path.write_text("before")

    def load(files: Files, _: str | None) -> str:
        tries.append(text := files.path(path).read_text())
        if failing:
            raise DocumentError([Problem("file", 1, "", "it cannot be used")]) from reason
        return text

    part = Part("file", load)
    failing = True
    path.write_text("after, and longer")
    for _ in range(6):
        part.poll()
    assert (len(tries) > 2) == again
    failing = False
    part.poll()
    part.poll()
    assert (part.value == "after, and longer") == again
