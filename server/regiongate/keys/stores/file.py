"""Keys in a YAML file: for ten keys, for GitOps, for a ConfigMap. They change by a reload.

The text is handed in; nothing here opens a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from regiongate.documents import Document, DocumentError, Model, Path, Problem, check, parse
from regiongate.keys.digest import Digester
from regiongate.keys.record import PROFILE_FIELDS, KeyRecord, Profile, Status
from regiongate.policy.exemptions import Exemption
from regiongate.policy.regions import RegionList
from regiongate.policy.schema import Code, Moment, Name


def _has_offset(moment: Moment) -> Moment:
    if moment.tzinfo is None:
        raise ValueError(f"expected a date with an offset from UTC (got {moment.isoformat()})")
    return moment


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected printable text on one line")
    return text


Instant = Annotated[Moment, AfterValidator(_has_offset)]
Text = Annotated[str, Field(max_length=500), AfterValidator(_one_line)]
Required = Annotated[Text, Field(min_length=1)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@/-]*$", max_length=128)]
"""Ids travel in headers, logs and metrics."""


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
    home_country: Code | Literal[""] = ""
    billing_country: Code | Literal[""] = ""
    hq_country: Code | Literal[""] = ""
    ownership_countries: list[Code] = Field(default_factory=list)
    allowed_countries: list[Code] | None = None
    denied_countries: list[Code] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)
    exemptions: list[ExemptionModel] = Field(default_factory=list)


class OrganisationModel(ProfileModel):
    """An organisation."""

    name: Text = ""


class KeyModel(ProfileModel):
    """A key."""

    id: Identifier
    digest: str
    org: Identifier | None = None
    status: Status = Status.ACTIVE
    status_reason: Text = ""
    display: Text = ""
    created: Instant | None = None
    not_before: Instant | None = None
    expires: Instant | None = None


class KeyFile(Model):
    """keys.yaml."""

    version: Literal[1]
    organisations: dict[Identifier, OrganisationModel] = Field(default_factory=dict)
    keys: list[KeyModel] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FileStore:
    """The keys of one file, as they stood when it was read."""

    version: str
    _records: Mapping[bytes, KeyRecord]

    async def find(self, digest: bytes) -> KeyRecord | None:
        """Return the record of a key by its digest; None when the key is unknown."""
        return self._records.get(digest)

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        """Yield every exemption in the file, with the id of a key that it belongs to."""
        for record in self._records.values():
            for exemption in record.profile.exemptions:
                yield record.id, exemption

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"FileStore({len(self)} keys, version {self.version})"


EMPTY: Final = FileStore("empty", {})
"""The store of a service that knows no keys."""


def load(name: str, text: str, digester: Digester) -> FileStore:
    """Load a key file.

    Raises:
        DocumentError: with every problem found.
    """
    document = parse(name, text)
    reader = _Reader(document, check(document, KeyFile), digester)
    records = reader.records()
    if reader.problems:
        raise DocumentError(reader.problems)
    return FileStore(hashlib.sha256(text.encode()).hexdigest()[:16], records)


class _Reader:
    """Makes records of a checked file, collecting what does not fit together."""

    def __init__(self, document: Document, file: KeyFile, digester: Digester) -> None:
        self._document = document
        self._file = file
        self._digester = digester
        self.problems: list[Problem] = []

    def records(self) -> dict[bytes, KeyRecord]:
        records: dict[bytes, KeyRecord] = {}
        ids = set[str]()
        for index, key in enumerate(self._file.keys):
            path: Path = ("keys", index)
            digest = self._digest((*path, "digest"), key.digest)
            if digest in records:
                self._problem((*path, "digest"), "expected each key once (got it twice)")
            if key.id in ids:
                self._problem((*path, "id"), f"expected ids that differ (got {key.id} twice)")
            if key.org is not None and key.org not in self._file.organisations:
                self._problem((*path, "org"), f"expected an organisation (got {key.org})")
            ids.add(key.id)
            records[digest] = _record(key, self._file.organisations)
        return records

    def _digest(self, path: Path, written: str) -> bytes:
        try:
            return self._digester.read(written)
        except ValueError as error:
            self._problem(path, str(error))
            return written.encode()

    def _problem(self, path: Path, message: str) -> None:
        self.problems.append(self._document.problem(path, message))


def _record(key: KeyModel, organisations: Mapping[str, OrganisationModel]) -> KeyRecord:
    own = _profile(key)
    organisation = organisations.get(key.org or "")
    return KeyRecord(
        id=key.id,
        org=key.org or "",
        status=key.status,
        status_reason=key.status_reason,
        created=key.created,
        not_before=key.not_before,
        expires=key.expires,
        profile=_profile(organisation).narrowed(own) if organisation else own,
    )


def _profile(written: ProfileModel) -> Profile:
    values: dict[str, Any] = {name: getattr(written, name) for name in PROFILE_FIELDS}
    allowed = values["allowed_countries"]
    values["allowed_countries"] = None if allowed is None else frozenset(allowed)
    values["denied_countries"] = frozenset(values["denied_countries"])
    values["ownership_countries"] = tuple(values["ownership_countries"])
    values["exemptions"] = tuple(map(_exemption, written.exemptions))
    return Profile(**values)


def _exemption(written: ExemptionModel) -> Exemption:
    values: dict[str, Any] = dict(written)
    if written.countries is not None:
        values["countries"] = RegionList(frozenset(written.countries))
    return Exemption(**values)
