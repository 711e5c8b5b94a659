"""A mistake in a file, and the words for it."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from regiongate.errors import ExpectedError

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


class DocumentError(ExpectedError, ValueError):
    """A document that cannot be used; `problems` holds every reason found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def spell(path: Path) -> str:
    """Write a path as a person would: `rules[2].when`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def resembling(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that an unknown one was most likely meant for.

    Returns:
        What an error message ends with; nothing where there is no suggestion.
    """
    close = difflib.get_close_matches(name, tuple(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


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
