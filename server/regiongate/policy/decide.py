"""The decision: a pure, total function of the policy, the facts and the time.

Whatever the facts are, there is a decision; there is no exception to allow by. Nothing here
knows gRPC, files, clocks or caches, and `explain` shows what this very function did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from regiongate.facts import Key, Request, Source
from regiongate.policy.conditions import Failed
from regiongate.policy.exemptions import Exemption, ExemptionState
from regiongate.policy.model import (
    DEFAULT_POLICY,
    Policy,
    PolicySet,
    Refusal,
    Rule,
    Suspension,
)
from regiongate.policy.phases import Phase

UNKNOWN_POLICY: Final = Refusal("unknown_policy", 403)
MALFORMED_KEY: Final = Refusal("invalid_api_key", 401)
MALFORMED_KEY_RULE: Final = "malformed-key"
"""The rule that stands before every policy's first: a key that is not exactly one key."""


class Verdict(StrEnum):
    """Whether a request passes."""

    ALLOW = "allow"
    DENY = "deny"


class Facts(NamedTuple):
    """All that a decision may depend on, but for the time.

    Attributes:
        request: the empty one where no condition looks at it.
        exemptions: those of the key and of its organisation.
    """

    source: Source
    key: Key
    request: Request = Request()
    exemptions: Sequence[Exemption] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one rule: a line of `explain`.

    Attributes:
        applies: whether its condition held; None where it was not asked.
        phase: None before the rule's first phase.
        failure: why the condition could not be evaluated.
        exemptions: what each exemption of the key had to say, in order.
    """

    rule: Rule
    applies: bool | None
    phase: Phase | None
    failure: str = ""
    exemptions: tuple[tuple[Exemption, ExemptionState], ...] = ()

    @property
    def lifted_by(self) -> Exemption | None:
        """The exemption that lifts the rule."""
        return next((one for one, state in self.exemptions if state is ExemptionState.ACTIVE), None)

    @property
    def decides(self) -> bool:
        """Whether the rule ends the decision, at the latest once it is enforced."""
        return bool(self.applies) and self.lifted_by is None

    @property
    def depends_on_request_or_time(self) -> bool:
        """Whether the condition was asked, and looks beyond the source and the key.

        The time at which a phase or an exemption begins or ends is another matter: it is known
        beforehand.
        """
        condition = self.rule.condition
        return self.applies is not None and (
            condition.may_read("request") or condition.may_read("now")
        )

    @property
    def in_force(self) -> bool:
        """Whether what the rule says is also done."""
        return self.phase is Phase.ENFORCE and not self.rule.shadow


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to a Check, and why.

    Attributes:
        verdict: what is done.
        policy_verdict: what the policy does once every phase that has begun is enforced and
            nothing is in shadow.
        policy: the policy's name.
        rule: the rule that decided; where the request passes although a rule will refuse it,
            that rule; where an exemption lifted a rule, that rule; else empty.
        reason: the rule's reason, `exempt`, or `otherwise`.
        refusal: what the client is told; None unless denied.
        phase: of the rule.
        exemption: the one that lifted the rule.
        warning: the rule of which the client is warned.
        suspension: of the rule that refuses; the refusal is a strike against the key.
        failures: conditions that could not be evaluated, as (rule, reason).
        steps: every rule that was looked at; the last is where it ended.
    """

    verdict: Verdict
    policy_verdict: Verdict
    policy: str
    rule: str
    reason: str
    refusal: Refusal | None = None
    phase: Phase | None = None
    exemption: Exemption | None = None
    warning: Rule | None = None
    suspension: Suspension | None = None
    failures: tuple[tuple[str, str], ...] = ()
    steps: tuple[Step, ...] = ()


