"""The answer to a Check: bytes in, bytes out, whatever the bytes are.

The way of one Check: wire (what is asked) → address (who) → geo (where) → keys (what is known) →
policy (what is decided) → responses (what is said), and one event for the decision log. Nothing
here opens anything, and nothing is waited for but a key that a store has to be asked for. What it
works with is one snapshot, taken once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

from regiongate.address import AddressSource, ClientAddress
from regiongate.extauthz import remembered, responses, wire
from regiongate.extauthz.evidence import CallEvidence, Metadata
from regiongate.extauthz.headers import WireError
from regiongate.extauthz.remembered import Memory, Remembered
from regiongate.extauthz.responses import Answer, Told
from regiongate.extauthz.wire import Check
from regiongate.facts import Key, Located, Request
from regiongate.keys.digest import Digester
from regiongate.keys.extraction import Extractor, FromHeader, Presented, extract
from regiongate.keys.record import ABSENT, UNKNOWN, KeyRecord, malformed
from regiongate.keys.stores import KeyStore, NotRememberedError, StoreError
from regiongate.policy.decide import Decision, Facts, Verdict, decide
from regiongate.policy.exemptions import Exemption
from regiongate.policy.model import DEFAULT_POLICY, Policy, PolicySet, Response

SERVICE: Final = "envoy.service.auth.v3.Authorization"
METHOD: Final = "Check"

POLICY_EXTENSION: Final = "regiongate.policy"
"""The context extension by which a route names its policy."""

_UNREADABLE: Final = Told(outcome=Verdict.DENY, reason="malformed_check")
_FAILED: Final = Told(outcome="error", reason="internal_error")
UNREADABLE: Final = responses.deny(_UNREADABLE, Response(message="The request could not be read"))
FAILED: Final = responses.error(_FAILED, defer=False)
DEFERRED: Final = responses.error(_FAILED, defer=True)
KEYS_AWAY: Final = responses.error(Told(outcome="error", reason="key_store_away"), defer=False)

_LOG: Final = logging.getLogger(__name__)


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


class Asked(NamedTuple):
    """A Check, and what it says of who asks.

    Attributes:
        digests: what the key that it carries may be known by.
    """

    check: Check
    client: ClientAddress
    located: Located
    presented: Presented
    digests: Sequence[bytes]


class Known(NamedTuple):
    """What is known of who asks."""

    located: Located
    key: Key
    exemptions: Sequence[Exemption] = ()

    def facts(self, request: Request | None = None) -> Facts:
        """Return what a policy is asked with."""
        return Facts(self.located.source, self.key, request or Request(), self.exemptions)


class Judged(NamedTuple):
    """A Check, who asks, what was known, what was decided, and what is said."""

    check: Check
    client: ClientAddress
    known: Known
    decision: Decision
    answer: Answer


class Event(NamedTuple):
    """One answered Check, as the decision log is told of it.

    Attributes:
        decision_id: what the decision is known by everywhere.
        judged: None when the Check could not be read or judged; `told.reason` then says which.
        seconds: taken, from the bytes to the bytes.
        metadata: of the gRPC call that brought the Check.
    """

    time: datetime
    decision_id: str
    snapshot: Snapshot
    told: Told
    judged: Judged | None
    seconds: float
    metadata: Metadata = ()


class _Call(NamedTuple):
    """One Check being answered: when it came, with what, and what it is judged by."""

    started: float
    now: datetime
    snapshot: Snapshot
    decision_id: str
    metadata: Metadata


class Authorization:
    """Answers Checks.

    Args:
        snapshot: returns what is in force now.
        record: is told of every answer; never waits and never raises.
        clock: returns the time, with an offset from UTC.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        record: Callable[[Event], None] = lambda _: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._snapshot = snapshot
        self._record = record
        self._clock = clock
        self._complained = float("-inf")

    def check(self, data: bytes, metadata: Metadata) -> bytes | Coroutine[Any, Any, bytes]:
        """Answer a serialised CheckRequest with a serialised CheckResponse.

        Args:
            data: what arrived, whatever it is.
            metadata: of the gRPC call that brought it.

        Returns:
            The response; or, where a store has to be asked for a key, what waits for it.
        """
        started, snapshot = time.perf_counter(), self._snapshot()
        call = _Call(started, self._clock(), snapshot, responses.new_id(), metadata)
        try:
            asked = ask(snapshot, wire.read(data), metadata)
            try:
                record = _recalled(snapshot, asked.digests)
            except NotRememberedError:
                return self._waiting(call, asked)
            judged = conclude(snapshot, asked, record, call.now)
        except Exception as problem:  # noqa: BLE001 nothing may get past it: see _without
            return self._said(call, self._without(call, problem), None)
        return self._said(call, judged.answer, judged)

    async def _waiting(self, call: _Call, asked: Asked) -> bytes:
        """Answer once a store has said what it knows of a key."""
        try:
            record = await _found(call.snapshot, asked.digests)
            judged = conclude(call.snapshot, asked, record, call.now)
        except Exception as problem:  # noqa: BLE001 nothing may get past it: see _without
            return self._said(call, self._without(call, problem), None)
        return self._said(call, judged.answer, judged)

    def _without(self, call: _Call, problem: Exception) -> Answer:
        """Answer a Check that could not be judged.

        An exception would become an RPC error, which failure_mode_allow turns into an allow.
        """
        if isinstance(problem, WireError):
            # The bytes may be a client's doing, so this is never left to failure_mode_allow.
            self._complain(call.started, problem)
            return UNREADABLE
        if isinstance(problem, StoreError):
            # Only where on_store_error says deny, which failure_mode_allow must not undo. The
            # store itself says in the log that it is away, once.
            return KEYS_AWAY
        _LOG.error("a Check could not be judged", exc_info=problem)
        return DEFERRED if call.snapshot.defer_errors else FAILED

    def _said(self, call: _Call, answer: Answer, judged: Judged | None) -> bytes:
        """Tell of an answer, and return its bytes."""
        started, now, snapshot, decision_id, metadata = call
        seconds = time.perf_counter() - started
        event = Event(now, decision_id, snapshot, answer.told, judged, seconds, metadata)
        try:
            self._record(event)
        except Exception:  # noqa: BLE001 an answer that was given is not taken back
            _LOG.exception("a Check could not be recorded")
        return answer.render(decision_id)

    def _complain(self, now: float, problem: WireError) -> None:
        """Say that a Check could not be read, once a second: who sends one may send thousands."""
        if now - self._complained >= 1:
            self._complained = now
            _LOG.warning("denied a Check that could not be read: %s", problem)


