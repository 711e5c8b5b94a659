"""The shape of policy.yaml.

Pure description: what the keys are, what their values may be. `loading` gives them a meaning.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from regiongate.countries import is_code, meant
from regiongate.documents import Integer, Model, Switch, Version, shown
from regiongate.durations import duration
from regiongate.policy.model import Format

HTTP_ERRORS = range(400, 600)
YEARS = range(1900, 9000)
"""Of a date; at the edges of the calendar no offset could be added."""


def _code(text: str) -> str:
    if not is_code(text):
        expected = "expected an ISO 3166 code such as FR or UA-43"
        raise ValueError(f"{expected} (got {shown(text)}){meant(text)}")
    return text


def _status(number: int) -> int:
    if number not in HTTP_ERRORS:
        raise ValueError(f"expected an HTTP status from 400 to 599 (got {number})")
    return number


def _moment(value: Any) -> Any:
    """Read RFC 3339, or a date or local time where the phases name a zone."""
    expected = f"expected a date such as 2024-07-09T00:00:00Z (got {shown(value)})"
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(expected) from None
    if moment.year not in YEARS:
        raise ValueError(expected)
    return moment


def _has_offset(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"expected a date with an offset from UTC (got {moment.isoformat()})")
    return moment


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones is an OSError
        raise ValueError(f"expected a time zone such as Europe/Paris (got {shown(name)})") from None
    return name


Code = Annotated[
    str,
    AfterValidator(_code),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}(-[A-Z0-9]{1,3})?$"}),
]
Status = Annotated[
    Integer,
    AfterValidator(_status),
    WithJsonSchema({"type": "integer", "minimum": 400, "maximum": 599}),
]
Moment = Annotated[datetime, BeforeValidator(_moment)]
"""A date that may lack its offset from UTC, where a zone stands beside it."""
Instant = Annotated[Moment, AfterValidator(_has_offset)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_.-]*[a-z0-9])?$", max_length=64)]
"""Names of rules, policies, lists and reasons: they travel in headers, logs and metrics."""
Duration = Annotated[timedelta, BeforeValidator(duration)]


class RegionFile(Model):
    """A list kept in a file of its own: a code a line, # for comments."""

    file: str


class RegionExpression(Model):
    """A list made of others."""

    union: list[Name] = Field(min_length=1)
    minus: list[Name] = Field(default_factory=list)


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a file" if "file" in value else "an expression"
    return "a list"


Regions = Annotated[
    Annotated[list[Code], Tag("a list")]
    | Annotated[RegionFile, Tag("a file")]
    | Annotated[RegionExpression, Tag("an expression")],
    Discriminator(_kind),
]
"""A list written in full, kept in a file, or made of others."""


class Deny(Model):
    """What a rule refuses with."""

    reason: Name
    status: Status | None = None
    message: str | None = Field(default=None, max_length=1000)


class Allow(Model):
    """What a rule lets requests pass with; `allow: true` will do."""

    # What editors are told of `allow: true`.
    model_config = ConfigDict(
        json_schema_extra={"type": ["object", "boolean"], "not": {"const": False}}
    )

    reason: Name = "allowed"

    @model_validator(mode="before")
    @classmethod
    def _true(cls, value: Any) -> Any:
        return {} if value is True else value


class Phases(Model):
    """When a rule begins to observe, to warn and to enforce."""

    zone: Annotated[str, AfterValidator(_zone)] | None = None
    observe: Moment | None = None
    warn: Moment | None = None
    enforce: Moment | None = None

    @model_validator(mode="after")
    def _dated(self) -> Phases:
        if not any((self.observe, self.warn, self.enforce)):
            raise ValueError("expected at least one of observe, warn, enforce")
        return self


class Suspend(Model):
    """So many refusals of one key within a time, and the key is suspended."""

    after: Annotated[Integer, Field(gt=0)]
    within: Duration


class Rule(Model):
    """One rule: a condition, and what follows from it."""

    # What editors are told of "exactly one of deny and allow".
    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["deny"]}, {"required": ["allow"]}]}
    )

    name: Name
    when: str
    deny: Deny | None = None
    allow: Allow | None = None
    exemptable: Switch = True
    mode: Literal["enforce", "shadow"] = "enforce"
    phases: Phases | None = None
    suspend: Suspend | None = None

    @model_validator(mode="after")
    def _one_outcome(self) -> Rule:
        if (self.deny is None) == (self.allow is None):
            got = "both" if self.deny else "neither"
            raise ValueError(f"expected exactly one of deny and allow (got {got})")
        if self.allow is not None and self.suspend is not None:
            raise ValueError("expected suspend only on a rule that denies")
        return self


class Otherwise(Model):
    """What follows when no rule applies."""

    deny: Deny


class Policy(Model):
    """Rules in their order; the first that applies wins."""

    mode: Literal["enforce", "shadow"] = "enforce"
    rules: list[Rule]
    otherwise: Annotated[
        Annotated[Literal["allow", "deny"], Tag("a word")] | Annotated[Otherwise, Tag("a mapping")],
        Discriminator(lambda value: "a mapping" if isinstance(value, dict) else "a word"),
    ]

    @model_validator(mode="after")
    def _unique(self) -> Policy:
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"expected rule names that differ (got {', '.join(twice)} twice)")
        return self


class Response(Model):
    """How a reason is told to the client."""

    status: Status | None = None
    message: str | None = Field(default=None, max_length=1000)
    format: Format = Format.OPENAI
    body: str = Field(default="", max_length=64 * 1024)
    content_type: str = Field(default="text/plain", pattern=r"^[\x21-\x7e][\x20-\x7e]*$")

    @model_validator(mode="after")
    def _template(self) -> Response:
        if (self.format is Format.TEMPLATE) != bool(self.body):
            raise ValueError("expected a body exactly where the format is template")
        return self


class PolicyFile(Model):
    """policy.yaml."""

    version: Version
    regions: dict[Name, Regions] = Field(default_factory=dict)
    policies: dict[Name, Policy]
    responses: dict[Name, Response] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_default(self) -> PolicyFile:
        if "default" not in self.policies:
            got = ", ".join(self.policies) or "none"
            raise ValueError(f"expected a policy named default under policies (got {got})")
        return self
