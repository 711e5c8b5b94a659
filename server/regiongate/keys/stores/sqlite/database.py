"""The SQLite file: where it is, how it is opened, what is in it.

A writer never holds up a reader (WAL, https://sqlite.org/wal.html), and writers wait for each
other. A process that is killed in the middle of a write leaves the file as it was before.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

from regiongate.keys.stores import StoreError

READ_SECONDS: Final = 0.05
"""How long a reader waits for the lock, which no writer holds for more than a moment."""

_APPLICATION: Final = 0x52474B53
"""PRAGMA application_id: "RGKS"."""

_SCHEMA: Final = f"""
CREATE TABLE organisations (
  id TEXT PRIMARY KEY, entry BLOB NOT NULL, revision INTEGER NOT NULL, added INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE keys (
  digest BLOB PRIMARY KEY, id TEXT NOT NULL, org TEXT, entry BLOB NOT NULL,
  revision INTEGER NOT NULL, added INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX keys_id ON keys (id);
CREATE INDEX keys_org ON keys (org) WHERE org IS NOT NULL;
CREATE TABLE history (
  number INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, who TEXT NOT NULL,
  what TEXT NOT NULL, why TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
  digest BLOB, old_digest BLOB, before BLOB NOT NULL, after BLOB NOT NULL
);
CREATE INDEX history_id ON history (kind, id);
CREATE TABLE strikes (
  decision_id TEXT PRIMARY KEY, key_id TEXT NOT NULL, rule TEXT NOT NULL,
  at REAL NOT NULL, ends REAL NOT NULL, country TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX strikes_key ON strikes (key_id, rule, at);
CREATE INDEX strikes_ends ON strikes (ends);
CREATE TABLE forgiven (key_id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = 1;
"""
_VERSION: Final = 1

Identity = tuple[int, ...]
"""Device and inode of a file; when it was changed, too, where it is opened as unchanging."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where the file is.

    Attributes:
        path: of the file.
        read_only: nothing is ever written, not even what SQLite keeps beside the file.
        called: by messages; the path if left out.
    """

    path: Path
    read_only: bool = False
    called: str = ""

    @classmethod
    def of(cls, url: str, base: Path) -> Location:
        """Read a URL: sqlite:///keys.db relative to a folder, sqlite:////keys.db from the root.

        Args:
            url: with `?mode=ro` for a file that is only read.
            base: the folder.

        Raises:
            ValueError: it is not of this form.
        """
        parts = urlsplit(url)
        options = parse_qs(parts.query, keep_blank_values=True)
        path = unquote(parts.path.removeprefix("/"))
        unknown = options.keys() - {"mode"} or options.get("mode", ["ro"]) != ["ro"]
        if parts.netloc or not path or parts.fragment or unknown:
            raise ValueError("expected sqlite:///PATH, perhaps with ?mode=ro")
        return cls(base / path, read_only="mode" in options)

    def __str__(self) -> str:
        return self.called or str(self.path)

    @property
    def identity(self) -> Identity | None:
        """Which file it is; a file that takes its place is another one. None without a file."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 four times as fast, several times a second
        except OSError:
            return None
        changed = (found.st_mtime_ns,) if self._is_still else ()
        return found.st_dev, found.st_ino, *changed

    @property
    def _is_still(self) -> bool:
        """Whether nobody writes, and what readers need beside the file cannot be made.

        https://sqlite.org/wal.html#read_only_databases
        """
        effective = os.access in os.supports_effective_ids
        may_write = os.access(self.path.parent, os.W_OK, effective_ids=effective)
        return not may_write and not self.path.with_name(f"{self.path.name}-wal").exists()

    def read(self) -> sqlite3.Connection:
        """Open the file to read it.

        Raises:
            StoreError: it is not there, or not a key store.
        """
        with self.errors():
            connection = self._connect("ro" if self.read_only else "rw", READ_SECONDS)
            try:
                connection.execute("PRAGMA query_only = 1")
                self._expect_ours(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def write(self, patience: float, *, create: bool = True) -> sqlite3.Connection:
        """Open the file to change it.

        Args:
            patience: seconds that other writers are waited for.
            create: make it where it is missing.

        Raises:
            StoreError: it is not a key store, or missing and not to be made.
        """
        if self.read_only:
            return self.read()
        with self.errors():
            connection = self._connect("rwc" if create else "rw", patience)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    @property
    def is_there(self) -> bool:
        """Whether there is anything in its place, a store or not."""
        return os.path.lexists(self.path)

    def expect_file(self) -> None:
        """Look whether the file is there; it is not opened.

        Raises:
            StoreError: it is not.
        """
        try:
            is_file = stat.S_ISREG(self.path.stat().st_mode)
        except (OSError, ValueError) as error:  # a NUL in the path is a ValueError
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise StoreError(f"{self}: expected a file that is there ({why})") from None
        if not is_file:
            raise StoreError(f"{self}: expected a file that is there (it is no regular file)")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what SQLite says into a StoreError."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self}: expected a key store that can be used ({error})") from None

    def _connect(self, mode: str, patience: float) -> sqlite3.Connection:
        if mode != "rwc":
            self.expect_file()
        still = "&immutable=1" if mode != "rwc" and self._is_still else ""
        return sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={mode}{still}",
            uri=True,
            timeout=patience,
            isolation_level=None,
            check_same_thread=False,
        )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = FULL")
        # In one transaction, as another process may be making it, too.
        with transaction(connection):
            if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
        self._expect_ours(connection)
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("PRAGMA journal_mode = WAL")

    def _expect_ours(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION:
            raise StoreError(f"{self}: expected a key store of RegionGate")
        if version != _VERSION:
            raise StoreError(f"{self}: expected a store of version {_VERSION} (got {version})")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write as a whole or not at all; one writer at a time, from the first statement on."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
