"""Keys in a YAML file: for ten keys, for GitOps, for a ConfigMap. They change by a reload.

The text is handed in; nothing here opens a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from regiongate.documents import Document, DocumentError, Path, Problem, check, parse
from regiongate.keys import entries
from regiongate.keys.digest import Digester
from regiongate.keys.entries import KeyFile
from regiongate.keys.record import KeyRecord
from regiongate.policy.exemptions import Exemption

__all__ = ["EMPTY", "FileStore", "KeyFile", "load"]


@dataclass(frozen=True, slots=True)
class FileStore:
    """The keys of one file, as they stood when it was read."""

    version: str
    records: Mapping[bytes, KeyRecord]

    def recall(self, digest: bytes) -> KeyRecord | None:
        """Return the record of a key by its digest; None when the key is unknown."""
        return self.records.get(digest)

    async def find(self, digest: bytes) -> KeyRecord | None:
        """Return the same."""
        return self.recall(digest)

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        """Yield every exemption in the file, with the id of a key that it belongs to."""
        for record in self.records.values():
            for exemption in record.profile.exemptions:
                yield record.id, exemption

    def age(self, _: datetime) -> float:
        """Return 0: what was read is what there is."""
        return 0.0

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"FileStore({len(self)} keys, version {self.version})"


EMPTY: Final = FileStore("empty", {})
"""The store of a service that knows no keys."""


def load(name: str, text: str, digester: Digester) -> FileStore:
    """Load a key file.

    Raises:
        DocumentError: with every problem found.
    """
    document = parse(name, text)
    reader = _Reader(document, check(document, KeyFile), digester)
    records = reader.records()
    if reader.problems:
        raise DocumentError(reader.problems)
    return FileStore(hashlib.sha256(text.encode()).hexdigest()[:16], records)


class _Reader:
    """Makes records of a checked file, collecting what does not fit together."""

    def __init__(self, document: Document, file: KeyFile, digester: Digester) -> None:
        self._document = document
        self._file = file
        self._digester = digester
        self.problems: list[Problem] = []

    def records(self) -> dict[bytes, KeyRecord]:
        records: dict[bytes, KeyRecord] = {}
        ids = set[str]()
        for index, key in enumerate(self._file.keys):
            path: Path = ("keys", index)
            digest = self._digest((*path, "digest"), key.digest)
            if digest in records:
                self._problem((*path, "digest"), "expected each key once (got it twice)")
            if key.id in ids:
                self._problem((*path, "id"), f"expected ids that differ (got {key.id} twice)")
            if key.org is not None and key.org not in self._file.organisations:
                self._problem((*path, "org"), f"expected an organisation (got {key.org})")
            ids.add(key.id)
            records[digest] = entries.record(key, self._file.organisations.get(key.org or ""))
        return records

    def _digest(self, path: Path, written: str) -> bytes:
        try:
            return self._digester.read(written)
        except ValueError as error:
            self._problem(path, str(error))
            return written.encode()

    def _problem(self, path: Path, message: str) -> None:
        self.problems.append(self._document.problem(path, message))
