"""Tables of given and expected: what a policy must decide, written down beside it.

Pure: the text of a table is handed in, and every case names its own moment, so that a table that
passes today passes tomorrow. What is judged is what `decide` says, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema

from regiongate.countries import countries, country_of, meant
from regiongate.documents import (
    Document,
    DocumentError,
    Model,
    Path,
    Problem,
    Version,
    check,
    parse,
    shown,
)
from regiongate.facts import Key, Request, Source
from regiongate.policy.decide import Decision, Facts, Verdict, decide
from regiongate.policy.exemptions import Exemption
from regiongate.policy.model import DEFAULT_POLICY, PolicySet
from regiongate.policy.phases import Phase
from regiongate.policy.regions import RegionList
from regiongate.policy.schema import Code, Instant, Name, Status


def _country(text: str) -> str:
    if text and text not in countries():
        expected = "expected an ISO 3166-1 code such as FR, or nothing"
        raise ValueError(f"{expected} (got {shown(text)}){meant(text)}")
    return text


Country = Annotated[
    str, AfterValidator(_country), WithJsonSchema({"type": "string", "pattern": "^([A-Z]{2})?$"})
]
Value: TypeAlias = str | int | None
"""A field of a decision, as a table writes it."""


class GivenExemption(Model):
    """An exemption of the key or of its organisation, as far as a decision looks at it.

    Why, ticket and approved_by may be kept when an exemption is copied from a key file.
    """

    id: str
    rule: Literal["*"] | Name
    ends: Instant
    begins: Instant | None = None
    countries: Annotated[list[Code], Field(min_length=1)] | None = None
    why: str = ""
    ticket: str = ""
    approved_by: str = ""

    def exemption(self) -> Exemption:
        """Return the exemption that is described."""
        values: dict[str, Any] = dict(self)
        if self.countries is not None:
            values["countries"] = RegionList(frozenset(self.countries))
        return Exemption(**values)


class GivenKey(Model):
    """What is known about the key.

    A key of which anything is known is found and, unless told otherwise, active.
    """

    found: bool | None = None
    presented: bool | None = None
    id: str = ""
    org: str = ""
    status: Literal["active", "suspended", "revoked", "expired"] | None = None
    plan: str = ""
    home_country: Country = ""
    billing_country: Country = ""
    hq_country: Country = ""
    ownership_countries: list[Code] = Field(default_factory=list)
    allowed_countries: list[Code] | None = None
    denied_countries: list[Code] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)
    created: Instant | None = None
    expires: Instant | None = None
    problem: str = ""
    exemptions: list[GivenExemption] = Field(default_factory=list)

    def key(self) -> Key:
        """Return the fact that is described."""
        found = self.known if self.found is None else self.found
        presented = found or bool(self.problem) if self.presented is None else self.presented
        stated = {name: value for name, value in self if name in _STATED and value}
        return Key(
            found=found,
            presented=presented,
            status=self.status or ("active" if found else ""),
            restricted=self.allowed_countries is not None,
            problem=self.problem,
            **stated,
        )

    @property
    def known(self) -> bool:
        """Whether anything is said that only a key store can know."""
        stated = any(getattr(self, name) for name in _STATED)
        return stated or bool(
            self.found or self.status or self.exemptions or self.allowed_countries is not None
        )

    def contradiction(self) -> str:
        """Say what does not go together; empty where everything does."""
        if self.found is False and self.known:
            return "expected nothing known of a key that is not found"
        if self.problem and self.known:
            return "expected nothing known of a key that could not be read"
        if self.presented is False and (self.known or self.problem):
            return "expected nothing said of a key that is not presented"
        return ""


_STATED: Final = frozenset(Key.DESCRIPTOR.fields_by_name) - {
    "found",
    "presented",
    "status",
    "restricted",
    "problem",
}
"""The facts of a key that are taken as they are written."""


class GivenRequest(Model):
    """What is asked."""

    method: str = ""
    host: str = ""
    path: str = ""
    query: str = ""
    scheme: str = ""
    protocol: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    route: dict[str, str] = Field(default_factory=dict)
    principal: str = ""
    sni: str = ""


class Given(Model):
    """The facts of a case; what is left out is empty, as from a database that does not know it."""

    address: str = ""
    status: Literal["located", "unknown", "private", "unresolved"] | None = None
    country: Country = ""
    regions: list[Code] = Field(default_factory=list)
    continent: Literal["", "AF", "AN", "AS", "EU", "NA", "OC", "SA"] = ""
    registered_country: Country = ""
    network: str = ""
    asn: int = Field(default=0, ge=0, lt=2**32)
    as_org: str = ""
    anonymous: bool = False
    vpn: bool = False
    tor: bool = False
    hosting: bool = False
    proxy: bool = False
    key: GivenKey = GivenKey()
    request: GivenRequest = GivenRequest()
    policy: Name = DEFAULT_POLICY
    at: Instant | None = None

    def over(self, defaults: Given) -> Given:
        """Return the defaults with all that is said here in place of theirs."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        return defaults.model_copy(update=said)

    def facts(self) -> Facts:
        """Return the facts that are described."""
        source = {name: value for name, value in self if name in _SOURCE and value}
        source.setdefault("status", "located" if self.country else "unknown")
        exemptions = tuple(one.exemption() for one in self.key.exemptions)
        return Facts(Source(**source), self.key.key(), Request(**dict(self.request)), exemptions)


