"""The section geo: the databases, and when one is fit for use."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from regiongate import documents
from regiongate.documents import Model, Switch, shown
from regiongate.geo import layouts
from regiongate.geo.gate import Role
from regiongate.runtime.config.fields import Country, Duration, Probe
from regiongate.runtime.config.update import Update


def _way(written: Any) -> layouts.Way:
    steps = written.split(".") if isinstance(written, str) else written
    if not isinstance(steps, list) or not all(
        (isinstance(step, str) and step) or type(step) is int for step in steps
    ):
        expected = "expected the way to a value such as country.iso_code or [geo, 0, code]"
        raise ValueError(f"{expected} (got {shown(written)})")
    return tuple(steps)


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else "text"


Path = Annotated[str, Field(min_length=1)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""SHA-256, as sha256sum prints it."""
Way = Annotated[
    layouts.Way,
    BeforeValidator(_way),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": ["string", "integer"]}},
            ]
        }
    ),
]


class DatabaseFile(Model):
    """One database, with what is particular about it."""

    path: Path
    layout: (
        Annotated[
            Annotated[Way, Tag("a way")] | Annotated[dict[layouts.Field, Way], Tag("a mapping")],
            Discriminator(lambda value: "a mapping" if isinstance(value, dict) else "a way"),
        ]
        | None
    ) = None

    def layout_for(self, role: Role) -> layouts.Layout | None:
        """Return the layout; a way alone is that to what the database is for."""
        return {role: self.layout} if isinstance(self.layout, tuple) else self.layout or None


OneFile = Annotated[
    Annotated[Path, Tag("text")] | Annotated[DatabaseFile, Tag("a mapping")],
    Discriminator(lambda value: "a mapping" if isinstance(value, dict) else "text"),
]
Files = Annotated[
    Annotated[Path, Tag("text")]
    | Annotated[DatabaseFile, Tag("a mapping")]
    | Annotated[Annotated[list[OneFile], Field(min_length=1)], Tag("a list")],
    Discriminator(_kind),
]
"""A database or several, each the path of a file or a mapping."""


def _listed(written: str | DatabaseFile | list[str | DatabaseFile]) -> list[DatabaseFile]:
    several = written if isinstance(written, list) else [written]
    return [DatabaseFile(path=one) if isinstance(one, str) else one for one in several]


def _different(
    written: str | DatabaseFile | list[str | DatabaseFile],
) -> str | DatabaseFile | list[str | DatabaseFile]:
    paths = [one.path for one in _listed(written)]
    if twice := sorted({path for path in paths if paths.count(path) > 1}):
        raise ValueError(f"expected each file once (got {', '.join(twice)} twice)")
    return written


Databases = Annotated[Files, AfterValidator(_different)]


class Geo(Model):
    """The databases, and when one is fit for use."""

    country: Databases
    asn: Databases | None = None
    anonymous: Databases | None = None
    accept: list[Digest] = Field(default_factory=list)
    max_age: Duration | None = None
    on_stale: Literal["serve", "unknown"] = "serve"
    probes: dict[Probe, Country] = Field(default_factory=dict)
    require_c_extension: Switch = False
    update: Update | None = None

    @model_validator(mode="after")
    def _updates_what_is_used(self) -> Geo:
        used = {file.path for role in get_args(Role) for file in self.files(role)}
        if stray := sorted(set(self.update.sources if self.update else ()) - used):
            raise ValueError(
                "expected update.sources to name files of country, asn or anonymous"
                f" (got {', '.join(stray)})"
            )
        return self

    def is_stale(self, built: datetime, now: datetime) -> bool:
        """Say whether a database of countries is older than is allowed.

        Args:
            built: when it was made.
            now: the current time.
        """
        return self.max_age is not None and now - built > self.max_age

    def keys(self, role: Role) -> list[documents.Path]:
        """Return the keys of the configuration that name the files of `files`."""
        written = getattr(self, role)
        several = written if isinstance(written, list) else [written]
        return [
            (
                *("geo", role),
                *((index,) if several is written else ()),
                *(("path",) if isinstance(one, DatabaseFile) else ()),
            )
            for index, one in enumerate(several)
        ]

    def files(self, role: Role) -> list[DatabaseFile]:
        """Return the databases for a purpose, the most trusted first."""
        written: str | DatabaseFile | list[str | DatabaseFile] | None = getattr(self, role)
        return [] if written is None else _listed(written)
