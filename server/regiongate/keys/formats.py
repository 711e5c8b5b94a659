"""Keys and organisations as files of many: JSON Lines, CSV, and the YAML of a key file.

What is written here is read here again, with nothing lost. Each entry knows its line, and a mistake
is told with it; a key in clear text, which only an import may hold, becomes its digest and nothing
else of it is kept or told.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TextIO

import orjson

from regiongate.documents import Document, DocumentError, Problem, check, parse
from regiongate.keys import extraction, minting
from regiongate.keys.digest import Digester
from regiongate.keys.entries import Entry, KeyFile, KeyModel
from regiongate.keys.extraction import Extractor
from regiongate.keys.register import Numbered

ORGANISATION: Final = "organisation"
"""The field that makes a line an organisation's; it holds the id."""
KEY: Final = "key"
"""The field that holds a key in clear text, in place of its digest."""

_LISTS: Final = frozenset({"ownership_countries", "allowed_countries", "denied_countries"})
_STRUCTURES: Final = frozenset({"labels", "exemptions", "evidence"})
_NOWHERE: Final = "-"
"""An empty list in CSV, where an empty cell is nothing said."""
_COLUMNS: Final = (ORGANISATION, *KeyModel.model_fields, "name")


class Format(StrEnum):
    """The form of a file."""

    YAML = "yaml"
    JSONL = "jsonl"
    CSV = "csv"

    @classmethod
    def of(cls, name: str) -> Format | None:
        """Return the form that a file's name says."""
        return _ENDINGS.get(name.rpartition(".")[2].lower())


_ENDINGS: Final = {
    "yaml": Format.YAML,
    "yml": Format.YAML,
    "jsonl": Format.JSONL,
    "ndjson": Format.JSONL,
    "csv": Format.CSV,
}


def read(
    name: str,
    file: TextIO,
    form: Format,
    digester: Digester,
    extractors: Sequence[Extractor] = (),
) -> Iterator[Numbered | Problem]:
    """Read a file of entries, one after the other.

    Args:
        name: of the file, for messages.
        digester: makes the digests of keys in clear text, and reads the others.
        extractors: where requests carry keys; one that none of them can find is wrong.

    Yields:
        An entry, or what is wrong with it.
    """
    reader = _Reader(name, digester, extractors)
    match form:
        case Format.YAML:
            yield from reader.yaml(file.read())
        case Format.JSONL:
            yield from reader.jsonl(file)
        case Format.CSV:
            yield from reader.csv(file)


