"""From a Check to a decision: who asks, what is known of them, what is decided, what is said.

The way of one Check: address (who) → geo (where) → keys (what is known) → policy (what is decided)
→ responses (what is said). Nothing here opens anything, and all of it depends on one snapshot. What
a store has to be asked for is between two steps: `ask` comes before, `conclude` after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from regiongate.address import AddressSource, ClientAddress
from regiongate.extauthz import remembered, responses
from regiongate.extauthz.evidence import CallEvidence, Metadata
from regiongate.extauthz.remembered import Memory, Remembered
from regiongate.extauthz.responses import Answer, Told
from regiongate.extauthz.wire import Check
from regiongate.facts import Key, Located, Request
from regiongate.keys.digest import Digester
from regiongate.keys.extraction import Extractor, FromHeader, Presented, extract
from regiongate.keys.record import ABSENT, UNKNOWN, KeyRecord, malformed
from regiongate.keys.stores import KeyStore
from regiongate.policy.decide import Decision, Facts, decide
from regiongate.policy.exemptions import Exemption
from regiongate.policy.model import DEFAULT_POLICY, Policy, PolicySet

POLICY_EXTENSION: Final = "regiongate.policy"
"""The context extension by which a route names its policy."""


class Locator(Protocol):
    """Says where an address is."""

    def locate(self, client: ClientAddress) -> Located:
        """Locate a client."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that an answer depends on but for the Check and the time; a reload replaces it whole.

    Attributes:
        database_type: what the country database calls itself, for decision records.
        database_built: when it was built, likewise.
        defer_errors: leave a fault of ours to Envoy's failure_mode_allow.
        memory: the decisions remembered under this snapshot.
    """

    policies: PolicySet
    address: AddressSource
    locator: Locator
    extractors: Sequence[Extractor]
    digester: Digester
    keys: KeyStore
    database_type: str = ""
    database_built: datetime | None = None
    defer_errors: bool = False
    memory: Memory = field(default_factory=Memory)


# What is made for each Check is made of plain classes: they take a quarter of the time of frozen
# dataclasses, and the type checker sees to it that nothing is assigned to them.


class Asked:
    """A Check, and what it says of who asks.

    Attributes:
        client: the address, or why there is none.
        located: where that is.
        presented: the key.
        digests: what the key may be known by; none without one.
    """

    __slots__ = ("check", "client", "digests", "located", "presented")

    def __init__(
        self,
        check: Check,
        client: ClientAddress,
        located: Located,
        presented: Presented,
        digests: Sequence[bytes],
    ) -> None:
        self.check: Final = check
        self.client: Final = client
        self.located: Final = located
        self.presented: Final = presented
        self.digests: Final = digests


class Known:
    """What is known of a key."""

    __slots__ = ("exemptions", "key")

    def __init__(self, key: Key, exemptions: Sequence[Exemption] = ()) -> None:
        self.key: Final = key
        self.exemptions: Final = exemptions


class Judged:
    """A Check, who asks, what was known, what was decided, and what is said."""

    __slots__ = ("answer", "check", "client", "decision", "key", "located")

    def __init__(self, asked: Asked, key: Key, decision: Decision, answer: Answer) -> None:
        self.check: Final = asked.check
        self.client: Final = asked.client
        self.located: Final = asked.located
        self.key: Final = key
        self.decision: Final = decision
        self.answer: Final = answer


async def judge(snapshot: Snapshot, check: Check, metadata: Metadata, now: datetime) -> Judged:
    """Gather the facts of a Check and decide, waiting for a store where that takes one.

    Args:
        check: what is asked.
        metadata: of the gRPC call that brought it.
        now: the time to decide at.
    """
    asked = ask(snapshot, check, metadata)
    return conclude(snapshot, asked, await found(snapshot, asked), now)


def ask(snapshot: Snapshot, check: Check, metadata: Metadata) -> Asked:
    """Find out who asks: all that is known without a key store.

    Args:
        check: what is asked.
        metadata: of the gRPC call that brought it.
    """
    client = snapshot.address.resolve(CallEvidence(check, metadata))
    presented = extract(snapshot.extractors, check)
    digests = () if presented.key is None else snapshot.digester.digests(presented.key)
    return Asked(check, client, snapshot.locator.locate(client), presented, digests)


def recalled(snapshot: Snapshot, asked: Asked) -> KeyRecord | None:
    """Return the record of the key, by the first of its digests that is known; None without one.

    Raises:
        NotRememberedError: the store has to be asked.
    """
    for digest in asked.digests:
        record = snapshot.keys.recall(digest)
        if record is not None:
            return record
    return None


async def found(snapshot: Snapshot, asked: Asked) -> KeyRecord | None:
    """Return the record of the key, waiting for the store where that has to be asked.

    Raises:
        StoreError: it is away, and that is not to pass for an unknown key.
    """
    for digest in asked.digests:
        record = await snapshot.keys.find(digest)
        if record is not None:
            return record
    return None


def conclude(snapshot: Snapshot, asked: Asked, record: KeyRecord | None, now: datetime) -> Judged:
    """Decide.

    Args:
        record: of the key; None when there is none or it is unknown.
        now: the time to decide at.
    """
    known = _known(asked.presented, record, now)
    name = asked.check.extension(POLICY_EXTENSION) or DEFAULT_POLICY
    policy = snapshot.policies.policies.get(name)
    if policy is None or known.key.problem:
        decision = decide(snapshot.policies, name, _facts(asked, known, Request()), now)
        answer = _answer(snapshot, asked, known.key, decision)
    else:
        decision, answer = _decided(snapshot, asked, known, policy, now)
    return Judged(asked, known.key, decision, answer)


def _decided(
    snapshot: Snapshot, asked: Asked, known: Known, policy: Policy, now: datetime
) -> tuple[Decision, Answer]:
    """Recall the decision, or make and remember it."""
    check, key = asked.check, known.key
    place = remembered.place(policy, asked.located, key, grpc=check.is_grpc)
    before = snapshot.memory.recall(place, now)
    if before is not None:
        forged = before.decision.refusal is None and _forged(check)
        again = _answer(snapshot, asked, key, before.decision) if forged else before.answer
        return before.decision, again
    seen = request(snapshot, check) if policy.reads_request else Request()
    facts = _facts(asked, known, seen)
    decision = decide(snapshot.policies, policy.name, facts, now)
    answer = _answer(snapshot, asked, key, decision)
    if remembered.may_be_remembered(decision) and not _forged(check):
        until = remembered.until(policy, facts, now)
        snapshot.memory.remember(place, Remembered(decision, answer, key, now, until))
    return decision, answer


def _known(presented: Presented, record: KeyRecord | None, now: datetime) -> Known:
    if presented.problem:
        return Known(malformed(presented.problem))
    if presented.key is None:
        return Known(ABSENT)
    if record is None:
        return Known(UNKNOWN)
    key = record.facts(now)
    # A key before its time is as unknown as any other, and has nobody's exemptions.
    return Known(key, record.profile.exemptions if key.found else ())


def _facts(asked: Asked, known: Known, request: Request) -> Facts:
    """Return what a policy is asked with."""
    return Facts(asked.located.source, known.key, request, known.exemptions)


def request(snapshot: Snapshot, check: Check) -> Request:
    """Return what a policy sees of a request: all but the headers that keys are read from."""
    credentials = {one.header for one in snapshot.extractors if isinstance(one, FromHeader)}
    return Request(
        method=check.method,
        host=check.host,
        path=check.path,
        query=check.query,
        scheme=check.scheme,
        protocol=check.protocol,
        headers={name: check.text(name) for name in check.headers if name not in credentials},
        route=check.route,
        principal=check.principal,
        sni=check.sni,
    )


def _answer(snapshot: Snapshot, asked: Asked, key: Key, decision: Decision) -> Answer:
    """Put a decision into words and bytes."""
    check = asked.check
    told = Told(
        outcome=decision.verdict.value,
        policy_verdict=decision.policy_verdict.value,
        policy=decision.policy[: responses.LONGEST_POLICY],
        rule=decision.rule,
        reason=decision.reason,
        phase=decision.phase.value if decision.phase else "",
        country=asked.located.source.country,
        key_id=key.id,
        org=key.org,
        exemption=decision.exemption.id if decision.exemption else "",
    )
    if decision.refusal is None:
        return responses.allow(told, _notice(decision), _forged(check))
    response = snapshot.policies.response(decision.refusal)
    return responses.deny(told, response, grpc=check.is_grpc)


def _forged(check: Check) -> list[str]:
    """Name the headers that a client sent and only we may send."""
    if responses.OURS not in check.headers.names:
        return []
    return [name for name in check.headers if responses.is_ours(name)]


def _notice(decision: Decision) -> str:
    if decision.warning is None:
        return ""
    effective = decision.warning.schedule.enforce
    written = effective.astimezone(UTC).isoformat().replace("+00:00", "Z") if effective else ""
    return responses.notice(decision.warning.reason, written)
