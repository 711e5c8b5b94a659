"""Writing keys to an SQLite file: every change in one transaction with its line of history."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from regiongate.keys import entries, status
from regiongate.keys.digest import split
from regiongate.keys.entries import AnyEntry, Entry, EntryError, KeyModel, OrganisationModel
from regiongate.keys.register import (
    Became,
    Change,
    Conflict,
    Kept,
    Kind,
    Note,
    Numbered,
    Recorded,
)
from regiongate.keys.stores import StoreError
from regiongate.keys.stores.sqlite.database import Location, transaction
from regiongate.keys.strikes import Strike, Tally, tally
from regiongate.policy.model import Suspension

IMPORT_KIBIBYTES: Final = 256 * 1024
"""Memory for the pages that an import writes."""
PAGE: Final = 1000
"""Rows that are read at once: a reader that lingers keeps the WAL from being folded in."""


class SqliteRegister:
    """The writing side of an SQLite file.

    Args:
        patience: seconds that other writers are waited for.
        create: make the file where it is missing.

    Raises:
        StoreError: the file is something else, or missing and not to be made.
    """

    def __init__(self, location: Location, patience: float, *, create: bool = True) -> None:
        self._location = location
        self._db = location.write(patience, create=create)

    # ------------------------------------------------------------------------------ reading

    def key(self, id: str) -> Kept[KeyModel] | None:  # noqa: A002 it is what it is called
        """Return a key by its id."""
        return self._kept(f"{_KEPT} keys WHERE id = ?", id, KeyModel)

    def key_of(self, digest: bytes) -> Kept[KeyModel] | None:
        """Return a key by its digest."""
        return self._kept(f"{_KEPT} keys WHERE digest = ?", digest, KeyModel)

    def organisation(self, id: str) -> Kept[OrganisationModel] | None:  # noqa: A002 likewise
        """Return an organisation by its id."""
        return self._kept(f"{_KEPT} organisations WHERE id = ?", id, OrganisationModel)

    def every_key(self) -> Iterator[bytes]:
        """Yield every key as JSON, in the order of the ids."""
        return (entry for _, entry in self._pages("keys"))

    def every_organisation(self) -> Iterator[tuple[str, bytes]]:
        """Yield every organisation, its id and itself as JSON, in the order of the ids."""
        return self._pages("organisations")

    def history(self, id: str = "") -> Iterator[Recorded]:  # noqa: A002 likewise
        """Yield the changes of a key or organisation, or all of them, the oldest first.

        What came by an import has that for its first line.
        """
        last = 0
        while True:
            with self._location.errors():
                rows = self._db.execute(_HISTORY, {"id": id, "last": last, "page": PAGE}).fetchall()
            for number, at, who, what, why, kind, subject, before, after in rows:
                note = Note(at=datetime.fromisoformat(at), who=who, what=what, why=why)
                yield Recorded(
                    number=number,
                    note=note,
                    kind=Kind(kind),
                    id=subject,
                    before=before,
                    after=after,
                )
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the file itself."""
        with self._location.errors():
            for (found,) in self._db.execute("PRAGMA integrity_check").fetchall():
                if found != "ok":
                    yield f"{self._location}: {found}"
            for key, org in self._db.execute(_ORPHANS).fetchall():
                yield f"{self._location}: key {key}: expected its organisation {org}"

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _kept(
        self, query: str, subject: str | bytes, model: type[AnyEntry]
    ) -> Kept[AnyEntry] | None:
        with self._location.errors():
            row = self._db.execute(query, (subject,)).fetchone()
        if row is None:
            return None
        try:
            return Kept(entries.read(row[0], model), *row[1:])
        except EntryError as error:
            raise StoreError(f"{self._location}: expected an entry ({error})") from None

    def _pages(self, table: str) -> Iterator[tuple[str, bytes]]:
        last = ""
        query = f"SELECT id, entry FROM {table} WHERE id > ? ORDER BY id LIMIT {PAGE}"  # noqa: S608 our own words
        while True:
            with self._location.errors():
                rows = self._db.execute(query, (last,)).fetchall()
            yield from rows
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    # ------------------------------------------------------------------------------ writing

    def commit(self, changes: Sequence[Change], note: Note) -> None:
        """Make changes, all of them or none.

        Raises:
            Conflict: one of them does not fit what is there.
        """
        with self._location.errors(), transaction(self._db):
            for change in changes:
                match change.entry:
                    case KeyModel() as key:
                        self._put_key(change, key, note)
                    case OrganisationModel() as organisation:
                        self._put_organisation(change, organisation, note)
                    case None:
                        self._remove(change, note)
                if change.forgive:
                    self._forgive(change.id, note.at)

    def _forgive(self, key_id: str, at: datetime) -> None:
        self._db.execute("DELETE FROM strikes WHERE key_id = ?", (key_id,))
        # Strikes from before may still be on their way.
        row = (key_id, at.timestamp())
        self._db.execute("INSERT OR REPLACE INTO forgiven VALUES (?, ?)", row)

    def _put_key(self, change: Change, key: KeyModel, note: Note) -> None:
        before, revision, added, old_digest = self._expected("keys", change)
        if before == entries.write(key):
            return
        new_digest = _digest(key)
        self._expect_organisation(key)
        number = self._record(change, note, before, new_digest, old_digest)
        if revision:
            self._db.execute("DELETE FROM keys WHERE id = ?", (change.id,))
        self._insert_key(new_digest, key, number, added or number)

    def _insert_key(self, new: bytes, key: KeyModel, revision: int, added: int) -> None:
        try:
            row = (new, key.id, key.org, entries.write(key), revision, added)
            self._db.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?)", row)
        except sqlite3.IntegrityError:
            raise Conflict(
                f"{key.id}: expected a digest that no other key has, and another one has it"
            ) from None

    def _put_organisation(self, change: Change, entry: OrganisationModel, note: Note) -> None:
        before, _, added, _ = self._expected("organisations", change)
        if before == entries.write(entry):
            return
        number = self._record(change, note, before)
        row = (change.id, entries.write(entry), number, added or number)
        self._db.execute("INSERT OR REPLACE INTO organisations VALUES (?, ?, ?, ?)", row)

    def _remove(self, change: Change, note: Note) -> None:
        table = "keys" if change.kind is Kind.KEY else "organisations"
        before, *_, old_digest = self._expected(table, change)
        members = self._db.execute("SELECT id FROM keys WHERE org = ? LIMIT 1", (change.id,))
        if change.kind is Kind.ORGANISATION and members.fetchone():
            raise Conflict(f"{change.id}: expected an organisation without keys")
        self._record(change, note, before, None, old_digest)
        self._db.execute(f"DELETE FROM {table} WHERE id = ?", (change.id,))  # noqa: S608 our own words

    def _expected(self, table: str, change: Change) -> tuple[bytes, int, int, bytes | None]:
        """Return what is there, if it is what the change was made of."""
        column = "digest" if table == "keys" else "NULL"
        query = f"SELECT entry, revision, added, {column} FROM {table} WHERE id = ?"  # noqa: S608 our own words
        row = self._db.execute(query, (change.id,)).fetchone() or (b"", 0, 0, None)
        found: tuple[bytes, int, int, bytes | None] = row
        if found[1] != change.revision:
            raise Conflict(_mismatch(change, found[1]))
        return found

    def _expect_organisation(self, key: KeyModel) -> None:
        if key.org is not None and not self._db.execute(_IS_ORGANISATION, (key.org,)).fetchone():
            raise Conflict(f"{key.id}: expected an organisation that is there (got {key.org})")

    def _record(
        self,
        change: Change,
        note: Note,
        before: bytes,
        new: bytes | None = None,
        old: bytes | None = None,
    ) -> int:
        after = entries.write(change.entry) if change.entry else b""
        told = (change.kind, change.id, new, old, before, after)
        return self._add_history(note, told)

    def _add_history(self, note: Note, told: tuple[object, ...]) -> int:
        at = note.at.astimezone(UTC).isoformat()
        number = self._db.execute(
            "INSERT INTO history VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (at, note.who, note.what, note.why, *told),
        ).lastrowid
        return number or 0

    def _replace(self, one: Numbered, revision: int, note: Note) -> None:
        """Replace an entry within a transaction."""
        kind = Kind.KEY if isinstance(one.entry, KeyModel) else Kind.ORGANISATION
        change = Change(kind=kind, id=one.id, revision=revision, entry=one.entry)
        if isinstance(one.entry, KeyModel):
            self._put_key(change, one.entry, note)
        else:
            self._put_organisation(change, one.entry, note)

    @contextmanager
    def load(self, note: Note, *, replace: bool) -> Iterator[SqliteLoading]:
        """Begin an import; leaving it unfinished undoes it."""
        with self._location.errors(), suppress(_Unfinished):
            # Digests come in no order: pages that do not fit are written again and again.
            self._db.execute(f"PRAGMA cache_size = -{IMPORT_KIBIBYTES}")
            with transaction(self._db):
                loading = SqliteLoading(self, note, replace=replace)
                yield loading
                if not loading.finished:
                    raise _Unfinished

    def prune(self, before: datetime, note: Note) -> int:
        """Forget the changes before a moment, and record that; return how many they were."""
        with self._location.errors(), transaction(self._db):
            moment = before.astimezone(UTC).isoformat()
            forgotten = self._db.execute(_PRUNE, (moment,)).rowcount
            if forgotten:
                self._add_history(note, (Kind.HISTORY, str(forgotten), None, None, b"", b""))
        return forgotten

    # ------------------------------------------------------------------------------ strikes

    def strike(self, strikes: Sequence[Strike]) -> list[Tally]:
        """Count strikes, each once, and return how each key and rule among them stands."""
        limits = {(one.key_id, one.rule): one.limit for one in strikes}
        with self._location.errors(), transaction(self._db):
            self._db.executemany(_STRIKE, map(_row, strikes))
            # The earliest, lest a clock that is ahead ends what others still count.
            earliest = min(one.at.timestamp() for one in strikes)
            self._db.execute("DELETE FROM strikes WHERE ends <= ?", (earliest,))
            tallies = [self._tally(*pair, limit) for pair, limit in limits.items()]
        return [one for one in tallies if one]

    def _tally(self, key_id: str, rule: str, limit: Suspension) -> Tally | None:
        window = {"key": key_id, "rule": rule, "within": limit.within.total_seconds()}
        return tally(key_id, rule, limit, self._db.execute(_STRIKES, window).fetchall())


