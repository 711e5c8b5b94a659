"""Whether a document says what its model asks for: pydantic's findings in the words of all ours."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from regiongate.documents.parsing import Document
from regiongate.documents.problems import DocumentError, Path, resembling, shown


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
    return f"expected {text}{_got(found['input'])}"


def _got(value: Any) -> str:
    """Quote what was found; not a URL in the place of a section, where a password may be in it."""
    text = shown(value)
    return "" if "://" in text else f" (got {text})"


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
    return resembling(name, names)


@cache
def _names(model: type[Model]) -> tuple[str, ...]:
    names: set[str] = set()
    for definition in [(schema := model.model_json_schema()), *schema.get("$defs", {}).values()]:
        names |= definition.get("properties", {}).keys()
    return tuple(sorted(names))
