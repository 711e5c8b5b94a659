"""Keys and organisations as every store keeps them: one form, checked when it is read.

A file holds entries as YAML, the other stores as JSON. What a Check sees is the `KeyRecord` that
is made of a key's entry and its organisation's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from regiongate.documents import Integer, Model, Version
from regiongate.keys.record import PROFILE_FIELDS, KeyRecord, Profile, Status
from regiongate.policy.exemptions import Exemption
from regiongate.policy.regions import RegionList
from regiongate.policy.schema import Code, Instant, Name


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected printable text on one line")
    return text


def _unless_empty(text: Any, code: ValidatorFunctionWrapHandler) -> Any:
    return text if text == "" else code(text)


Text = Annotated[str, Field(max_length=500), AfterValidator(_one_line)]
Required = Annotated[Text, Field(min_length=1)]


Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@/-]*$", max_length=128)]
"""Ids travel in headers, logs and metrics."""


CodeOrNothing = Annotated[
    Code,
    WrapValidator(_unless_empty),
    WithJsonSchema({"type": "string", "pattern": "^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$"}),
]
"""Where a country may be left open."""


class ExemptionModel(Model):
    """A standing permission to pass a rule; all but countries and begins must be said."""

    id: Identifier
    rule: Literal["*"] | Name
    why: Required
    ticket: Required
    approved_by: Required
    ends: Instant
    begins: Instant | None = None
    countries: Annotated[list[Code], Field(min_length=1)] | None = None


class ProfileModel(Model):
    """What an organisation and a key may both say."""

    plan: Text = ""
    home_country: CodeOrNothing = ""
    billing_country: CodeOrNothing = ""
    hq_country: CodeOrNothing = ""
    ownership_countries: list[Code] = Field(default_factory=list)
    allowed_countries: list[Code] | None = None
    denied_countries: list[Code] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)
    exemptions: list[ExemptionModel] = Field(default_factory=list)


class OrganisationModel(ProfileModel):
    """An organisation."""

    name: Text = ""


class EvidenceModel(Model):
    """The strikes that a key was suspended for."""

    rule: Name
    strikes: Integer
    first: Instant
    last: Instant
    countries: list[str]


class KeyModel(ProfileModel):
    """A key.

    `status_at` and `status_by` say when and by whom the status was set, `evidence` what for where
    strikes did it. `display` is what a person knows the key by: its first characters and last four.
    """

    id: Identifier
    digest: str
    org: Identifier | None = None
    status: Status = Status.ACTIVE
    status_reason: Text = ""
    status_at: Instant | None = None
    status_by: Text = ""
    evidence: EvidenceModel | None = None
    display: Text = ""
    created: Instant | None = None
    not_before: Instant | None = None
    expires: Instant | None = None


class KeyFile(Model):
    """keys.yaml."""

    version: Version
    organisations: dict[Identifier, OrganisationModel] = Field(default_factory=dict)
    keys: list[KeyModel] = Field(default_factory=list)


Entry = KeyModel | OrganisationModel
AnyEntry = TypeVar("AnyEntry", KeyModel, OrganisationModel)


class EntryError(ValueError):
    """Something kept in a store that is not an entry."""


def write(entry: Entry) -> bytes:
    """Write an entry as JSON, leaving out what it does not say."""
    return entry.model_dump_json(exclude_defaults=True).encode()


def read(kept: bytes | str, model: type[AnyEntry]) -> AnyEntry:
    """Read an entry from JSON.

    Raises:
        EntryError: it is none.
    """
    try:
        return model.model_validate_json(kept)
    except ValidationError as error:
        raise EntryError(told(error)) from None


def told(error: ValidationError) -> str:
    """Say in one line what is wrong with an entry."""
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'entry'}: {one['msg']}"
        for one in error.errors(include_url=False, include_input=False)
    )


def record(key: KeyModel, organisation: OrganisationModel | None) -> KeyRecord:
    """Make what a Check sees of a key: its own word within its organisation's."""
    return _brief(key, write(organisation) if organisation else None).record()


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a record is made of, in a fraction of a record's memory.

    Attributes:
        key: the entry as JSON, without what only people and stores need.
        org: the organisation's id; empty without one.
        organisation: its entry, one value in memory for all its keys; None without one.
    """

    key: bytes
    org: str
    organisation: bytes | None

    def record(self) -> KeyRecord:
        """Make what a Check sees of the key."""
        values: Mapping[str, Any] = orjson.loads(self.key)
        own = _profile(values)
        if self.organisation is not None:
            outer = _organisation_profile(self.organisation)
            own = outer if own is _SAYS_NOTHING else outer.narrowed(own)
        return KeyRecord(
            id=values["id"],
            org=self.org,
            status=_STATUSES[values.get("status", Status.ACTIVE)],
            status_reason=values.get("status_reason", ""),
            created=_moment(values.get("created")),
            not_before=_moment(values.get("not_before")),
            expires=_moment(values.get("expires")),
            profile=own,
        )


def brief(key: bytes, organisation: bytes | None) -> Brief:
    """Check entries as they are kept, and keep of them what a record is made of.

    Raises:
        EntryError: one of them is none.
    """
    return _brief(read(key, KeyModel), None if organisation is None else _shared(organisation))


@lru_cache(maxsize=4096)
def _shared(organisation: bytes) -> bytes:
    _organisation_profile(organisation)
    return organisation


@lru_cache(maxsize=4096)
def _organisation_profile(kept: bytes) -> Profile:
    # Of many keys in a row: read once, and one value in memory for all that add nothing to it.
    return _profile(orjson.loads(write(read(kept, OrganisationModel))))


_LEFT_OUT: Final = {"org", "digest", "display", "status_at", "status_by", "evidence"}
_STATUSES: Final = {status.value: status for status in Status}


def _brief(key: KeyModel, organisation: bytes | None) -> Brief:
    kept = key.model_dump_json(exclude_defaults=True, exclude=_LEFT_OUT)
    return Brief(kept.encode(), intern(key.org or ""), organisation)


_SAYS_NOTHING: Final = Profile()
_PROFILE: Final = frozenset(PROFILE_FIELDS)


def _profile(values: Mapping[str, Any]) -> Profile:
    said = {name: value for name, value in values.items() if name in _PROFILE}
    if not said:
        return _SAYS_NOTHING
    for name in ("allowed_countries", "denied_countries"):
        if name in said:
            said[name] = frozenset(said[name])
    said["ownership_countries"] = tuple(said.get("ownership_countries", ()))
    written = map(ExemptionModel.model_validate, said.get("exemptions", ()))
    return Profile(**{**said, "exemptions": tuple(map(exemption, written))})


def _moment(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


def exemption(written: ExemptionModel) -> Exemption:
    """Make an exemption as a decision knows it."""
    values: dict[str, Any] = dict(written)
    if written.countries is not None:
        values["countries"] = RegionList(frozenset(written.countries))
    return Exemption(**values)
