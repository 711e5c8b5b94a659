"""Writing keys to Redis: every change in one script with its line of history."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

import orjson

from regiongate.keys import entries
from regiongate.keys.digest import split
from regiongate.keys.entries import AnyEntry, EntryError, KeyModel, OrganisationModel
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
from regiongate.keys.stores.redis import scripts, server
from regiongate.keys.stores.redis.server import PREFIX, text
from regiongate.keys.strikes import Strike, Tally, tally

PAGE: Final = 1000
IMPORT_SECONDS: Final = 120
"""An import that adds nothing for so long is given up, and undone by the next."""


class RedisRegister:
    """The writing side of a Redis server.

    Args:
        url: of the server.
        name: the same without a password.
        patience: seconds that an answer is waited for.
    """

    def __init__(self, url: str, name: str, patience: float) -> None:
        self._name = name
        self._redis = server.client(url, patience)

    # ------------------------------------------------------------------------------ reading

    def key(self, id: str) -> Kept[KeyModel] | None:  # noqa: A002 it is what it is called
        """Return a key by its id."""
        return self._kept(Kind.KEY, id, KeyModel)

    def key_of(self, digest: bytes) -> Kept[KeyModel] | None:
        """Return a key by its digest."""
        with server.errors(self._name):
            found: Any = self._redis.hget(f"{PREFIX}key:{digest.hex()}", "id")
        return self.key(text(found)) if found else None

    def organisation(self, id: str) -> Kept[OrganisationModel] | None:  # noqa: A002 likewise
        """Return an organisation by its id."""
        return self._kept(Kind.ORGANISATION, id, OrganisationModel)

    def every_key(self) -> Iterator[bytes]:
        """Yield every key as JSON, in the order of the ids."""
        with server.errors(self._name):
            digests = sorted(self._redis.hscan_iter(f"{PREFIX}ids", count=PAGE))
        for page in _pages([digest for _, digest in digests]):
            with server.errors(self._name):
                arguments = [text(digest) for digest in page]
                rows: Any = self._redis.eval(scripts.FIND, 1, PREFIX, *arguments)
            yield from (row[0] for row in rows if row)

    def every_organisation(self) -> Iterator[tuple[str, bytes]]:
        """Yield every organisation, its id and itself as JSON, in the order of the ids."""
        with server.errors(self._name):
            ids = sorted(text(id_) for id_, _ in self._redis.hscan_iter(f"{PREFIX}orgs"))
            pending = {text(one) for one in self._list(self._redis.hkeys(f"{PREFIX}imports"))}
        for page in _pages(ids):
            with server.errors(self._name), self._redis.pipeline(transaction=False) as pipeline:
                for id_ in page:
                    pipeline.hmget(f"{PREFIX}org:{id_}", "entry", "import")
                rows = pipeline.execute()
            for id_, (entry, import_) in zip(page, rows, strict=True):
                if entry is not None and text(import_) not in pending:
                    yield id_, entry

    def history(self, id: str = "") -> Iterator[Recorded]:  # noqa: A002 likewise
        """Yield the changes of a key or organisation, or all of them, the oldest first."""
        if not id:
            yield from self._whole_history()
            return
        with server.errors(self._name), self._redis.pipeline(transaction=False) as pipeline:
            for number in self._numbers(id):
                pipeline.xrange(f"{PREFIX}history", str(number), str(number))
            rows = pipeline.execute()
        yield from map(_recorded, chain.from_iterable(rows))

    def problems(self) -> Iterator[str]:
        """Yield what is wrong beneath the entries."""
        with server.errors(self._name):
            running = self._redis.exists(f"{PREFIX}importing")
            unfinished = self._list(self._redis.hkeys(f"{PREFIX}imports"))
        if unfinished and not running:
            yield f"{self._name}: an import was not finished; the next one undoes what it left"

    def close(self) -> None:
        """Let go of connections."""
        self._redis.close()

    def _kept(self, kind: Kind, id_: str, model: type[AnyEntry]) -> Kept[AnyEntry] | None:
        row = self._run(scripts.KEPT, kind=kind, id=id_)
        if not row:
            return None
        try:
            return Kept(entries.read(row[0], model), *row[1:])
        except EntryError as error:
            raise StoreError(f"{self._name}: expected an entry ({error})") from None

    def _numbers(self, id_: str) -> list[int]:
        kept = (
            self._kept(Kind.KEY, id_, KeyModel),
            self._kept(Kind.ORGANISATION, id_, OrganisationModel),
        )
        numbers = set[int]()
        for kind in (Kind.KEY, Kind.ORGANISATION):
            listed = self._redis.lrange(f"{PREFIX}history:{kind}:{id_}", 0, -1)
            numbers.update(int(one) for one in self._list(listed))
        for one in kept:
            if one is not None:
                imported: Any = self._redis.hget(f"{PREFIX}imported", str(one.added))
                numbers.add(int(imported or one.added))
        return sorted(numbers)

    def _whole_history(self) -> Iterator[Recorded]:
        after = "-"
        while True:
            with server.errors(self._name):
                rows: Any = self._redis.xrange(f"{PREFIX}history", after, "+", count=PAGE)
            yield from map(_recorded, rows)
            if len(rows) < PAGE:
                return
            after = f"({text(rows[-1][0])}"

    # ------------------------------------------------------------------------------ writing

    def commit(self, changes: Sequence[Change], note: Note) -> None:
        """Make changes, all of them or none.

        Raises:
            Conflict: one of them does not fit what is there.
        """
        refused = self._run(
            scripts.COMMIT, note=_note(note), changes=[_change(change) for change in changes]
        )
        if refused:
            _raise(changes[refused[0] - 1], text(refused[1]))

    @contextmanager
    def load(self, note: Note, *, replace: bool) -> Iterator[RedisLoading]:
        """Begin an import; leaving it unfinished undoes it."""
        token = secrets.token_hex(8)
        begun = self._run(scripts.BEGIN, token=token, seconds=IMPORT_SECONDS)
        if not begun:
            raise StoreError(f"{self._name}: expected no other import to be under way")
        number, left = begun
        for one in left:
            self._undo(int(one), "")
        loading = RedisLoading(self, number, token, note, replace=replace)
        try:
            yield loading
        finally:
            if not loading.finished:
                self._undo(number, token)

    def _undo(self, number: int, token: str) -> None:
        while self._run(scripts.UNDO, number=number, token=token):
            pass

    def _run(self, script: str, **told: Any) -> Any:
        argument = orjson.dumps({**told, "lineage": secrets.token_hex(8)})
        with server.errors(self._name):
            return self._redis.eval(script, 1, PREFIX, argument)

    def _list(self, found: Any) -> list[bytes]:
        # The client's stubs do not tell the blocking client's answers from the other's.
        return list(found)

    def prune(self, before: datetime, note: Note) -> int:
        """Forget the changes before a moment, and record that; return how many they were."""
        moment, forgotten = before.astimezone(UTC).isoformat(), 0
        while some := self._run(scripts.PRUNE, before=moment):
            forgotten += some
        if forgotten:
            self._run(scripts.NOTE, note=_note(note), id=str(forgotten))
        return forgotten

    # ------------------------------------------------------------------------------ strikes

    def strike(self, strikes: Sequence[Strike]) -> list[Tally]:
        """Count strikes, each once, and return how each key and rule among them stands."""
        pairs: dict[tuple[str, str], list[Strike]] = {}
        for strike in strikes:
            pairs.setdefault((strike.key_id, strike.rule), []).append(strike)
        with server.errors(self._name), self._redis.pipeline(transaction=False) as pipeline:
            for (key_id, rule), some in pairs.items():
                within = str(some[-1].limit.within.total_seconds())
                told = chain.from_iterable(
                    (f"{one.at.timestamp():.6f}", f"{one.decision_id} {one.country}")
                    for one in some
                )
                pipeline.eval(scripts.STRIKE, 1, PREFIX, rule, key_id, within, *told)
            rows = pipeline.execute()
        tallies = (
            tally(key_id, rule, some[-1].limit, _counted(row))
            for ((key_id, rule), some), row in zip(pairs.items(), rows, strict=True)
        )
        return [one for one in tallies if one]


class RedisLoading:
    """An import under way: what it adds is there, and not to be found before it is finished."""

    def __init__(
        self, register: RedisRegister, number: int, token: str, note: Note, *, replace: bool
    ) -> None:
        self._run = register._run  # noqa: SLF001 a part of the register
        self._number = number
        self._token = token
        self._note = note
        self._replace = replace
        self._replaced: dict[tuple[Kind, str], Change] = {}
        self.became = Counter[Became]()
        self.finished = False

    def add(self, numbered: Sequence[Numbered]) -> list[tuple[int, str]]:
        """Add entries; return the lines that cannot be, and why."""
        changes = [_added(one) for one in numbered]
        refused = self._run(
            scripts.LOAD,
            token=self._token,
            number=self._number,
            seconds=IMPORT_SECONDS,
            replace=self._replace,
            changes=[_change(change) for change in changes],
        )
        problems = []
        self.became[Became.ADDED] += len(numbered) - len(refused)
        for index, why, revision in refused:
            change = changes[index - 1]
            problem = self._replacing(change, text(why), revision)
            if problem:
                problems.append((numbered[index - 1].line, problem))
        return problems

    def finish(self) -> None:
        """Put all of it in force, at once.

        Raises:
            Conflict: something that is to be replaced has been changed meanwhile.
        """
        changes = list(self._replaced.values())
        refused = self._run(
            scripts.FINISH,
            token=self._token,
            number=self._number,
            count=self.became.total(),
            note=_note(self._note),
            changes=[_change(change) for change in changes],
        )
        if refused:
            _raise(changes[refused[0] - 1], text(refused[1]))
        self.finished = True

    def _replacing(self, change: Change, why: str, revision: int) -> str:
        became = {"there": Became.REPLACED, "same": Became.UNCHANGED}.get(why)
        if became is None:
            return _why(change, why)
        place = change.kind, change.id
        if place in self._replaced:
            return _why(change, "twice")
        self._replaced[place] = Change(
            kind=change.kind, id=change.id, revision=revision, entry=change.entry
        )
        self.became[became] += 1
        return ""


def _pages(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[start : start + PAGE] for start in range(0, len(values), PAGE))


def _added(one: Numbered) -> Change:
    kind = Kind.KEY if isinstance(one.entry, KeyModel) else Kind.ORGANISATION
    return Change(kind=kind, id=one.id, revision=0, entry=one.entry)


def _note(note: Note) -> Mapping[str, str]:
    at = note.at.astimezone(UTC).isoformat()
    seconds = f"{note.at.timestamp():.6f}"
    return {"at": at, "seconds": seconds, "who": note.who, "what": note.what, "why": note.why}


def _change(change: Change) -> Mapping[str, Any]:
    key = change.entry if isinstance(change.entry, KeyModel) else None
    return {
        "kind": change.kind,
        "id": change.id,
        "revision": change.revision,
        "entry": entries.write(change.entry).decode() if change.entry else "",
        "digest": split(key.digest)[1].hex() if key else "",
        "org": key.org or "" if key else "",
        "forgive": change.forgive,
    }


def _recorded(row: tuple[bytes, Mapping[bytes, bytes]]) -> Recorded:
    number, fields = row
    told = {text(name): text(value) for name, value in fields.items()}
    at = datetime.fromisoformat(told["at"])
    return Recorded(
        number=int(number.partition(b"-")[0]),
        note=Note(at=at, who=told["who"], what=told["what"], why=told["why"]),
        kind=Kind(told["kind"]),
        id=told["id"],
        before=told["before"].encode(),
        after=told["after"].encode(),
    )


def _counted(row: Sequence[bytes]) -> list[tuple[float, str]]:
    members, moments = row[::2], row[1::2]
    return [
        (float(at), text(member).partition(" ")[2])
        for member, at in zip(members, moments, strict=True)
    ]


def _raise(change: Change, why: str) -> None:
    raise Conflict(_why(change, why))


def _why(change: Change, why: str) -> str:
    org = change.entry.org if isinstance(change.entry, KeyModel) else ""
    said = {
        "new": "expected an id that is new",
        "gone": "expected it as it was read, and it is gone",
        "changed": "expected it as it was read, and it is changed",
        "twice": "expected ids that differ, got it twice",
        "organisation": f"expected an organisation that is there (got {org})",
        "digest": "expected a digest that no other key has, and another one has it",
        "members": "expected an organisation without keys",
        "revoked": "expected status revoked, which is for good",
    }
    return f"{change.id}: {said[why]}"
