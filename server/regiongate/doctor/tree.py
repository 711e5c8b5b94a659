"""Values of an Envoy configuration that know where they stand.

A configuration is protobuf written as JSON or YAML, in which a field has two spellings
(`http_filters`, `httpFilters`); either is found by the first. What is absent is a node too, so that
a way through the tree needs no condition at each step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from regiongate.doctor.finding import Place
from regiongate.documents import DocumentError, Path, Problem, parse, spell

_LARGEST: Final = 256 * 1024 * 1024
"""Characters; the dump of a large mesh's gateway has a tenth."""

_DURATION: Final = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)s")
_TYPED_STRUCT: Final = re.compile(r"(udpa|xds)\.type\.v[13]\.TypedStruct")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place.

    Attributes:
        value: as JSON has it; None where there is none.
        path: the keys and indexes that lead to it.
        line: returns the line of a path; 0 where lines mean nothing.
    """

    value: Any
    path: Path
    file: str
    line: Callable[[Path], int]

    def __getitem__(self, part: str | int) -> Node:
        """Return a field by its name with underscores, or an element by its index."""
        if isinstance(part, int):
            inside = isinstance(self.value, list) and part < len(self.value)
            return self._child(part, self.value[part] if inside else None)
        known = self.value if isinstance(self.value, dict) else {}
        name = part if part in known else _camel(part)
        return self._child(name if name in known else part, known.get(name))

    def at(self, *parts: str | int) -> Node:
        """Follow several steps."""
        node = self
        for part in parts:
            node = node[part]
        return node

    def key(self, name: str) -> Node:
        """Return the value of a map's key, whose spelling is the operator's."""
        known = self.value if isinstance(self.value, dict) else {}
        return self._child(name, known.get(name))

    def __iter__(self) -> Iterator[Node]:
        """Go through the elements of a list, or the values of a mapping."""
        if isinstance(self.value, list):
            yield from (self._child(index, value) for index, value in enumerate(self.value))
        elif isinstance(self.value, dict):
            yield from (self._child(name, value) for name, value in self.value.items())

    def __bool__(self) -> bool:
        """Say whether it is there."""
        return self.value is not None

    def _child(self, part: str | int, value: Any) -> Node:
        return Node(value, (*self.path, part), self.file, self.line)

    @property
    def place(self) -> Place:
        """Where it stands, or would."""
        return Place(self.file, spell(self.path), self.line(self.path))

    @property
    def name(self) -> str:
        """The last step to it."""
        return str(self.path[-1]) if self.path else ""

    @property
    def text(self) -> str:
        """The text that it is; empty where it is none."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def on(self) -> bool:
        """Whether it is true."""
        return self.value is True

    @property
    def number(self) -> float | None:
        """The number that it is; None where it is none."""
        numeric = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        return float(self.value) if numeric else None

    @property
    def seconds(self) -> float | None:
        """The duration that it is, as 0.25s; None where it is none."""
        found = _DURATION.fullmatch(self.text)
        return float(found[1]) if found else None

    @property
    def type(self) -> str:
        """The message in an Any, without what stands before its name; empty where none is."""
        written = self.key("@type").text
        if _TYPED_STRUCT.search(written):
            written = self["type_url"].text
        return written.rpartition("/")[2]

    @property
    def message(self) -> Node:
        """The fields of the message in an Any."""
        return self["value"] if _TYPED_STRUCT.search(self.key("@type").text) else self

    def everything(self) -> Iterator[Node]:
        """Yield this node and all that are in it, in the order they are written in."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            if isinstance(node.value, dict | list):
                waiting.extend(reversed([*node]))


def read(file: str, text: str) -> Node:
    """Read a configuration in YAML or JSON.

    Args:
        file: its name, for messages.
        text: its content.

    Raises:
        DocumentError: it is neither, or not a mapping.
    """
    if len(text) > _LARGEST:
        raise _unusable(file, 1, f"expected at most {_LARGEST} characters (got {len(text)})")
    value, line = _parsed(file, text)
    if not isinstance(value, dict | list):
        raise _unusable(file, 1, "expected an Envoy configuration or the answer of /config_dump")
    return Node(value, (), file, line)


def _parsed(file: str, text: str) -> tuple[Any, Callable[[Path], int]]:
    if text.lstrip().startswith(("{", "[")):
        return _json(file, text), _no_line
    document = parse(file, text)
    return document.data, lambda path: document.problem(path, "").line


def _json(file: str, text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _unusable(file, error.lineno, f"expected JSON ({error.msg})") from None


def _no_line(_: Path) -> int:
    return 0


def _unusable(file: str, line: int, message: str) -> DocumentError:
    return DocumentError([Problem(file, line, "", message)])


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return "".join([first, *(one.title() for one in others)])
