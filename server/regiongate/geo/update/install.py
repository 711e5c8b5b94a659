"""Puts a database where it is to be: whole, judged, and in one step.

It is written beside the one in use, under a name that only the holder of the lock uses, and takes
its place when it has passed the gate (rename(2)). Whatever ends this process at whatever time, the
one in use is one of the two, whole; what is left over goes with the next update.

Beside NAME there is `.NAME.update`: locked while an update is under way, and the note of where the
file came from. Nothing here knows how a database is fetched.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self, TextIO

import orjson

from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.gate import Gate
from regiongate.geo.update.errors import UpdateError
from regiongate.geo.update.web import Validators

LOOK_SECONDS: Final = 0.1
"""How often it is looked whether a lock is free."""
_LONGEST_NOTE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Note:
    """Where a file came from.

    Attributes:
        digest: SHA-256 of the file, in hexadecimal: a note of another file says nothing.
    """

    url: str = ""
    etag: str = ""
    last_modified: str = ""
    digest: str = ""

    @classmethod
    def read(cls, file: TextIO) -> Self:
        """Read a note; an empty one where there is none, or none that makes sense."""
        file.seek(0)
        try:
            written = orjson.loads(file.read(_LONGEST_NOTE))
            values = {one.name: written[one.name] for one in fields(cls)}
        except (ValueError, KeyError, TypeError):
            return cls()
        sound = all(isinstance(one, str) and one.isprintable() for one in values.values())
        return cls(**values) if sound else cls()

    def write(self, file: TextIO) -> None:
        """Write it in the place of another."""
        file.seek(0)
        file.truncate()
        file.write(orjson.dumps(asdict(self)).decode())
        file.flush()


@dataclass(frozen=True, slots=True)
class Held:
    """The file that is there already; see `sources.Held`."""

    path: Path
    note: Note

    def validators(self, url: str) -> Validators:
        """Return what the file was served with, if it is what came from this address."""
        if not self.is_from(url):
            return Validators()
        # The note may be of a release that took down whatever it was sent.
        return Validators.usable(self.note.etag, self.note.last_modified, datetime.now(UTC))

    def is_from(self, url: str) -> bool:
        """Say whether the file is what came from this address."""
        return self.note.url == url and self.note.digest == _digest(self.path, "sha256")

    def md5(self) -> str:
        """Return the checksum of the file; empty where there is none."""
        return _digest(self.path, "md5")


@dataclass(frozen=True, slots=True)
class Nothing:
    """What is held by someone who wants it anew; see `sources.Held`."""

    def validators(self, url: str) -> Validators:  # noqa: ARG002 the port's
        """Return nothing."""
        return Validators()

    def is_from(self, url: str) -> bool:  # noqa: ARG002 the port's
        """Return False."""
        return False

    def md5(self) -> str:
        """Return nothing."""
        return ""


class Place:
    """Where a database is to be, held for one update.

    Args:
        path: of the database, which need not be there; no link.
        lock: of it, held.
    """

    def __init__(self, path: Path, lock: TextIO) -> None:
        self.path = path
        self._lock = lock
        self._written = path.with_name(f".{path.name}.temporary")
        self._digest = ""

    def held(self) -> Held:
        """Return what is there already."""
        return Held(self.path, Note.read(self._lock))

    def write(self, content: Iterable[bytes], md5: str = "") -> bool:
        """Write a database beside the one in use; say whether it is another.

        Args:
            content: in pieces.
            md5: its checksum in hexadecimal; empty where none is known.

        Raises:
            UpdateError: the checksum is another.
        """
        digests = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self.clear()
        with self._written.open("xb") as file:
            for piece in content:
                file.write(piece)
                for digest in digests:
                    digest.update(piece)
            if md5 and digests[1].hexdigest() != md5:
                raise UpdateError(
                    f"expected the checksum that the source gives (got {digests[1].hexdigest()},"
                    f" expected {md5})",
                    temporary=True,
                )
            file.flush()
            os.fsync(file.fileno())
        self._digest = digests[0].hexdigest()
        return self._digest != _digest(self.path, "sha256")

    def judge(self, gates: Sequence[Gate], *, allow_older: bool) -> Database:
        """Return what was written, if it may take the place of the one in use.

        Args:
            gates: what it must pass.
            allow_older: whether it may also be older than that, or much smaller.

        Raises:
            UpdateError: it may not.
        """
        in_use: Database | None = None
        with suppress(DatabaseError):  # One that cannot be used is no measure.
            in_use = None if allow_older else Database.open(self.path)
        try:
            for gate in gates:
                candidate = Database.open(self._written)
                gate.check(candidate, now=datetime.now(UTC), in_use=in_use)
            return Database.open(self._written)
        except DatabaseError as error:
            raise UpdateError(str(error).replace(f"{self._written}: ", "", 1)) from None

    def install(self) -> None:
        """Put what was written in the place of the one in use."""
        with suppress(FileNotFoundError):
            self._written.chmod(self.path.stat().st_mode & 0o777)
        self._written.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def noted(self, url: str, validators: Validators) -> None:
        """Take note of where what was written came from."""
        note = Note(url, validators.etag, validators.last_modified, self._digest)
        note.write(self._lock)

    def clear(self) -> None:
        """Remove what was written and not installed, by this update or one that was killed."""
        self._written.unlink(missing_ok=True)


@contextmanager
def claimed(path: Path, within: float, waits: Callable[[], None]) -> Iterator[Place]:
    """Hold the place of a database; wait for whoever else holds it.

    Args:
        path: of the database; a link is followed, and what it points to is replaced.
        within: seconds that it is waited for.
        waits: is called if it is waited for.

    Raises:
        UpdateError: it is held by someone else for longer.
        OSError: there is no folder that can be written to.
    """
    path = path.resolve()
    note = path.with_name(f".{path.name}.update")
    descriptor = os.open(note, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace") as lock:
        _acquire(lock, path, within, waits)
        place = Place(path, lock)
        try:
            yield place
        finally:
            place.clear()


def _acquire(lock: TextIO, path: Path, within: float, waits: Callable[[], None]) -> None:
    end, told = time.monotonic() + within, False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise UpdateError(
                    f"expected no other update of {path.name} to take longer than {within:g} s"
                ) from None
        else:
            return
        if not told:
            waits()
            told = True
        time.sleep(LOOK_SECONDS)


def _digest(path: Path, algorithm: str) -> str:
    """Return the digest of a file in hexadecimal; empty where there is none."""
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(
                content, lambda: hashlib.new(algorithm, usedforsecurity=False)
            ).hexdigest()
    except FileNotFoundError:
        return ""