async def judge(snapshot: Snapshot, check: Check, metadata: Metadata, now: datetime) -> Judged:
    """Gather the facts of a Check and decide, waiting for a store where that takes one.

    Args:
        check: what is asked.
        metadata: of the gRPC call that brought it.
        now: the time to decide at.
    """
    asked = ask(snapshot, check, metadata)
    return conclude(snapshot, asked, await _found(snapshot, asked.digests), now)


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


def conclude(snapshot: Snapshot, asked: Asked, record: KeyRecord | None, now: datetime) -> Judged:
    """Decide.

    Args:
        record: of the key that was presented; None when there is none or it is unknown.
        now: the time to decide at.
    """
    check = asked.check
    known = Known(asked.located, *_key(asked.presented, record, now))
    name = check.extension(POLICY_EXTENSION) or DEFAULT_POLICY
    policy = snapshot.policies.policies.get(name)
    if policy is None or known.key.problem:
        decision = decide(snapshot.policies, name, known.facts(), now)
        answer = _answer(snapshot, check, known, decision)
    else:
        decision, answer = _decided(snapshot, check, known, policy, now)
    return Judged(check, asked.client, known, decision, answer)


def _recalled(snapshot: Snapshot, digests: Sequence[bytes]) -> KeyRecord | None:
    """Return the record of a key, by the first of its digests that is known."""
    for digest in digests:
        record = snapshot.keys.recall(digest)
        if record is not None:
            return record
    return None


async def _found(snapshot: Snapshot, digests: Sequence[bytes]) -> KeyRecord | None:
    """Do the same, and wait for the store."""
    for digest in digests:
        record = await snapshot.keys.find(digest)
        if record is not None:
            return record
    return None


def _key(
    presented: Presented, record: KeyRecord | None, now: datetime
) -> tuple[Key, Sequence[Exemption]]:
    """Return what a policy sees of a key, and the exemptions it has."""
    if presented.problem:
        return malformed(presented.problem), ()
    if presented.key is None:
        return ABSENT, ()
    if record is None:
        return UNKNOWN, ()
    key = record.facts(now)
    # A key before its time is as unknown as any other, and has nobody's exemptions.
    return key, record.profile.exemptions if key.found else ()


def _decided(
    snapshot: Snapshot, check: Check, known: Known, policy: Policy, now: datetime
) -> tuple[Decision, Answer]:
    """Recall the decision, or make and remember it."""
    place = remembered.place(policy, known.located, known.key, grpc=check.is_grpc)
    found = snapshot.memory.recall(place, now)
    if found is not None:
        forged = found.decision.refusal is None and _forged(check)
        answer = _answer(snapshot, check, known, found.decision) if forged else found.answer
        return found.decision, answer
    facts = known.facts(request(snapshot, check) if policy.reads_request else None)
    decision = decide(snapshot.policies, policy.name, facts, now)
    answer = _answer(snapshot, check, known, decision)
    if remembered.may_be_remembered(decision) and not _forged(check):
        until = remembered.until(policy, facts, now)
        snapshot.memory.remember(place, Remembered(decision, answer, known.key, now, until))
    return decision, answer


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


def _answer(snapshot: Snapshot, check: Check, known: Known, decision: Decision) -> Answer:
    """Put a decision into words and bytes."""
    told = Told(
        outcome=decision.verdict.value,
        policy_verdict=decision.policy_verdict.value,
        policy=decision.policy[: responses.LONGEST_POLICY],
        rule=decision.rule,
        reason=decision.reason,
        phase=decision.phase.value if decision.phase else "",
        country=known.located.source.country,
        key_id=known.key.id,
        org=known.key.org,
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
