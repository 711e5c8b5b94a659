"""Which files have been rehearsed, so that a start need not wait for it again.

What a reader has decoded once without harm, the same reader decodes without harm for ever. An entry
is an empty file whose name is all that it says: the digest of what was decoded, and by which
reader. So there is no half of one, and none that is damaged. Where nothing can be written nothing
is remembered, and every start rehearses.
"""

import os
import stat
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import maxminddb

HANDED_DOWN: Final = "REGIONGATE_REHEARSED"
"""The variable of the environment in which a parent hands entries down to its workers."""

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def entry(digest: str) -> str:
    """Name the rehearsal of a file by the reader that is installed here.

    Args:
        digest: SHA-256 of the file, in hexadecimal.
    """
    # Another release or build of the reader may die where this one did not.
    return f"{digest}-maxminddb-{maxminddb.__version__}-{sysconfig.get_platform()}"


def is_remembered(name: str) -> bool:
    """Say whether there is an entry, which nobody else can have made."""
    if name in os.environ.get(HANDED_DOWN, "").split():
        return True
    folder = _folder()
    return folder is not None and _is_ours(folder, stat.S_ISDIR) and _is_ours(folder / name)


def remember(name: str) -> None:
    """Make an entry, where that can be done."""
    folder = _folder()
    if folder is None:
        return
    with suppress(OSError):
        folder.mkdir(0o700, parents=True, exist_ok=True)
        if _is_ours(folder, stat.S_ISDIR):
            # A link that was put there is not followed, and what it points to not touched.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(folder / name, flags, 0o600))


def _folder() -> Path | None:
    """Return where the entries are, if the system has a place for them.

    systemd names one where a unit has CacheDirectory=; a user's own is that of the XDG Base
    Directory Specification.
    """
    services = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    users = os.environ.get("XDG_CACHE_HOME", "") or os.path.expanduser("~/.cache")  # noqa: PTH111 Path's raises where there is no home
    folder = Path(services or Path(users, "regiongate"), "rehearsed")
    return folder if folder.is_absolute() else None


def _is_ours(path: Path, is_kind: Callable[[int], bool] = stat.S_ISREG) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    own = found.st_uid == os.geteuid() and not found.st_mode & _WRITABLE_BY_OTHERS
    return own and is_kind(found.st_mode)
