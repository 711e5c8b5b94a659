"""Reading keys from an SQLite file, off the event loop's thread.

A change by any process shows in PRAGMA data_version (https://sqlite.org/pragma.html), and in the
history what it was. A file that is put in the place of this one is a change of everything.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from regiongate.keys import entries
from regiongate.keys.entries import Brief, EntryError
from regiongate.keys.stores import Answer, Answers, Changes, StoreError, UnusableEntryError
from regiongate.keys.stores.sqlite.database import Identity, Location
from regiongate.policy.exemptions import Exemption

POLL_SECONDS: Final = 0.2
POLL_DEADLINE: Final = 1.0
"""Seconds after which a file that does not answer counts as away."""
READERS: Final = 2
MANY: Final = 1000
"""Changes at once that are told as a change of everything."""

T = TypeVar("T")


class SqliteSource:
    """The reading side of an SQLite file."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._readers = _Readers(location, READERS, "keys")
        self._watcher = _Readers(location, 1, "keys-changes")
        self._watch = _Watch(location)
        self._asked = False

    async def find(self, digests: Sequence[bytes]) -> Answers:
        """Look several keys up by their digests, at once."""
        return await self._readers.run(lambda connection: self._find(connection, digests))

    async def changes(self) -> Changes:
        """Wait for a poll's time, and tell what has changed since the last."""
        if self._asked:
            await asyncio.sleep(POLL_SECONDS)
        try:
            async with asyncio.timeout(POLL_DEADLINE):
                if not self._asked:
                    # Opened before a Check wants them.
                    ready = [self._readers.run(lambda _: None) for _ in range(READERS)]
                    await asyncio.gather(*ready)
                    self._asked = True
                try:
                    changes = await self._watcher.run(self._watch.look)
                except _AnotherFile:
                    changes = await self._watcher.run(self._watch.look)
        except TimeoutError:
            # What the look finds after all is told to nobody: the next one begins anew.
            self._watcher.reopen()
            raise StoreError(f"{self._location}: expected an answer in {POLL_DEADLINE} s") from None
        if changes.everything:
            # It may be another file that is looked into now.
            self._readers.reopen()
        return changes

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        """Yield every exemption in the file, with the id of a key that it belongs to."""
        connection = self._location.read()
        try:
            with self._location.errors():
                for row in connection.execute(_EXEMPT):
                    record = self._brief(*row).record()
                    yield from ((record.id, one) for one in record.profile.exemptions)
        finally:
            connection.close()

    async def close(self) -> None:
        """Let go of files and threads; a later call opens them anew."""
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self._watcher.close)
        self._asked = False

    def _find(self, connection: sqlite3.Connection, digests: Sequence[bytes]) -> Answers:
        answers: dict[bytes, Answer] = dict.fromkeys(digests)
        places = ", ".join("?" * len(digests))
        (found,) = connection.execute(_FIND.format(places), digests).fetchone()
        for row in found.split(",") if found else ():
            digest, key, org, organisation = map(bytes.fromhex, row.split(" "))
            answers[digest] = self._answer(key, org, organisation)
        return answers

    def _answer(self, key: bytes, org: bytes, organisation: bytes) -> Answer:
        try:
            return self._brief(key, org.decode(errors="replace"), organisation)
        except StoreError as error:
            return error

    def _brief(self, key: bytes, org: str | None, organisation: bytes | None) -> Brief:
        if org and not organisation:
            # What the organisation forbids would be allowed.
            raise UnusableEntryError(f"{self._location}: expected the organisation {org} of a key")
        try:
            return entries.brief(key, organisation or None)
        except EntryError as error:
            raise UnusableEntryError(f"{self._location}: expected an entry ({error})") from None


_JOINED: Final = "FROM keys LEFT JOIN organisations ON organisations.id = keys.org"
_FIND: Final = (
    "SELECT group_concat(hex(keys.digest) || ' ' || hex(keys.entry)"
    " || ' ' || hex(keys.org) || ' ' || hex(organisations.entry))"
    f" {_JOINED} WHERE digest IN ({{}})"
)
"""All in one row: for each row, a thread hands the interpreter over and waits to have it back."""
_EXEMPT: Final = (
    f"SELECT keys.entry, keys.org, organisations.entry {_JOINED}"
    " WHERE instr(keys.entry, '\"exemptions\"') OR instr(organisations.entry, '\"exemptions\"')"
)


class _AnotherFile(StoreError):  # noqa: N818 an outcome that is expected, not a fault
    """What is at the path is not what was opened."""


class _Watch:
    """What was last seen of the file; used by one thread."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._file: Identity | None = None
        self._connection: sqlite3.Connection | None = None
        self._data_version = 0
        self._number = 0
        self._at = ""

    def look(self, connection: sqlite3.Connection) -> Changes:
        """Return the changes.

        Raises:
            StoreError: the file is gone, or another one, which is opened when it is next looked at.
                Until that can be read, what is remembered of this one still holds.
        """
        file = self._location.identity
        if connection is not self._connection:
            self._connection, self._file, self._data_version = connection, file, -1
            return self._everything(connection)
        if file != self._file:
            raise _AnotherFile(f"{self._location}: expected the file that was there")
        (data_version,) = connection.execute("PRAGMA data_version").fetchone()
        if data_version == self._data_version:
            return Changes(version=str(self._number))
        self._data_version = data_version
        return self._recorded(connection)

    def _everything(self, connection: sqlite3.Connection) -> Changes:
        row = connection.execute(
            "SELECT number, at FROM history ORDER BY number DESC LIMIT 1"
        ).fetchone()
        self._number, self._at = row or (0, "")
        return Changes(version=str(self._number), everything=True)

    def _recorded(self, connection: sqlite3.Connection) -> Changes:
        rows = connection.execute(_SINCE, (self._number, MANY + 2)).fetchall()
        last, fresh = (rows[:1], rows[1:]) if self._number else ([], rows)
        if self._number and [row[:2] for row in last] != [(self._number, self._at)]:
            # Not the history that was seen before: a backup was restored over it.
            return self._everything(connection)
        if len(fresh) > MANY or any(kind == "import" for _, _, kind, *_ in fresh):
            return self._everything(connection)
        if fresh:
            self._number, self._at = fresh[-1][:2]
        return Changes(
            version=str(self._number),
            digests=frozenset(one for *_, new, old in fresh for one in (new, old) if one),
            organisations=frozenset(row[3] for row in fresh if row[2] == "organisation"),
        )


_SINCE: Final = (
    "SELECT number, at, kind, id, digest, old_digest FROM history WHERE number >= ?"
    " ORDER BY number LIMIT ?"
)


class _Readers:
    """Threads with a connection each."""

    def __init__(self, location: Location, threads: int, name: str) -> None:
        self._location = location
        self._threads = threads
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._mine = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._generation = 0

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with a connection in one of the threads."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._do, work)

    def reopen(self) -> None:
        """Let every thread open the file anew before its next work."""
        self._generation += 1

    def close(self) -> None:
        """End the threads once they have done what they are doing."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        self._mine = threading.local()

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection()
        try:
            with self._location.errors():
                return work(connection)
        except StoreError:
            self._mine.generation = -1
            raise

    def _connection(self) -> sqlite3.Connection:
        mine: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        if mine is None or self._mine.generation != self._generation:
            if mine is not None:
                mine.close()
                self._opened.remove(mine)
                self._mine.connection = None
            generation = self._generation
            self._mine.connection = self._location.read()
            self._mine.generation = generation
            self._opened.append(self._mine.connection)
        connection: sqlite3.Connection = self._mine.connection
        return connection
