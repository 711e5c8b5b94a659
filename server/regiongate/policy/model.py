"""What a policy is: the values that a policy file becomes and that a decision is made from.

Pure values, checked once when they are made. Nothing here decides, reads or formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Final

from regiongate.policy.conditions import Condition, Language
from regiongate.policy.phases import ALWAYS, Schedule
from regiongate.policy.regions import RegionList

DEFAULT_POLICY: Final = "default"
"""The policy of a Check whose route names none."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told when it is refused.

    Attributes:
        reason: a word for machines; the error's code.
        status: the HTTP status, 400 to 599; None leaves it to the reason's response.
        message: a sentence for people; None leaves it to the reason's response.
    """

    reason: str
    status: int | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Suspension:
    """So many refusals of one key within a time, and the key is suspended."""

    after: int
    within: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of a policy.

    Attributes:
        name: unique within its policy.
        condition: when the rule applies.
        reason: a word for machines, of a refusal and of a permission alike.
        refusal: what it refuses with; None lets the request pass.
        exemptable: whether an exemption can lift it.
        shadow: recorded, with no effect.
        schedule: when its phases begin.
        suspension: when refusals by this rule suspend the key.
    """

    name: str
    condition: Condition
    reason: str
    refusal: Refusal | None
    exemptable: bool = True
    shadow: bool = False
    schedule: Schedule = ALWAYS
    suspension: Suspension | None = None


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Rules in their order; the first that applies wins.

    Attributes:
        shadow: decide and record, but let everything pass.
        otherwise: what happens when no rule applies; None lets the request pass.
    """

    name: str
    rules: tuple[Rule, ...]
    otherwise: Refusal | None
    shadow: bool = False

    @cached_property
    def reads_request(self) -> bool:
        """Whether any condition may look at the request itself."""
        return self._may_read("request")

    @cached_property
    def reads_address(self) -> bool:
        """Whether any condition tells one address of a network from another."""
        return self._may_read("source.address")

    @cached_property
    def reads_network(self) -> bool:
        """Whether any condition tells one network of a place from another."""
        return self._may_read("source.network")

    def next_change(self, now: datetime) -> datetime | None:
        """Return the next moment at which a phase of any rule begins."""
        changes = (rule.schedule.next_change(now) for rule in self.rules)
        return min((change for change in changes if change), default=None)

    def _may_read(self, fact: str) -> bool:
        return any(rule.condition.may_read(fact) for rule in self.rules)


class Format(StrEnum):
    """The shape of a denial's body."""

    OPENAI = "openai"
    """The JSON error that OpenAI-compatible client libraries turn into an exception."""
    PROBLEM = "problem"
    """application/problem+json, RFC 9457."""
    TEMPLATE = "template"
    """The operator's own text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """How a reason is told to the client.

    Attributes:
        status: the HTTP status, 400 to 599.
        message: a sentence for people.
        format: the shape of the body.
        body: the text of Format.TEMPLATE, with ${reason}, ${decision_id}, ${country}, ${message}.
        content_type: of Format.TEMPLATE.
    """

    status: int = 403
    message: str = "Request not allowed"
    format: Format = Format.OPENAI
    body: str = ""
    content_type: str = "text/plain"


WELL_KNOWN: Final[Mapping[str, Response]] = MappingProxyType(
    {
        "invalid_api_key": Response(status=401, message="Invalid API key"),
        "unsupported_country_region_territory": Response(
            message="Country, region, or territory not supported"
        ),
    }
)
"""The responses of reasons that a policy file need not describe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """One policy file.

    Attributes:
        policies: by name; `default` is always there.
        responses: by reason.
        regions: the named lists.
        language: the CEL that the conditions were compiled with.
        digest: SHA-256 of the file, hexadecimal.
    """

    policies: Mapping[str, Policy]
    responses: Mapping[str, Response]
    regions: Mapping[str, RegionList]
    language: Language
    digest: str

    def response(self, refusal: Refusal) -> Response:
        """Return how a refusal is told: its reason's response, with the refusal's own words."""
        reason = refusal.reason
        response = self.responses.get(reason) or WELL_KNOWN.get(reason) or Response()
        return replace(
            response,
            status=refusal.status or response.status,
            message=refusal.message or response.message,
        )

    def __post_init__(self) -> None:
        if DEFAULT_POLICY not in self.policies:
            got = ", ".join(self.policies) or "none"
            raise ValueError(f"expected a policy named {DEFAULT_POLICY} (got {got})")
        for name in ("policies", "responses", "regions"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