_SOURCE: Final = frozenset(Source.DESCRIPTOR.fields_by_name)


class Expect(Model):
    """What must be decided; what is left out may be anything."""

    verdict: Verdict
    policy_verdict: Verdict | None = None
    rule: Literal[""] | Name = ""
    reason: str = ""
    status: Status | None = None
    phase: Phase | Literal[""] = ""
    exemption: str = ""


class CaseModel(Model):
    """One case."""

    name: str = Field(min_length=1)
    given: Given = Given()
    expect: Expect


class CaseFile(Model):
    """A table of cases."""

    version: Version
    defaults: Given = Given()
    cases: list[CaseModel] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Facts, and what must be decided on them.

    Attributes:
        name: what the case is called.
        line: where it stands in its file, counted from 1.
        policy: the policy's name.
        at: the moment to decide at.
        expected: by the field of the decision; see `decided`.
    """

    name: str
    line: int
    policy: str
    facts: Facts
    at: datetime
    expected: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A field of a decision that is not what a case expects."""

    field: str
    expected: Value
    got: Value


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case; it passes without a mismatch."""

    case: Case
    decision: Decision
    mismatches: tuple[Mismatch, ...]


def load(name: str, text: str) -> tuple[Case, ...]:
    """Load a table of cases.

    Args:
        name: the file's name, for messages.
        text: its content.

    Raises:
        DocumentError: with every problem found.
    """
    document = parse(name, text)
    reader = _Reader(document, check(document, CaseFile))
    cases = reader.cases()
    if reader.problems:
        raise DocumentError(reader.problems)
    return cases


def run(policies: PolicySet, case: Case) -> Outcome:
    """Decide a case and hold the decision against what it expects."""
    decision = decide(policies, case.policy, case.facts, case.at)
    got = decided(policies, decision)
    return Outcome(
        case,
        decision,
        tuple(
            Mismatch(field, value, got[field])
            for field, value in case.expected.items()
            if got[field] != value
        ),
    )


def decided(policies: PolicySet, decision: Decision) -> dict[str, Value]:
    """Write a decision in the words of a table; `status` is None where nothing is refused."""
    refusal, exemption = decision.refusal, decision.exemption
    return {
        "verdict": decision.verdict.value,
        "policy_verdict": decision.policy_verdict.value,
        "rule": decision.rule,
        "reason": decision.reason,
        "status": policies.response(refusal).status if refusal else None,
        "phase": decision.phase.value if decision.phase else "",
        "exemption": exemption.id if exemption else "",
    }


def untried(policies: PolicySet, outcomes: Iterable[Outcome]) -> list[tuple[str, str]]:
    """Name the rules that no case is decided by, as (policy, rule), in the order of the file."""
    tried = {(outcome.decision.policy, outcome.decision.rule) for outcome in outcomes}
    rules = [
        (policy.name, rule.name) for policy in policies.policies.values() for rule in policy.rules
    ]
    return [rule for rule in rules if rule not in tried]


class _Reader:
    """Makes cases of a checked file, collecting what does not fit together."""

    def __init__(self, document: Document, file: CaseFile) -> None:
        self._document = document
        self._file = file
        self.problems: list[Problem] = []

    def cases(self) -> tuple[Case, ...]:
        names = [case.name for case in self._file.cases]
        for index, name in enumerate(names):
            if name in names[:index]:
                message = f"expected names that differ (got {shown(name)} twice)"
                self._problem(("cases", index, "name"), message)
        return tuple(self._case(index, case) for index, case in enumerate(self._file.cases))

    def _case(self, index: int, written: CaseModel) -> Case:
        path: Path = ("cases", index)
        given = written.given.over(self._file.defaults)
        self._fits((*path, "given"), given)
        return Case(
            name=written.name,
            line=self._document.problem(path, "").line,
            policy=given.policy,
            facts=given.facts(),
            at=given.at or datetime.min.replace(tzinfo=UTC),
            expected=_expected(written.expect),
        )

    def _fits(self, path: Path, given: Given) -> None:
        """Refuse facts that the service never puts together."""
        if given.at is None:
            self._problem(path, "expected at, the moment to decide at, here or under defaults")
        located = given.status in (None, "located")
        if given.country and not located:
            message = f"expected no country with status {given.status} (got {given.country})"
            self._problem((*path, "country"), message)
        if given.status == "located" and not given.country:
            self._problem((*path, "status"), "expected a country with status located (got none)")
        stray = [code for code in given.regions if not _lies_in(code, given.country)]
        if stray:
            expected = f"expected subdivisions of {given.country or 'a country that is given'}"
            self._problem((*path, "regions"), f"{expected} (got {', '.join(stray)})")
        if contradiction := given.key.contradiction():
            self._problem((*path, "key"), contradiction)

    def _problem(self, path: Path, message: str) -> None:
        self.problems.append(self._document.problem(path, message))


def _lies_in(code: str, country: str) -> bool:
    return "-" in code and country_of(code) == country


def _expected(written: Expect) -> dict[str, Value]:
    return {
        name: value.value if isinstance(value, Verdict | Phase) else value
        for name, value in written
        if name in written.model_fields_set
    }
