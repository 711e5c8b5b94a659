"""YAML documents that know their lines, checked against a model.

Every file an operator writes comes through here, so that every mistake is told the same way:
file, line, path of the key, what was expected and what was found, all mistakes at once. YAML is
read by the core schema of YAML 1.2, in which `NO` is a string: in 1.1 Norway would be `false`.

Nothing here opens a file or knows what a document is for.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from regiongate.errors import ExpectedError

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead from the root of a document to a value."""

_LONGEST_NUMBER: Final = 300
"""Digits of a whole number; no setting needs as many, and Python refuses far more."""

_DEEPEST: Final = 100
"""Levels of nesting; no file of ours has ten."""

_NOT_SO_DEEP: Final = f"expected at most {_DEEPEST} levels of nesting"

_LIBYAMLS_DEEPEST: Final = "exceeded maximum nesting depth"
"""What libyaml says of a thousand levels, from 0.2.6 on, as it reads ahead of where we count."""

_MOST_REPEATED: Final = 100_000
"""Values that aliases may stand for in all; each costs what it would cost written out."""

_SHOWN: Final = 60
"""How many characters of an offending value an error shows."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in one file.

    Attributes:
        file: the file's name as the operator gave it.
        line: counted from 1.
        path: the key's place, for instance `policies.default.rules[2].when`; empty for the file.
        message: what was expected and what was found.
    """

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}: {place}{self.message}"


class DocumentError(ExpectedError, ValueError):
    """A document that cannot be used; `problems` holds every reason found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Model(BaseModel):
    """The base of every file's model: unknown keys are errors, values never change."""

    # Built when first used: most models are parts of another, which is built with them.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


AnyModel = TypeVar("AnyModel", bound=Model)


def _first_version(number: int) -> int:
    if number != 1:
        raise ValueError(f"expected 1, the one version there is (got {number})")
    return number


Integer = Annotated[int, Field(strict=True)]
"""A whole number, which `true` and "1" are not."""
Number = Annotated[float, Field(strict=True)]
Switch = Annotated[bool, Field(strict=True)]
Version = Annotated[Integer, AfterValidator(_first_version)]
"""The version of a file's format."""


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
        root = None if _too_deep(name, text) else yaml.compose(text, _Loader)
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


def check(document: Document, model: type[AnyModel]) -> AnyModel:
    """Check a document against a model.

    Raises:
        DocumentError: with a problem for each thing that is not as the model says.
    """
    try:
        return model.model_validate({} if document.data is None else document.data)
    except ValidationError as error:
        raise DocumentError(
            document.problem(
                path := _path_of(found["loc"], document.data), _message(found, path, model)
            )
            for found in error.errors(include_url=False)
        ) from None


_QUOTES: Final = "; put a value that begins with ! in quotes, a condition for instance"
_BEGINS_WITH_TAG: Final = re.compile(r"(?:^|[\s,{\[])[^\s,{\[]+:\s+!(?!!)\S")


def _unquoted(text: str, line: int) -> str:
    """Say what to do where the `!` of a condition has been read as the beginning of a tag."""
    written = text.split("\n")[line - 1 : line]
    return _QUOTES if any(map(_BEGINS_WITH_TAG.search, written)) else ""


def _too_deep(name: str, text: str) -> bool:
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
    return False


def spell(path: Path) -> str:
    """Write a path as a person would: `rules[2].when`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


class _Brief(reprlib.Repr):
    """Writes no more of a value than could be shown, however large an alias makes it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 2 * _SHOWN
        self.maxlist, self.maxdict = 8, 4


_BRIEF: Final = _Brief()


def shown(value: object) -> str:
    """Write a value for an error message, as YAML has it, cut to a length that a person reads."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value[: 2 * _SHOWN]) if isinstance(value, str) else _BRIEF.repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


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


# -------------------------------------------------------------------------- pydantic's findings


def _path_of(location: tuple[str | int, ...], data: Any) -> Path:
    """Keep the parts of pydantic's location that are steps in the document.

    The others name the member of a union or the kind of a validator.
    """
    path: list[str | int] = []
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(data, Mapping | None) and part != _KEY and (part in (data or ()) or last):
            path.append(part)
            data = (data or {}).get(part)
        elif isinstance(data, list) and isinstance(part, int):
            path.append(part)
            data = data[part] if part < len(data) else None
    return tuple(path)


_KEY: Final = "[key]"
"""How pydantic says that the key itself is wrong."""


def _message(found: Any, path: Path, model: type[Model]) -> str:
    limits = found.get("ctx", {})
    kind = found["type"]
    if kind == "too_short" and isinstance(found["input"], str):
        kind = "string_too_short"
    match kind:
        case "extra_forbidden":
            return f"expected no key of this name{_meant(path, model)}"
        case "missing":
            return "expected this key, got nothing"
        case "value_error":
            return str(limits["error"])
        case _ if kind in _EXPECTED:
            text = _EXPECTED[kind].format(**limits)
        case _:
            text = found["msg"].removeprefix("Input should be ")
    return f"expected {text} (got {shown(found['input'])})"


_EXPECTED: Final = {
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "list_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "{min_length} or more characters",
    "too_short": "{min_length} or more entries",
}
"""Our words for pydantic's kinds of error, in the manner of all our messages."""


def _meant(path: Path, model: type[Model]) -> str:
    """Suggest the known key that an unknown one resembles."""
    names, name = _names(model), str(path[-1])
    if name in names:
        return " here"
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


@cache
def _names(model: type[Model]) -> tuple[str, ...]:
    names: set[str] = set()
    for definition in [(schema := model.model_json_schema()), *schema.get("$defs", {}).values()]:
        names |= definition.get("properties", {}).keys()
    return tuple(sorted(names))
