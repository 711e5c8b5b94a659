"""A key file as commands see it: they read it, and leave it to its editor.

The text is handed in; nothing here opens a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NoReturn

from regiongate.documents import Document, DocumentError, check, parse
from regiongate.keys import entries
from regiongate.keys.digest import EITHER
from regiongate.keys.entries import KeyFile, KeyModel, OrganisationModel
from regiongate.keys.register import Change, Kept, Loading, Note, Recorded
from regiongate.keys.stores import StoreError, file
from regiongate.keys.strikes import Strike, Tally


class FileRegister:
    """A key file.

    Args:
        name: of the file, for messages.
        text: what is in it.
    """

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text

    def key(self, id: str) -> Kept[KeyModel] | None:  # noqa: A002 it is what it is called
        """Return a key by its id."""
        return next((Kept(one, 1) for one in self._keys() if one.id == id), None)

    def key_of(self, digest: bytes) -> Kept[KeyModel] | None:
        """Return a key by its digest."""
        # As text: one that is malformed is nobody's, and `problems` tells of it.
        written = f":{digest.hex()}"
        found = (one for one in self._keys() if one.digest.lower().endswith(written))
        return next((Kept(one, 1) for one in found), None)

    def organisation(self, id: str) -> Kept[OrganisationModel] | None:  # noqa: A002 likewise
        """Return an organisation by its id."""
        found = self._file().organisations.get(id)
        return Kept(found, 1) if found else None

    def every_key(self) -> Iterator[bytes]:
        """Yield every key as JSON, in the order of the ids."""
        yield from map(entries.write, self._keys())

    def every_organisation(self) -> Iterator[tuple[str, bytes]]:
        """Yield every organisation, its id and itself as JSON, in the order of the ids."""
        for id_, organisation in sorted(self._file().organisations.items()):
            yield id_, entries.write(organisation)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the file."""
        try:
            file.load(self._name, self._text, EITHER)
        except DocumentError as error:
            yield from map(str, error.problems)

    def history(self, _: str = "") -> Iterator[Recorded]:
        """Refuse: nobody tells what was in a file before."""
        raise StoreError(f"{self._name}: expected a store with a history, and this is a key file")

    def prune(self, _: datetime, __: Note) -> int:
        """Refuse, likewise."""
        self._refuse()

    def commit(self, _: Sequence[Change], __: Note) -> None:
        """Refuse."""
        self._refuse()

    def load(self, _: Note, *, replace: bool) -> AbstractContextManager[Loading]:  # noqa: ARG002
        """Refuse."""
        self._refuse()

    def strike(self, _: Sequence[Strike]) -> list[Tally]:
        """Refuse."""
        self._refuse()

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _refuse(self) -> NoReturn:
        because = "this is a key file: edit it, and it is read again"
        raise StoreError(f"{self._name}: expected a store that commands can change; {because}")

    def _keys(self) -> list[KeyModel]:
        return sorted(self._file().keys, key=lambda one: one.id)

    def _file(self) -> KeyFile:
        try:
            document: Document = parse(self._name, self._text)
            return check(document, KeyFile)
        except DocumentError as error:
            raise StoreError(str(error)) from None
