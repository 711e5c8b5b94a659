"""The writing side of a store: the port that commands and the counting of strikes go through.

Every change says what it was made of, so that none is lost to another that was made meanwhile, and
is recorded: who, when, what and why. Nothing here knows a store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Generic, Protocol

from regiongate.keys.entries import AnyEntry, Entry, KeyModel, OrganisationModel
from regiongate.keys.strikes import Strike, Tally

TRIES: Final = 20
"""How often a change is made anew because another came first."""


class Conflict(Exception):  # noqa: N818 an outcome that is expected, not a fault
    """The entry is not what the change was made of."""


class Kind(StrEnum):
    """What a change is of."""

    KEY = "key"
    ORGANISATION = "organisation"
    IMPORT = "import"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Kept(Generic[AnyEntry]):
    """An entry as it is kept.

    Attributes:
        revision: differs after every change of the entry; never 0.
        added: the number of the change that added it.
    """

    entry: AnyEntry
    revision: int
    added: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is recorded of a change beside the change itself.

    Attributes:
        what: the command, in a word.
        who: made it.
        why: in the words of who made it.
    """

    at: datetime
    who: str
    what: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An entry to be added, replaced or removed.

    Attributes:
        id: of the key or organisation.
        revision: that the entry must have; 0 when it must not be there.
        entry: what it becomes; None to remove it.
        forgive: the strikes of the key are forgotten.
    """

    kind: Kind
    id: str
    revision: int
    entry: Entry | None
    forgive: bool = False


@dataclass(frozen=True, slots=True)
class Edited(Generic[AnyEntry]):
    """An entry that was to be changed.

    Attributes:
        entry: as it is now.
        changed: whether it was another before.
    """

    entry: AnyEntry
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A change as the history shows it.

    Attributes:
        number: grows with every change.
        id: of the key or organisation; for an import, how many entries it brought; for the
            history, how many lines were forgotten.
        before, after: the entry as JSON; empty where there was or is none.
    """

    number: int
    note: Note
    kind: Kind
    id: str
    before: bytes = b""
    after: bytes = b""


@dataclass(frozen=True, slots=True)
class Numbered:
    """An entry to be imported.

    Attributes:
        line: of the file it comes from.
        id: of the key or organisation.
    """

    line: int
    id: str
    entry: Entry


class Became(StrEnum):
    """What an import makes of an entry: it was not there, was another, or was the same."""

    ADDED = "added"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


class Loading(Protocol):
    """An import under way. Nothing of it is to be seen before it is finished as a whole."""

    @property
    def became(self) -> Mapping[Became, int]:
        """How many entries became what so far; those that cannot be added are none of them."""
        ...

    def add(self, entries: Sequence[Numbered]) -> list[tuple[int, str]]:
        """Add entries; return the lines that cannot be, and why."""
        ...

    def finish(self) -> None:
        """Put all of it in force, at once; without this, leaving undoes it."""
        ...


class Register(Protocol):
    """The port: a store as commands see it. What fails is a StoreError."""

    def key(self, id: str) -> Kept[KeyModel] | None:  # noqa: A002 it is what it is called
        """Return a key by its id."""
        ...

    def key_of(self, digest: bytes) -> Kept[KeyModel] | None:
        """Return a key by its digest."""
        ...

    def organisation(self, id: str) -> Kept[OrganisationModel] | None:  # noqa: A002 likewise
        """Return an organisation by its id."""
        ...

    def every_key(self) -> Iterator[bytes]:
        """Yield every key as JSON, in the order of the ids."""
        ...

    def every_organisation(self) -> Iterator[tuple[str, bytes]]:
        """Yield every organisation, its id and itself as JSON, in the order of the ids."""
        ...

    def commit(self, changes: Sequence[Change], note: Note) -> None:
        """Make changes, all of them or none.

        Raises:
            Conflict: an entry is not as its change expects it, a digest or an id is taken, or an
                organisation is not there, or still has keys.
        """
        ...

    def load(self, note: Note, *, replace: bool) -> AbstractContextManager[Loading]:
        """Begin an import.

        Args:
            note: recorded once for all of it.
            replace: whether entries that are already there are replaced, or are mistakes.
        """
        ...

    def history(self, id: str = "") -> Iterator[Recorded]:  # noqa: A002 likewise
        """Yield the changes of a key or organisation, or all of them, the oldest first."""
        ...

    def prune(self, before: datetime, note: Note) -> int:
        """Forget the changes before a moment, and record that; return how many they were."""
        ...

    def strike(self, strikes: Sequence[Strike]) -> list[Tally]:
        """Count strikes, each once, and return how each key and rule among them stands."""
        ...

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the store itself, beneath its entries."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def change_key(
    register: Register,
    id: str,  # noqa: A002 it is what it is called
    edit: Callable[[KeyModel], KeyModel],
    note: Note,
    *,
    forgive: bool = False,
) -> Edited[KeyModel] | None:
    """Change a key, whatever else is changing it meanwhile.

    Args:
        edit: returns the key as it shall be; asked again when another change came first. What is
            returned unchanged is not written.

    Returns:
        The key as it is now; None when there is none.

    Raises:
        Conflict: other changes always came first.
    """
    wanted = Change(kind=Kind.KEY, id=id, revision=0, entry=None, forgive=forgive)
    return _changed(register, wanted, register.key, edit, note)


def change_organisation(
    register: Register,
    id: str,  # noqa: A002 it is what it is called
    edit: Callable[[OrganisationModel], OrganisationModel],
    note: Note,
) -> Edited[OrganisationModel] | None:
    """Change an organisation; as `change_key`."""
    wanted = Change(kind=Kind.ORGANISATION, id=id, revision=0, entry=None)
    return _changed(register, wanted, register.organisation, edit, note)


def _changed(
    register: Register,
    wanted: Change,
    read: Callable[[str], Kept[AnyEntry] | None],
    edit: Callable[[AnyEntry], AnyEntry],
    note: Note,
) -> Edited[AnyEntry] | None:
    """Make a change that still lacks what it changes, and to what."""
    for _ in range(TRIES):
        kept = read(wanted.id)
        if kept is None:
            return None
        entry = edit(kept.entry)
        edited = Edited(entry, entry != kept.entry)
        if not edited.changed and not wanted.forgive:
            return edited
        try:
            register.commit([replace(wanted, revision=kept.revision, entry=entry)], note)
        except Conflict:
            continue
        return edited
    raise Conflict(f"{wanted.id}: expected to come first once in {TRIES} tries")