def _row(strike: Strike) -> tuple[str | float, ...]:
    at = strike.at.timestamp()
    ends = at + strike.limit.within.total_seconds()
    return strike.decision_id, strike.key_id, strike.rule, at, ends, strike.country


class _Unfinished(Exception):  # noqa: N818 an outcome that is expected, not a fault
    """An import that is left before its end."""


class SqliteLoading:
    """An import under way, in one transaction."""

    def __init__(self, register: SqliteRegister, note: Note, *, replace: bool) -> None:
        self._register = register
        self._note = note
        self._replace = replace
        self._db = register._db  # noqa: SLF001 a part of the register
        # Its number is the revision of all it adds; how many that was is known at the end.
        self._number = register._add_history(note, (Kind.IMPORT, "0", None, None, b"", b""))  # noqa: SLF001 likewise
        self._organisations = {one for (one,) in self._db.execute("SELECT id FROM organisations")}
        self._unchanged = set[tuple[str, str]]()
        self.became = Counter[Became]()
        self.finished = False

    def add(self, numbered: Sequence[Numbered]) -> list[tuple[int, str]]:
        """Add entries; return the lines that cannot be, and why."""
        return [(one.line, problem) for one in numbered if (problem := self._add(one))]

    def finish(self) -> None:
        """Put all of it in force, at once."""
        brought = str(self.became.total())
        self._db.execute("UPDATE history SET id = ? WHERE number = ?", (brought, self._number))
        self.finished = True

    def _add(self, one: Numbered) -> str:
        table = "keys" if isinstance(one.entry, KeyModel) else "organisations"
        query = f"SELECT revision, entry FROM {table} WHERE id = ?"  # noqa: S608 our own words
        there = self._db.execute(query, (one.id,)).fetchone()
        if there and not self._replace:
            return f"{one.id}: expected an id that is new"
        if there and (there[0] >= self._number or (table, one.id) in self._unchanged):
            return f"{one.id}: expected ids that differ, got it twice"
        if there and there[1] == entries.write(one.entry):
            # It has no revision of this import to be known by.
            self._unchanged.add((table, one.id))
            self.became[Became.UNCHANGED] += 1
            return ""
        if there and status.brings_back(there[1], one.entry):
            return f"{one.id}: expected status revoked, which is for good"
        try:
            if there:
                self._register._replace(one, there[0], self._note)
            else:
                self._insert(one.id, one.entry)
        except Conflict as conflict:
            return str(conflict)
        self.became[Became.REPLACED if there else Became.ADDED] += 1
        return ""

    def _insert(self, subject: str, entry: Entry) -> None:
        if isinstance(entry, OrganisationModel):
            row = (subject, entries.write(entry), self._number, self._number)
            self._db.execute("INSERT INTO organisations VALUES (?, ?, ?, ?)", row)
            self._organisations.add(subject)
        elif entry.org is not None and entry.org not in self._organisations:
            raise Conflict(f"{subject}: expected an organisation that is there (got {entry.org})")
        else:
            self._register._insert_key(  # noqa: SLF001 a part of the register
                _digest(entry), entry, self._number, self._number
            )


