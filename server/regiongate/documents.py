"""YAML documents that know their lines, checked against a model.

Every file an operator writes comes through here, so that every mistake is told the same way:
file, line, path of the key, what was expected and what was found, all mistakes at once. YAML is
read by the core schema of YAML 1.2, in which `NO` is a string: in 1.1 Norway would be `false`.

Nothing here opens a file or knows what a document is for.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead from the root of a document to a value."""

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


class DocumentError(ValueError):
    """A document that cannot be used; `problems` holds every reason found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Model(BaseModel):
    """The base of every file's model: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AnyModel = TypeVar("AnyModel", bound=Model)


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


def parse(name: str, text: str) -> Document:
    """Parse the text of a document.

    Raises:
        DocumentError: the text is not YAML, holds a key twice, or a key that is not text.
    """
    try:
        root = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise DocumentError([Problem(name, line, "", f"expected YAML ({error.problem})")]) from None
    except yaml.YAMLError as error:
        raise DocumentError([Problem(name, 1, "", f"expected YAML ({error})")]) from None
    builder = _Builder(name)
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
        return model.model_validate(document.data if document.data is not None else {})
    except ValidationError as error:
        raise DocumentError(
            document.problem(
                path := _path_of(found["loc"], document.data), _message(found, path, model)
            )
            for found in error.errors(include_url=False)
        ) from None


def spell(path: Path) -> str:
    """Write a path as a person would: `rules[2].when`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def shown(value: object) -> str:
    """Write a value for an error message, cut to a length that a person reads."""
    text = repr(value) if isinstance(value, str) else str(value)
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
for _name, (_pattern, _first) in _CORE_SCHEMA.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}",
        re.compile(rf"^(?:{_pattern})$"),
        ["" if character == "\0" else character for character in _first],
    )


class _Builder:
    """Turns nodes into values; an aliased node becomes one shared value."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._built: dict[yaml.Node, Any] = {}
        self._open: set[yaml.Node] = set()
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: Path) -> Any:
        if node in self._open:
            return self._problem(node, path, "expected a value, got one that contains itself")
        if node not in self._built:
            self._open.add(node)
            self._built[node] = self._build(node, path)
            self._open.discard(node)
        return self._built[node]

    def _build(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None

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
        kind, text = node.tag.removeprefix("tag:yaml.org,2002:"), node.value
        match kind:
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return _integer(text)
            case "float":
                return float(re.sub(r"\.(?=inf|nan)", "", text, flags=re.IGNORECASE))
        return self._problem(node, path, f"expected a plain value, got the tag {node.tag}")

    def _problem(self, node: yaml.Node, path: Path, message: str) -> None:
        line = node.start_mark.line + 1
        self.problems.append(Problem(self._name, line, spell(path), message))


def _integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


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
        if isinstance(data, Mapping) and (part in data or last):
            path.append(part)
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            path.append(part)
            data = data[part] if part < len(data) else None
    return tuple(path)


def _message(found: Any, path: Path, model: type[Model]) -> str:
    value = found["input"]
    match found["type"]:
        case "extra_forbidden":
            return f"expected no key of this name{_meant(path, model)}"
        case "missing":
            return "expected this key, got nothing"
        case "value_error":
            return str(found["ctx"]["error"])
        case "model_type" | "dict_type":
            return f"expected a mapping (got {shown(value)})"
        case "list_type":
            return f"expected a list (got {shown(value)})"
    text = found["msg"].removeprefix("Input should be ").removeprefix("String should ")
    return f"expected {text} (got {shown(value)})"


def _meant(path: Path, model: type[Model]) -> str:
    """Suggest the known key that an unknown one resembles."""
    close = difflib.get_close_matches(str(path[-1]), sorted(_names(model)), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _names(model: type[Model]) -> set[str]:
    names: set[str] = set()
    for definition in [(schema := model.model_json_schema()), *schema.get("$defs", {}).values()]:
        names |= definition.get("properties", {}).keys()
    return names
