"""Values of an Envoy configuration that know where they stand.

A configuration is protobuf written as JSON or YAML, in which a field has two spellings
(`http_filters`, `httpFilters`); either is found by the first. What is absent is a node too, so that
a way through the tree needs no condition at each step.

Whatever is read is there, is absent, or is not understood; the last raises, at every place where a
value is read as something. So nobody can go on as if it were absent, and `saying.careful` makes the
finding of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import orjson

from regiongate.doctor.finding import Place
from regiongate.documents import DocumentError, Path, Problem, parse, shown, spell

_LARGEST: Final = 256 * 1024 * 1024
"""Characters; the dump of a large mesh's gateway has a tenth."""

_DURATION: Final = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)s")
_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,20}(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,2})?")

_SWITCHES: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
"""Words that Envoy takes: YAML 1.1's without quotes, protobuf's in them."""

_TYPED_STRUCT: Final = re.compile(r"(udpa|xds)\.type\.v[13]\.TypedStruct")


class _Spelled(Enum):
    """Stands where a field is given in both spellings: Envoy takes either, by chance."""

    TWICE = "two spellings of it"


class UnclearError(ValueError):
    """A value that is not what stands at its place; what Envoy makes of it is not known here.

    Attributes:
        node: the value.
    """

    def __init__(self, node: Node, expected: str) -> None:
        got = node.value.value if isinstance(node.value, _Spelled) else shown(node.value)
        super().__init__(f"expected {expected} (got {got})")
        self.node = node


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place.

    Each way to read it as something raises UnclearError where it is something else.

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
            listed = [*self]
            return listed[part] if part < len(listed) else self._child(part, None)
        known = self._fields()
        given = [name for name in {part, _camel(part)} if known.get(name) is not None]
        if len(given) > 1:
            return self._child(part, _Spelled.TWICE)
        return self.key(given[0] if given else part)

    def at(self, *parts: str | int) -> Node:
        """Follow several steps."""
        node = self
        for part in parts:
            node = node[part]
        return node

    def key(self, name: str) -> Node:
        """Return the value of a map's key, whose spelling is the operator's."""
        return self._child(name, self._fields().get(name))

    def __iter__(self) -> Iterator[Node]:
        """Go through the elements of a list, or the values of a mapping."""
        if isinstance(self.value, list):
            yield from (self._child(index, value) for index, value in enumerate(self.value))
        elif isinstance(self.value, dict):
            yield from (self._child(name, value) for name, value in self.value.items())
        elif self:
            raise UnclearError(self, "a list or a mapping")

    def __bool__(self) -> bool:
        """Say whether it is there."""
        return self.value is not None

    def _fields(self) -> Mapping[str, Any]:
        if self and not self.has_fields:
            raise UnclearError(self, "a mapping")
        return self.value or {}

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
    def has_fields(self) -> bool:
        """Whether it is a mapping."""
        return isinstance(self.value, dict)

    @property
    def text(self) -> str:
        """The text that it is; empty where it is absent."""
        if self and not isinstance(self.value, str):
            raise UnclearError(self, "text")
        return self.value or ""

    @property
    def switch(self) -> bool | None:
        """Whether it is true; None where it is absent."""
        if isinstance(self.value, bool | None):
            return self.value
        word = self.value.lower() if isinstance(self.value, str) else ""
        if word not in _SWITCHES:
            raise UnclearError(self, "true or false")
        return _SWITCHES[word]

    @property
    def on(self) -> bool:
        """Whether it is true, where what is absent is false."""
        return self.switch is True

    @property
    def number(self) -> float | None:
        """The number that it is, 0 or more, also as text; None where it is absent."""
        if not self:
            return None
        text = str(self.value) if isinstance(self.value, str | int | float) else ""
        number = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not number >= 0:
            raise UnclearError(self, "a number")
        return number

    @property
    def whole(self) -> int | None:
        """The whole number that it is, 0 or more; None where it is absent."""
        number = self.number
        if number is not None and not number.is_integer():
            raise UnclearError(self, "a whole number")
        return None if number is None else int(number)

    def choice(self, *names: str) -> str:
        """Return the value of an enum by its name.

        Args:
            names: all there are, in the order of their numbers; what is absent is the first.
        """
        if isinstance(self.value, str) and not self.value.isdigit():
            number = names.index(self.value) if self.value in names else len(names)
        else:
            number = self.whole or 0
        if number >= len(names):
            raise UnclearError(self, f"one of {', '.join(names)}")
        return names[number]

    @property
    def seconds(self) -> float | None:
        """The duration that it is, as 0.25s; None where it is absent."""
        found = _DURATION.fullmatch(self.text)
        if self and not found:
            raise UnclearError(self, "a duration such as 0.25s")
        return float(found[1]) if found else None

    @property
    def type(self) -> str:
        """The message in an Any, without what stands before its name; empty where none is."""
        if not self.has_fields:
            return ""
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
        got = "nothing" if value is None else shown(value)
        what = "expected an Envoy configuration or the answer of /config_dump"
        raise _unusable(file, 1, f"{what} (got {got})")
    return Node(value, (), file, line)


def _parsed(file: str, text: str) -> tuple[Any, Callable[[Path], int]]:
    if text.lstrip().startswith(("{", "[")):
        return _json(file, text), _no_line
    # As Envoy reads it (1.40, yaml-cpp 0.8): 010 is 8, 08 and "010" are decimal.
    document = parse(file, text, octal=True)
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
