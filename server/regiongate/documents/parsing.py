"""From the text of a document to values that know their lines.

YAML is read by the core schema of YAML 1.2, in which `NO` is a string: in 1.1 Norway would be
`false`. PyYAML scans and parses; what a scalar means is said here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from regiongate.documents.problems import DocumentError, Path, Problem, shown, spell

_LONGEST_NUMBER: Final = 300
"""Digits of a whole number; no setting needs as many, and Python refuses far more."""

_DEEPEST: Final = 100
"""Levels of nesting; no file of ours has ten."""

_NOT_SO_DEEP: Final = f"expected at most {_DEEPEST} levels of nesting"

_LIBYAMLS_DEEPEST: Final = "exceeded maximum nesting depth"
"""What libyaml says of a thousand levels, from 0.2.6 on, as it reads ahead of where we count."""

_MOST_REPEATED: Final = 100_000
"""Values that aliases may stand for in all; each costs what it would cost written out."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document.

    Attributes:
        name: the file's name, for messages.
        data: mappings, lists, strings, numbers, booleans and None.
        root: the tree the data came from; it knows the lines. None for an empty document.
    """

    name: str
    data: Any
    root: yaml.Node | None

    def problem(self, path: Path, message: str) -> Problem:
        """Make the problem of a value, at the line of the value or of what should hold it."""
        return Problem(self.name, self._line(path), spell(path), message)

    def _line(self, path: Path) -> int:
        node, line = self.root, 0
        for part in path:
            node, line = _child(node, part, line)
            if node is None:
                return line + 1
        return node.start_mark.line + 1 if node else 1


def parse(name: str, text: str, *, octal: bool = False) -> Document:
    """Parse the text of a document.

    Args:
        name: the file's name, for messages.
        text: its content.
        octal: a number that begins with 0 is octal, as YAML 1.1 has it, and 0o10 is text.

    Raises:
        DocumentError: the text is not YAML, holds a key twice, a key that is not text, or little
            that stands for very much.
    """
    try:
        _require_shallow(name, text)
        root = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        expected = f"expected YAML ({error.problem}){_unquoted(text, line)}"
        if error.problem == _LIBYAMLS_DEEPEST:
            expected = _NOT_SO_DEEP
        raise DocumentError([Problem(name, line, "", expected)]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError([Problem(name, line, "", f"expected YAML ({error.reason})")]) from None
    builder = _Builder(name, octal=octal)
    data = builder.value(root, ()) if root else None
    if builder.problems:
        raise DocumentError(builder.problems)
    return Document(name, data, root)


_QUOTES: Final = "; put a value that begins with ! in quotes, a condition for instance"
_BEGINS_WITH_TAG: Final = re.compile(r"(?:^|[\s,{\[])[^\s,{\[]+:\s+!(?!!)\S")


def _unquoted(text: str, line: int) -> str:
    """Say what to do where the `!` of a condition has been read as the beginning of a tag."""
    written = text.split("\n")[line - 1 : line]
    return _QUOTES if any(map(_BEGINS_WITH_TAG.search, written)) else ""


def _require_shallow(name: str, text: str) -> None:
    """Refuse what would exhaust the stack of those who read it by recursion.

    Raises:
        DocumentError: collections stand too deep inside one another.
    """
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise DocumentError([Problem(name, line, "", _NOT_SO_DEEP)])


# ------------------------------------------------------------------------------------- YAML 1.2


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """The scanner and parser of PyYAML with the implicit types of YAML 1.2's core schema."""

    yaml_implicit_resolvers: Mapping[str, Any] = {}


