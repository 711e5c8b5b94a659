"""A finding: one thing that was looked at, what is to be said of it, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is, the worst first."""

    WRONG = "wrong"
    """Requests are let through, refused or judged by what is not so."""
    WARNING = "warning"
    """It may be meant, or it costs when something else goes wrong."""
    UNKNOWN = "unknown"
    """What was given does not tell."""
    FINE = "fine"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was found.

    Attributes:
        file: as the operator named it; for the running service its address.
        path: of the key, for instance `static_resources.clusters[0].name`.
        line: counted from 1; 0 where the file's lines mean nothing, as in a dump.
    """

    file: str
    path: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.path}" if self.path else where


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        name: of its kind, for machines; stays the same from version to version.
        what: a sentence or two in plain words.
        instead: what to write, as YAML where it is configuration; empty where nothing is.
        place: where it was found; None where it is about what was not given.
    """

    severity: Severity
    name: str
    what: str
    instead: str = ""
    place: Place | None = None
