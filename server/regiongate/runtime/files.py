"""Files that are watched: what was read, in what state it was, and whether that has changed.

A change is believed once the file has held still from one look to the next, so that a file half
written is not read. Looking is enough: it works for a rename, an overwrite and the symbolic links
of a ConfigMap alike, and on any file system.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from ssl import SSLError
from typing import Final, Generic, TypeVar

from regiongate.documents import DocumentError, Problem
from regiongate.errors import ExpectedError
from regiongate.geo import DatabaseError
from regiongate.runtime import config

_LOG: Final = logging.getLogger(__name__)

_PASSING: Final = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.ESTALE, errno.ETIMEDOUT)
}
"""What keeps a file that is there from being read, and may end without a change of the file."""

Stamp = tuple[int, int, int, int] | None
"""Device, inode, time of change in nanoseconds and size; None for a file that is not there."""


class LoadError(ExpectedError):
    """Files that cannot be put in force; `problems` holds every reason found."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class EarlyError(DocumentError):
    """A file that can be put in force from a moment on, as it is."""

    def __init__(self, problems: Iterable[Problem], moment: datetime) -> None:
        super().__init__(problems)
        self.moment = moment


Unusable = (DocumentError, DatabaseError, LoadError)
"""Why a file cannot be put in force."""

Value = TypeVar("Value")

Reloaded = Callable[[str, bool], None]
"""Is told of a reload: of which part, and whether what was read is in force."""


def reasons(error: Exception) -> list[str]:
    """Return what an error of `Unusable` holds against the files, a problem each."""
    if isinstance(error, DocumentError | LoadError):
        return [str(problem) for problem in error.problems]
    return [str(error)]


class Files:
    """The files that something is made of.

    Args:
        known: files to watch even if they are not read this time.
    """

    def __init__(self, known: Iterable[Path] = ()) -> None:
        self._stamps = {path: _stamp(path) for path in known}

    @property
    def paths(self) -> frozenset[Path]:
        """Every file that was read, or was to be."""
        return frozenset(self._stamps)

    def path(self, path: Path) -> Path:
        """Take note of a file that is about to be read."""
        self._stamps.setdefault(path, _stamp(path))
        return path

    def text(self, path: Path) -> str:
        """Read a text file.

        Raises:
            DocumentError: it cannot be read or is not UTF-8.
        """
        return config.text(self.path(path))

    def now(self) -> dict[Path, Stamp]:
        """Look at every file again."""
        return {path: _stamp(path) for path in self._stamps}

    def written_to(self) -> list[Path]:
        """Name the files that were written to in place since they were read.

        One that was renamed over was whole when it was read, and is another now.
        """
        now = self.now()
        return [
            path
            for path, stamp in self._stamps.items()
            if stamp and (later := now[path]) and later[:2] == stamp[:2] and later != stamp
        ]

    def forget(self) -> None:
        """Take every file for one that has not been read."""
        self._stamps = dict.fromkeys(self._stamps)

    def differ_from(self, stamps: dict[Path, Stamp]) -> bool:
        """Say whether any file was in another state when it was read."""
        return self._stamps != stamps


class Part(Generic[Value]):
    """Something made of files, made again when they change.

    Args:
        name: for the log.
        load: makes it, given the files to read through and what is in force so far, which it
            returns where the files say nothing else.
        reloaded: is told of every reload, by name, and whether what was read is in force.
        files: to read through the first time; they tell the caller what was read, or was to be.
        used: what another part has in force, in whose place this one comes.

    Raises:
        DocumentError, DatabaseError: it cannot be made the first time.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[Files, Value | None], Value],
        reloaded: Reloaded = lambda _name, _done: None,
        files: Files | None = None,
        used: Value | None = None,
    ) -> None:
        self.name = name
        self._load = load
        self._reloaded = reloaded
        self._files = Files() if files is None else files
        self._seen: dict[Path, Stamp] = {}
        self._unread = False
        self.value = load(self._files, used)
        self.error: Exception | None = None

    @property
    def problem(self) -> str:
        """Why what was read last is not in force; empty if it is."""
        return "" if self.error is None else str(self.error)

    def now(self) -> dict[Path, Stamp]:
        """Look at the state of every file."""
        return self._files.now()

    def poll(self) -> bool:
        """Reload if the files have changed and then held still; say if the value is another.

        What came too early is tried again when its time has come.
        """
        seen, self._seen = self._seen, self._files.now()
        changed = self._files.differ_from(self._seen) or self._is_due()
        return changed and seen == self._seen and self.reload(again=self._unread)

    def _is_due(self) -> bool:
        return isinstance(self.error, EarlyError) and self.error.moment <= datetime.now(UTC)

    def reload(self, *, again: bool = False) -> bool:
        """Reload now, and say if the value is another.

        What cannot be used leaves the one in force as it is.

        Args:
            again: only what has not been said of the last time is told.
        """
        files = Files(self._files.paths)
        try:
            value = self._load(files, self.value)
            if written := files.written_to():
                raise LoadError(
                    [f"{path}: expected a file that nobody writes to" for path in written]
                )
        except Unusable as error:
            if not (again and str(error) == self.problem):
                _LOG.error(
                    "the new %s cannot be used, what is in force stays:\n%s", self.name, error
                )
                self._reloaded(self.name, False)  # noqa: FBT003 a port of two words
            self.error, self._unread = error, _is_unread(error)
            if self._unread:
                # Nothing about the file has to change for it to be readable: it is tried again.
                files.forget()
            return False
        finally:
            self._files = files
        before, self.value, self.error, self._unread = self.value, value, None, False
        self._reloaded(self.name, True)  # noqa: FBT003 a port of two words
        return value is not before


def _is_unread(error: BaseException | None) -> bool:
    """Say whether the system has kept a file that is there from being read."""
    while error is not None:
        # The number of an error of TLS is OpenSSL's own.
        if isinstance(error, OSError) and not isinstance(error, SSLError):
            return error.errno in _PASSING
        error = error.__cause__ or error.__context__
    return False


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except (OSError, ValueError):  # a NUL in the path is a ValueError
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