def _digest(key: KeyModel) -> bytes:
    return split(key.digest)[1]


def _mismatch(change: Change, found: int) -> str:
    if not change.revision:
        return f"{change.id}: expected an id that is new"
    return f"{change.id}: expected it as it was read, and it is {'changed' if found else 'gone'}"


_KEPT: Final = "SELECT entry, revision, added FROM"
_IS_ORGANISATION: Final = "SELECT 1 FROM organisations WHERE id = ?"
_ORPHANS: Final = (
    "SELECT id, org FROM keys WHERE org IS NOT NULL AND org NOT IN (SELECT id FROM organisations)"
)
_HISTORY: Final = """
SELECT number, at, who, what, why, kind, id, before, after FROM history
WHERE number > :last AND (:id = '' OR number IN (
  SELECT number FROM history WHERE kind IN ('key', 'organisation') AND id = :id
  UNION SELECT added FROM keys WHERE id = :id
  UNION SELECT added FROM organisations WHERE id = :id
)) ORDER BY number LIMIT :page
"""
_PRUNE: Final = """
DELETE FROM history WHERE at < ? AND number < (SELECT max(number) FROM history)
"""
"""Readers know their place in the history by its last line."""
_STRIKE: Final = """
INSERT OR IGNORE INTO strikes SELECT ?1, ?2, ?3, ?4, ?5, ?6
WHERE NOT EXISTS (SELECT 1 FROM forgiven WHERE key_id = ?2 AND at >= ?4)
"""
_STRIKES: Final = """
SELECT at, country FROM strikes WHERE key_id = :key AND rule = :rule AND at > :within * -1 + (
  SELECT max(at) FROM strikes WHERE key_id = :key AND rule = :rule
) ORDER BY at
"""