_CORE_SCHEMA: Final = {
    # YAML 1.2.2, section 10.3.2.
    "null": (r"null|Null|NULL|~|", "nN~\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}
_TAGGED: Final = {
    "null": "null",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
}
"""What a tag promises, in words."""
_TAG: Final = "tag:yaml.org,2002:"
_SEQUENCE: Final = f"{_TAG}seq"
_MAPPING: Final = f"{_TAG}map"
_KINDS: Final = {_SEQUENCE, _MAPPING, f"{_TAG}str", *(f"{_TAG}{name}" for name in _CORE_SCHEMA)}

for _name, (_pattern, _first) in _CORE_SCHEMA.items():
    _Loader.add_implicit_resolver(
        f"{_TAG}{_name}",
        re.compile(rf"^(?:{_pattern})$"),
        ["" if character == "\0" else character for character in _first],
    )


_OCTAL: Final = re.compile(r"[-+]?0[0-7]+")
"""In YAML 1.1."""


class _Builder:
    """Turns nodes into values; an aliased node becomes one shared value."""

    def __init__(self, name: str, *, octal: bool) -> None:
        self._name = name
        self._octal = octal
        self._built: dict[yaml.Node, Any] = {}
        self._sizes: dict[yaml.Node, int] = {}
        self._size = 0
        self._open: set[yaml.Node] = set()
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: Path) -> Any:
        if node in self._open:
            return self._problem(node, path, "expected a value, got one that contains itself")
        if node in self._built:
            self._repeat(node, path)
        else:
            before = self._size
            self._open.add(node)
            self._built[node] = self._build(node, path)
            self._open.discard(node)
            self._size += 1
            self._sizes[node] = self._size - before
        return self._built[node]

    def _repeat(self, node: yaml.Node, path: Path) -> None:
        """Count all that an alias stands for: what reads the values does not know them again.

        Raises:
            DocumentError: it is too much.
        """
        self._size += self._sizes[node]
        if self._size - len(self._built) > _MOST_REPEATED:
            expected = f"expected aliases that stand for at most {_MOST_REPEATED} values"
            self._problem(node, path, expected)
            raise DocumentError(self.problems)

    def _build(self, node: yaml.Node, path: Path) -> Any:
        if node.tag not in _KINDS:
            expected = f"expected a plain value, got the tag {node.tag}"
            ours = node.tag.startswith("!")
            return self._problem(node, path, f"{expected}{_QUOTES if ours else ''}")
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQUENCE:
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and node.tag == _MAPPING:
            return self._mapping(node, path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        return self._problem(node, path, f"expected a value that fits the tag {node.tag}")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, child in node.value:
            # A key is text whatever it looks like: the country NO, a label 2024.
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, path, "expected a key that is text")
            elif key.value in mapping:
                self._problem(key, (*path, key.value), "expected this key once, got it twice")
            else:
                mapping[key.value] = self.value(child, (*path, key.value))
        return mapping

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        pattern = _CORE_SCHEMA.get(kind)
        if pattern and not re.fullmatch(pattern[0], text):
            expected = f"expected {_TAGGED[kind]}, as tagged (got {shown(text)})"
            return self._problem(node, path, expected)
        match kind:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return self._integer(node, path)
            case "float":
                return float(re.sub(r"\.(?=inf|nan)", "", text, flags=re.IGNORECASE))
        return text

    def _integer(self, node: yaml.ScalarNode, path: Path) -> int | str | None:
        text = node.value
        if self._octal and text.startswith("0o"):
            return str(text)
        if self._octal and _OCTAL.fullmatch(text):
            return int(text, 8)
        if len(text) > _LONGEST_NUMBER:
            self._problem(node, path, f"expected a smaller number (got {shown(text)})")
            return None
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))

    def _problem(self, node: yaml.Node, path: Path, message: str) -> None:
        line = node.start_mark.line + 1
        self.problems.append(Problem(self._name, line, spell(path), message))


def _child(node: yaml.Node | None, part: str | int, line: int) -> tuple[yaml.Node | None, int]:
    """Find a node's child, and the line (counted from 0) to blame when there is none."""
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            if key.value == part:
                return child, key.start_mark.line
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line
    return None, line