class _Reader:
    def __init__(self, name: str, digester: Digester, extractors: Sequence[Extractor]) -> None:
        self._name = name
        self._digester = digester
        self._extractors = extractors

    def yaml(self, text: str) -> Iterator[Numbered | Problem]:
        try:
            document = parse(self._name, text)
            file = check(document, KeyFile)
        except DocumentError as error:
            yield from error.problems
            return
        for id_, organisation in file.organisations.items():
            line = document.problem(("organisations", id_), "").line
            yield Numbered(line, id_, organisation)
        for index, key in enumerate(file.keys):
            line = document.problem(("keys", index), "").line
            yield from self._key(line, key)

    def jsonl(self, lines: Iterable[str]) -> Iterator[Numbered | Problem]:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                values = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield self._problem(number, f"expected JSON, and it is none from {error.pos} on")
                continue
            if isinstance(values, dict):
                yield from self._entry(number, values)
            else:
                yield self._problem(number, "expected a JSON object")

    def csv(self, lines: Iterable[str]) -> Iterator[Numbered | Problem]:
        rows = csv.DictReader(lines, restkey="", strict=True)
        unknown = sorted(set(rows.fieldnames or ()) - {*_COLUMNS, KEY})
        if unknown or not rows.fieldnames:
            names = ", ".join(unknown) or "none"
            yield self._problem(1, f"expected columns that are fields of a key (got {names})")
            return
        try:
            for row in rows:
                yield from self._row(rows.line_num, row)
        except csv.Error as error:
            yield self._problem(rows.line_num, f"expected CSV ({error})")

    def _row(self, line: int, row: Mapping[str, Any]) -> Iterator[Numbered | Problem]:
        if "" in row or None in row.values():
            yield self._problem(line, "expected as many cells as there are columns")
            return
        try:
            values = {name: _cell(name, text) for name, text in row.items() if text}
        except orjson.JSONDecodeError:
            yield self._problem(line, "expected JSON in labels, exemptions and evidence")
            return
        yield from self._entry(line, values)

    def _entry(self, line: int, values: dict[str, Any]) -> Iterator[Numbered | Problem]:
        if ORGANISATION in values:
            id_ = str(values.pop(ORGANISATION))
            whole = {"version": 1, "organisations": {id_: values}}
            yield from self._checked(line, whole, lambda file: [*file.organisations.items()])
            return
        key = values.pop(KEY, None)
        if key is not None:
            if not isinstance(key, str) or not key or "digest" in values:
                yield self._problem(line, "expected either a key or its digest")
                return
            if wrong := extraction.unusable(self._extractors, key.encode()):
                yield self._problem(line, wrong)
                return
            values |= _of(key, self._digester, values.get("display"))
        whole = {"version": 1, "keys": [values]}
        yield from self._checked(line, whole, lambda file: [(one.id, one) for one in file.keys])

    def _checked(
        self, line: int, values: Any, entries: Callable[[KeyFile], list[tuple[str, Entry]]]
    ) -> Iterator[Numbered | Problem]:
        try:
            found = entries(check(Document(self._name, values, None), KeyFile))
        except DocumentError as error:
            for problem in error.problems:
                path = problem.path.partition(".")[2]
                yield Problem(self._name, line, path, problem.message)
            return
        for id_, entry in found:
            if isinstance(entry, KeyModel):
                yield from self._key(line, entry)
            else:
                yield Numbered(line, id_, entry)

    def _key(self, line: int, key: KeyModel) -> Iterator[Numbered | Problem]:
        try:
            self._digester.read(key.digest)
        except ValueError as error:
            yield Problem(self._name, line, "digest", str(error))
        else:
            yield Numbered(line, key.id, key)

    def _problem(self, line: int, message: str) -> Problem:
        return Problem(self._name, line, "", message)


def _of(key: str, digester: Digester, display: object) -> dict[str, str]:
    digest = digester.write(digester.digest(key.encode()))
    return {"digest": digest, "display": str(display) if display else minting.display(key)}


def _cell(name: str, text: str) -> Any:
    if name in _LISTS:
        return [] if text == _NOWHERE else text.split()
    return orjson.loads(text) if name in _STRUCTURES else text


# --------------------------------------------------------------------------------- writing


def write(
    form: Format, organisations: Iterable[tuple[str, bytes]], keys: Iterable[bytes]
) -> Iterator[str]:
    """Write entries, organisations first, as `read` reads them.

    Args:
        organisations: their ids, and they as JSON.
        keys: as JSON.

    Yields:
        Pieces of text.
    """
    match form:
        case Format.JSONL:
            yield from _jsonl(organisations, keys)
        case Format.CSV:
            yield from _csv(organisations, keys)
        case Format.YAML:
            yield from _yaml(organisations, keys)


def _jsonl(organisations: Iterable[tuple[str, bytes]], keys: Iterable[bytes]) -> Iterator[str]:
    for id_, entry in organisations:
        line = {ORGANISATION: id_, **orjson.loads(entry)}
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE).decode()
    for key in keys:
        yield f"{key.decode()}\n"


def _csv(organisations: Iterable[tuple[str, bytes]], keys: Iterable[bytes]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for id_, entry in organisations:
        writer.writerow({ORGANISATION: id_, **_cells(orjson.loads(entry))})
    for key in keys:
        writer.writerow(_cells(orjson.loads(key)))
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _cells(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _written(name, value) for name, value in values.items()}


def _written(name: str, value: Any) -> str:
    if name in _LISTS:
        return " ".join(value) or _NOWHERE
    return orjson.dumps(value).decode() if name in _STRUCTURES else str(value)


def _yaml(organisations: Iterable[tuple[str, bytes]], keys: Iterable[bytes]) -> Iterator[str]:
    # JSON is YAML: a value a line needs no writer of YAML, and reads well enough.
    yield "version: 1\norganisations:"
    empty = True
    for id_, entry in organisations:
        yield f"\n  {orjson.dumps(id_).decode()}: {entry.decode()}"
        empty = False
    yield " {}\nkeys:" if empty else "\nkeys:"
    empty = True
    for key in keys:
        yield f"\n  - {key.decode()}"
        empty = False
    yield " []\n" if empty else "\n"