def decide(policies: PolicySet, name: str, facts: Facts, now: datetime) -> Decision:
    """Decide.

    Args:
        policies: the policy file in force.
        name: the policy the route names; empty for the default one. An unknown name is denied.
        facts: what is known.
        now: with an offset from UTC.
    """
    policy = policies.policies.get(name or DEFAULT_POLICY)
    if policy is None:
        return _refused(name, UNKNOWN_POLICY)
    if facts.key.problem:
        return _refused(policy.name, MALFORMED_KEY, MALFORMED_KEY_RULE, shadow=policy.shadow)
    return _conclude(policy, _evaluate(policies, policy, facts, now))


def _evaluate(policies: PolicySet, policy: Policy, facts: Facts, now: datetime) -> tuple[Step, ...]:
    """Go through the rules up to the one that decides."""
    if not policy.rules:
        return ()
    bound = policies.language.bind(facts.source, facts.key, facts.request, now)
    steps: list[Step] = []
    for rule in policy.rules:
        phase = rule.schedule.phase(now)
        if phase is None:
            steps.append(Step(rule, None, None))
            continue
        held = rule.condition.holds(bound)
        failure = held.reason if isinstance(held, Failed) else ""
        # In doubt a refusal applies and a permission does not.
        applies = rule.refusal is not None if isinstance(held, Failed) else held
        step = Step(rule, applies, phase, failure, _exemptions(rule, facts, now) if applies else ())
        steps.append(step)
        if step.decides and step.in_force:
            break
    return tuple(steps)


def _exemptions(
    rule: Rule, facts: Facts, now: datetime
) -> tuple[tuple[Exemption, ExemptionState], ...]:
    if rule.refusal is None:
        return ()
    if facts.key.status != "active":
        # A revoked key's exemption from every rule is not one from having been revoked.
        return tuple((one, ExemptionState.KEY_NOT_ACTIVE) for one in facts.exemptions)
    return tuple(
        (one, one.state(rule.name, facts.source, now, exemptable=rule.exemptable))
        for one in facts.exemptions
    )


def _conclude(policy: Policy, steps: tuple[Step, ...]) -> Decision:
    """Make the decision that the steps amount to."""
    ending = next((step for step in steps if step.decides and step.in_force), None)
    eventual = next((step for step in steps if step.decides), None)
    lifted = next((step for step in steps if step.lifted_by), None)
    refusal = ending.rule.refusal if ending else policy.otherwise
    named = ending if refusal else eventual or lifted
    return Decision(
        verdict=_verdict(None if policy.shadow else refusal),
        policy_verdict=_verdict(eventual.rule.refusal if eventual else policy.otherwise),
        policy=policy.name,
        rule=named.rule.name if named else "",
        reason=_reason(named, refusal),
        refusal=None if policy.shadow else refusal,
        phase=named.phase if named else None,
        exemption=named.lifted_by if named else None,
        warning=None if policy.shadow or refusal else _warning(steps),
        suspension=ending.rule.suspension if ending and not policy.shadow else None,
        failures=tuple((step.rule.name, step.failure) for step in steps if step.failure),
        steps=steps,
    )


def _verdict(refusal: Refusal | None) -> Verdict:
    return Verdict.DENY if refusal else Verdict.ALLOW


def _warning(steps: tuple[Step, ...]) -> Rule | None:
    """Find the rule that a client which passes today is told of."""
    for step in steps:
        if not step.decides or step.rule.shadow:
            continue
        if step.rule.refusal is None:
            return None  # It goes on passing.
        if step.phase is Phase.WARN:
            return step.rule
    return None


def _reason(named: Step | None, refusal: Refusal | None) -> str:
    if named is None:
        return refusal.reason if refusal else "otherwise"
    if named.lifted_by:
        return "exempt"
    return named.rule.reason


def _refused(policy: str, refusal: Refusal, rule: str = "", *, shadow: bool = False) -> Decision:
    """Deny before any rule is looked at."""
    return Decision(
        verdict=Verdict.ALLOW if shadow else Verdict.DENY,
        policy_verdict=Verdict.DENY,
        policy=policy,
        rule=rule,
        reason=refusal.reason,
        refusal=None if shadow else refusal,
        phase=Phase.ENFORCE,
    )
