"""What is decided: case by case, and the laws that no policy and no facts can break."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate import policy
from regiongate.facts import Key, Request, Source
from regiongate.policy import Exemption, Facts, PolicySet, Verdict
from regiongate.policy.decide import MALFORMED_KEY, UNKNOWN_POLICY
from regiongate.policy.exemptions import ExemptionState
from regiongate.policy.model import Refusal
from regiongate.policy.phases import Phase
from regiongate.policy.regions import RegionList
from tests.policies import (
    CONDITIONS,
    CRIMEA,
    ENFORCED,
    EXEMPTIONS,
    FACTS,
    IRAN,
    MOMENTS,
    NORWAY,
    NOW,
    OBSERVED,
    OTHERWISE,
    POLICIES,
    SECOND,
    TIMELESS,
    UNKNOWN,
    US,
    WARNED,
    Mutable,
    allow,
    dated,
    decide,
    deny,
    exemption,
    policies,
    rules,
)

LAW = settings(max_examples=100, derandomize=True, deadline=None)

ALLOW, DENY = Verdict.ALLOW, Verdict.DENY

# --- cases -------------------------------------------------------------------------------------

OUTSIDE = deny('!source.within("supported")', name="outside")
EMBARGO = deny('source.within("embargoed")', name="embargo")
ANNOUNCED = deny(name="announced", phases=dated("observe", "warn", "enforce"))
SHADOWED = deny(name="shadowed", mode="shadow")

CASES: dict[str, tuple[list[Mutable], Any, Source, tuple[Any, ...]]] = {
    # rules, otherwise, source, (verdict, policy verdict, rule, reason)
    "no rule, allow": ([], "allow", US, (ALLOW, ALLOW, "", "otherwise")),
    "no rule, deny": ([], "deny", US, (DENY, DENY, "", "otherwise")),
    "no rule, deny in words": (
        [],
        {"deny": {"reason": "closed"}},
        US,
        (DENY, DENY, "", "closed"),
    ),
    "allow-list, on it": ([OUTSIDE], "allow", NORWAY, (ALLOW, ALLOW, "", "otherwise")),
    "allow-list, off it": ([OUTSIDE], "allow", IRAN, (DENY, DENY, "outside", "outside-reason")),
    "allow-list, unknown": (
        [OUTSIDE],
        "allow",
        UNKNOWN,
        (DENY, DENY, "outside", "outside-reason"),
    ),
    "deny-list, on it": ([EMBARGO], "allow", IRAN, (DENY, DENY, "embargo", "embargo-reason")),
    "deny-list, a subdivision": (
        [EMBARGO, OUTSIDE],
        "allow",
        CRIMEA,
        (DENY, DENY, "embargo", "embargo-reason"),
    ),
    "deny-list, unknown": ([EMBARGO], "allow", UNKNOWN, (ALLOW, ALLOW, "", "otherwise")),
    "an allow before a deny": (
        [allow(), deny()],
        "deny",
        US,
        (ALLOW, ALLOW, "pass", "pass-reason"),
    ),
    "a deny before an allow": (
        [deny(), allow()],
        "allow",
        US,
        (DENY, DENY, "refuse", "refuse-reason"),
    ),
    "two denies": (
        [deny(name="first"), deny(name="second")],
        "allow",
        US,
        (DENY, DENY, "first", "first-reason"),
    ),
    "a rule in shadow": ([SHADOWED], "allow", US, (ALLOW, DENY, "shadowed", "shadowed-reason")),
    "past a rule in shadow": (
        [SHADOWED, deny()],
        "allow",
        US,
        (DENY, DENY, "refuse", "refuse-reason"),
    ),
    "an allow past a rule in shadow": (
        [SHADOWED, allow()],
        "deny",
        US,
        (ALLOW, DENY, "shadowed", "shadowed-reason"),
    ),
    "an allow in shadow": (
        [allow(mode="shadow"), deny()],
        "allow",
        US,
        (DENY, ALLOW, "refuse", "refuse-reason"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_rule_that_applies_decides(name: str) -> None:
    """The first rule that applies and is in force wins; a rule in shadow is only recorded."""
    written, otherwise, source, expected = CASES[name]
    decision = decide(policies(*written, otherwise=otherwise), source)
    told = (decision.verdict, decision.policy_verdict, decision.rule, decision.reason)
    assert told == expected


PHASES = [
    # moment, phase, verdict, policy verdict, whether the client is warned
    (OBSERVED - SECOND, None, ALLOW, ALLOW, False),
    (OBSERVED, Phase.OBSERVE, ALLOW, DENY, False),
    (WARNED - SECOND, Phase.OBSERVE, ALLOW, DENY, False),
    (WARNED, Phase.WARN, ALLOW, DENY, True),
    (ENFORCED - SECOND, Phase.WARN, ALLOW, DENY, True),
    (ENFORCED, Phase.ENFORCE, DENY, DENY, False),
]


@pytest.mark.parametrize(("now", "phase", "verdict", "policy_verdict", "warned"), PHASES)
def test_a_phase_takes_effect_at_the_second_it_names(
    now: datetime, phase: Phase | None, verdict: Verdict, policy_verdict: Verdict, *, warned: bool
) -> None:
    """A rule is absent, then recorded, then told to the client, then done."""
    decision = decide(policies(ANNOUNCED), now=now)
    assert (decision.verdict, decision.policy_verdict) == (verdict, policy_verdict)
    assert decision.phase is phase
    assert (decision.warning is not None) == warned
    assert decision.steps[0].applies is (None if phase is None else True)


def test_nobody_is_warned_of_a_rule_in_shadow() -> None:
    """Shadow has no effect at all, and a warning is one."""
    shadowed = {**ANNOUNCED, "mode": "shadow"}
    assert decide(policies(shadowed), now=WARNED).warning is None
    assert decide(policies(ANNOUNCED, mode="shadow"), now=WARNED).warning is None


def test_nobody_is_warned_beside_a_refusal() -> None:
    """Who is refused by one rule is not warned of another."""
    assert decide(policies(ANNOUNCED, deny()), now=WARNED).warning is None


PASSING = allow(phases=dated("enforce"))

WARNINGS: dict[str, tuple[list[Mutable], datetime, str | None]] = {
    # rules, moment, the rule of which the client is warned
    "nothing before it": ([ANNOUNCED], WARNED, "announced"),
    "an allow rule that is observed before it": (
        [allow(phases=dated("observe", "enforce")), ANNOUNCED],
        WARNED,
        None,
    ),
    "an allow rule that warns before it": (
        [allow(phases=dated("warn", "enforce")), ANNOUNCED],
        WARNED,
        None,
    ),
    "an allow rule in force before it": ([allow(), ANNOUNCED], WARNED, None),
    "an allow rule before its first phase": ([PASSING, ANNOUNCED], WARNED, "announced"),
    "an allow rule that does not apply": ([allow("false"), ANNOUNCED], WARNED, "announced"),
    "an allow rule in shadow before it": (
        [allow(mode="shadow"), ANNOUNCED],
        WARNED,
        "announced",
    ),
    "an allow rule behind it": ([ANNOUNCED, allow()], WARNED, "announced"),
    "a refusal that is observed before it": (
        [deny(name="observed", phases=dated("observe")), ANNOUNCED],
        WARNED,
        "announced",
    ),
    "a refusal in shadow before it": ([SHADOWED, ANNOUNCED], WARNED, "announced"),
    "two of them": ([ANNOUNCED, {**ANNOUNCED, "name": "other"}], WARNED, "announced"),
    "it is only observed": ([ANNOUNCED], OBSERVED, None),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_a_client_is_warned_of_the_first_rule_that_will_refuse_it(name: str) -> None:
    """Who goes on passing by an allow rule, now or once it is enforced, is warned of nothing."""
    written, now, warned = WARNINGS[name]
    warning = decide(policies(*written), now=now).warning
    assert (warning.name if warning else None) == warned


def test_an_allow_rule_that_is_only_observed_lets_nothing_pass() -> None:
    """A permission too has to be in force."""
    passing = allow(phases=dated("observe", "enforce"))
    before = decide(policies(passing, deny()), now=WARNED)
    after = decide(policies(passing, deny()), now=ENFORCED)
    assert (before.verdict, before.policy_verdict) == (DENY, ALLOW)
    assert (after.verdict, after.policy_verdict) == (ALLOW, ALLOW)


def test_a_policy_in_shadow_lets_everything_pass() -> None:
    """What would be refused is recorded with the rule that would refuse it."""
    decision = decide(policies(deny(), mode="shadow"))
    assert (decision.verdict, decision.policy_verdict) == (ALLOW, DENY)
    assert (decision.rule, decision.reason, decision.refusal) == ("refuse", "refuse-reason", None)


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
def test_an_unknown_policy_is_denied(mode: str) -> None:
    """A route that names a policy that is not there is refused, shadow or not."""
    decision = policy.decide(policies(mode=mode), "nowhere", Facts(US, Key()), NOW)
    assert (decision.verdict, decision.refusal) == (DENY, UNKNOWN_POLICY)
    assert (decision.policy, decision.rule, decision.reason) == ("nowhere", "", "unknown_policy")


def test_a_route_names_its_policy() -> None:
    """Each policy decides by its own rules; no name is the default's."""
    both = policies(
        policies={
            "default": {"rules": [], "otherwise": "allow"},
            "closed": {"rules": [], "otherwise": "deny"},
        }
    )
    assert policy.decide(both, "", Facts(US, Key()), NOW).verdict is ALLOW
    assert policy.decide(both, "default", Facts(US, Key()), NOW).verdict is ALLOW
    assert policy.decide(both, "closed", Facts(US, Key()), NOW).verdict is DENY


@pytest.mark.parametrize(("mode", "verdict"), [("enforce", DENY), ("shadow", ALLOW)])
def test_a_malformed_key_is_refused_before_any_rule(mode: str, verdict: Verdict) -> None:
    """What is not exactly one key is refused even where the first rule would let it pass."""
    key = Key(presented=True, problem="the key is empty")
    decision = decide(policies(allow(), mode=mode), key=key)
    assert (decision.verdict, decision.policy_verdict) == (verdict, DENY)
    assert (decision.rule, decision.reason) == ("malformed-key", "invalid_api_key")
    assert decision.refusal == (MALFORMED_KEY if verdict is DENY else None)
    assert decision.steps == ()


def test_a_refusal_carries_what_its_rule_says() -> None:
    """Status and message come with the reason."""
    rule = deny() | {"deny": {"reason": "away", "status": 451, "message": "Go away"}}
    assert decide(policies(rule)).refusal == Refusal("away", 451, "Go away")


# --- conditions that fail ----------------------------------------------------------------------

FAILING = {
    'key.labels["tier"] == "gold"': 'NOT_FOUND: Key not found in map : "tier"',
    'request.headers["x"] == "y"': 'NOT_FOUND: Key not found in map : "x"',
    'source.regions[0] == "UA-43"': "UNKNOWN: Index error: index=0 size=0",
    "1 / 0 == 1": "INVALID_ARGUMENT: divide by zero",
    "1 % source.asn == 1": "INVALID_ARGUMENT: modulus by zero",
    "9223372036854775807 + 1 > 0": "OUT_OF_RANGE: integer overflow",
    "1u - 2u == 0u": "OUT_OF_RANGE: unsigned integer overflow",
    'int("x" + request.path) > 5': "INVALID_ARGUMENT: cannot convert string to int",
    'request.path.matches("(")': "INVALID_ARGUMENT: invalid regular expression: missing ): (",
    "timestamp(source.as_org) < now": "INVALID_ARGUMENT: String to Timestamp conversion failed",
}


@pytest.mark.parametrize(("when", "reason"), FAILING.items())
def test_in_doubt_a_refusal_applies(when: str, reason: str) -> None:
    """A condition that fails applies in a deny rule, and the failure is recorded."""
    decision = decide(policies(deny(when)))
    assert (decision.verdict, decision.rule) == (DENY, "refuse")
    assert decision.failures == (("refuse", reason),)


@pytest.mark.parametrize(("when", "reason"), FAILING.items())
def test_in_doubt_a_permission_does_not_apply(when: str, reason: str) -> None:
    """A condition that fails does not apply in an allow rule, and the failure is recorded."""
    decision = decide(policies(allow(when), otherwise="deny"))
    assert (decision.verdict, decision.rule) == (DENY, "")
    assert decision.failures == (("pass", reason),)


def test_every_failure_is_recorded() -> None:
    """Failures on the way to the decision are told in the order of the rules."""
    failing = "1 / 0 == 1"
    decision = decide(
        policies(
            allow(failing, name="a"),
            deny(failing, name="b", mode="shadow"),
            deny(failing, name="c"),
            deny(failing, name="d"),
        )
    )
    assert [rule for rule, _ in decision.failures] == ["a", "b", "c"]


# --- exemptions --------------------------------------------------------------------------------

ACTIVE = Key(found=True, presented=True, status="active")

EXEMPT: dict[str, tuple[Exemption, ExemptionState, Verdict]] = {
    "in force": (exemption("refuse"), ExemptionState.ACTIVE, ALLOW),
    "for every rule": (exemption("*"), ExemptionState.ACTIVE, ALLOW),
    "for this country": (
        exemption(countries=RegionList(frozenset({"US"}))),
        ExemptionState.ACTIVE,
        ALLOW,
    ),
    "ended": (exemption(ends=NOW), ExemptionState.ENDED, DENY),
    "ends in a second": (exemption(ends=NOW + SECOND), ExemptionState.ACTIVE, ALLOW),
    "not yet begun": (exemption(begins=NOW + SECOND), ExemptionState.NOT_YET_ACTIVE, DENY),
    "begins now": (exemption(begins=NOW), ExemptionState.ACTIVE, ALLOW),
    "for another rule": (exemption("other"), ExemptionState.OTHER_RULE, DENY),
    "for another country": (
        exemption(countries=RegionList(frozenset({"FR"}))),
        ExemptionState.OTHER_COUNTRY,
        DENY,
    ),
}


@pytest.mark.parametrize("name", EXEMPT)
def test_the_decision_tells_what_each_exemption_had_to_say(name: str) -> None:
    """An active key's exemption lifts the rule or is told why not."""
    given_, state, verdict = EXEMPT[name]
    decision = decide(policies(deny()), key=ACTIVE, exemptions=[given_])
    assert decision.verdict is verdict
    assert decision.steps[0].exemptions == ((given_, state),)
    assert decision.exemption is (given_ if verdict is ALLOW else None)
    assert decision.reason == ("exempt" if verdict is ALLOW else "refuse-reason")
    assert decision.rule == "refuse"


INACTIVE = {
    "revoked": Key(found=True, presented=True, status="revoked"),
    "suspended": Key(found=True, presented=True, status="suspended"),
    "expired": Key(found=True, presented=True, status="expired"),
    "unknown": Key(presented=True),
    "none": Key(),
}


@pytest.mark.parametrize("rule", ["*", "refuse", "other"])
@pytest.mark.parametrize("key", INACTIVE.values(), ids=INACTIVE)
def test_exemptions_count_for_an_active_key_alone(key: Key, rule: str) -> None:
    """Whatever an exemption is from, it lifts nothing for a key that is not active."""
    one = exemption(rule)
    decision = decide(policies(deny()), key=key, exemptions=[one])
    assert (decision.verdict, decision.policy_verdict) == (DENY, DENY)
    assert (decision.rule, decision.reason) == ("refuse", "refuse-reason")
    assert decision.exemption is None
    assert decision.steps[0].exemptions == ((one, ExemptionState.KEY_NOT_ACTIVE),)


@pytest.mark.parametrize("status", ["revoked", "suspended", "expired"])
def test_an_exemption_from_every_rule_does_not_lift_the_one_against_revoked_keys(
    status: str,
) -> None:
    """To be let through everywhere is not to be let through once the key is taken away."""
    revoked = deny('key.status in ["revoked", "suspended", "expired"]', name="revoked-key")
    written = policies(revoked, OUTSIDE)
    key = Key(found=True, presented=True, status=status)
    decision = decide(written, IRAN, key, exemptions=[exemption("*")])
    assert (decision.verdict, decision.rule) == (DENY, "revoked-key")
    assert decide(written, IRAN, ACTIVE, exemptions=[exemption("*")]).verdict is ALLOW


def test_a_rule_that_is_not_exemptable_is_not_lifted() -> None:
    """Not even an exemption for every rule lifts it, and the decision says so."""
    decision = decide(policies(deny(exemptable=False)), key=ACTIVE, exemptions=[exemption()])
    assert decision.verdict is DENY
    assert [state for _, state in decision.steps[0].exemptions] == [ExemptionState.NOT_APPLICABLE]


def test_the_next_rule_may_refuse_what_an_exemption_let_by() -> None:
    """An exemption lifts one rule, not the policy."""
    written = policies(deny(name="first"), deny(name="second"))
    decision = decide(written, key=ACTIVE, exemptions=[exemption("first")])
    assert (decision.verdict, decision.rule, decision.reason) == (DENY, "second", "second-reason")
    assert decide(written, key=ACTIVE, exemptions=[exemption("*")]).verdict is ALLOW


NO_DIFFERENCE: dict[str, tuple[list[Mutable], datetime, str]] = {
    # rules, moment, the rule that is named; the exemption is from the rule "lifted"
    "the next rule refuses": ([deny(name="lifted"), deny()], NOW, "refuse"),
    "an allow rule lets it pass": ([deny(name="lifted"), allow()], NOW, "pass"),
    "another rule will refuse it": ([deny(name="lifted"), ANNOUNCED], OBSERVED, "announced"),
    "an earlier rule refuses": ([deny(), deny(name="lifted")], NOW, "refuse"),
    "the rule does not apply": ([deny("false", name="lifted")], NOW, ""),
}


@pytest.mark.parametrize("name", NO_DIFFERENCE)
def test_an_exemption_is_named_only_with_the_rule_that_it_lifts(name: str) -> None:
    """Where the decision is another rule's, that it lifted one is told in the steps alone."""
    written, now, rule = NO_DIFFERENCE[name]
    decision = decide(policies(*written), key=ACTIVE, exemptions=[exemption("lifted")], now=now)
    assert (decision.rule, decision.exemption) == (rule, None)
    assert decision.reason != "exempt"


def test_a_lifted_rule_does_not_stand_for_the_policy_either() -> None:
    """An exemption counts in what the policy will do once it is enforced."""
    decision = decide(policies(ANNOUNCED), key=ACTIVE, exemptions=[exemption()], now=OBSERVED)
    assert (decision.verdict, decision.policy_verdict, decision.reason) == (ALLOW, ALLOW, "exempt")
    assert decision.exemption is not None


def test_the_first_exemption_in_force_is_the_one_that_is_told() -> None:
    """The key's own stand before the organisation's."""
    ended, one, two = exemption(ends=NOW), exemption(id="one"), exemption(id="two")
    decision = decide(policies(deny()), key=ACTIVE, exemptions=[ended, one, two])
    assert decision.exemption is one
    assert len(decision.steps[0].exemptions) == 3


def test_an_exemption_is_not_asked_about_a_permission() -> None:
    """There is nothing to lift in a rule that lets requests pass."""
    decision = decide(policies(allow()), key=ACTIVE, exemptions=[exemption()])
    assert (decision.exemption, decision.steps[0].exemptions) == (None, ())


# --- laws --------------------------------------------------------------------------------------


def test_the_conditions_of_these_tests_read_every_fact() -> None:
    """What the laws are tried on looks at every field there is."""
    written = policies(*(deny(text, name=f"r{n}") for n, text in enumerate(CONDITIONS)))
    read = {name for rule in written.policies["default"].rules for name in rule.condition.reads}
    facts = {"source": Source(), "key": Key(), "request": Request()}
    fields = {
        f"{name}.{field.name}" for name, fact in facts.items() for field in fact.DESCRIPTOR.fields
    }
    assert fields | {"now"} <= read


@LAW
@given(POLICIES, st.sampled_from(["", "default", "other"]), FACTS, MOMENTS)
def test_there_is_always_a_decision(
    written: PolicySet, name: str, facts: Facts, now: datetime
) -> None:
    """Any policy, any facts, any time: deny has a refusal, allow has none, all parts agree."""
    decision = policy.decide(written, name, facts, now)
    assert (decision.verdict is DENY) == (decision.refusal is not None)
    assert decision.refusal is None or decision.reason == decision.refusal.reason
    assert decision.warning is None or decision.verdict is ALLOW
    rules = written.policies["default"].rules
    assert tuple(step.rule for step in decision.steps) == rules[: len(decision.steps)]
    if name != "other" and written.policies["default"].shadow:
        assert decision.verdict is ALLOW


@LAW
@given(POLICIES, FACTS, MOMENTS)
def test_what_is_done_differs_from_the_policy_only_where_something_is_held_back(
    written: PolicySet, facts: Facts, now: datetime
) -> None:
    """Without shadow and without a phase before enforce both verdicts are the same."""
    decision = policy.decide(written, "", facts, now)
    held_back = any(step.decides and not step.in_force for step in decision.steps)
    assert (
        decision.verdict is decision.policy_verdict
        or written.policies["default"].shadow
        or held_back
    )


@LAW
@given(POLICIES, FACTS, EXEMPTIONS, st.integers(0, 3), MOMENTS)
def test_an_exemption_never_harms(
    written: PolicySet, facts: Facts, added: Exemption, place: int, now: datetime
) -> None:
    """Adding an exemption turns no allow into a deny, now or once everything is enforced."""
    exemptions = [*facts.exemptions]
    exemptions.insert(place, added)
    before = policy.decide(written, "", facts, now)
    after = policy.decide(
        written, "", Facts(facts.source, facts.key, facts.request, exemptions), now
    )
    assert not (before.verdict is ALLOW and after.verdict is DENY)
    assert not (_passes_as_written(written, before) and not _passes_as_written(written, after))


def _passes_as_written(written: PolicySet, decision: policy.Decision) -> bool:
    return decision.policy_verdict is ALLOW or written.policies["default"].shadow


def _without_phases(rule: Mutable) -> Mutable:
    return {key: value for key, value in rule.items() if key != "phases"}


@LAW
@given(rules(TIMELESS), OTHERWISE, FACTS, MOMENTS, MOMENTS)
def test_time_makes_no_refusal_milder(
    written: list[Mutable], otherwise: Any, facts: Facts, one: datetime, other: datetime
) -> None:
    """As refusals pass through their phases an allow may become a deny, never the reverse."""
    earlier, later = sorted((one, other))
    denying = policies(
        *(rule if "deny" in rule else _without_phases(rule) for rule in written),
        otherwise=otherwise,
    )
    plain = Facts(facts.source, facts.key, facts.request)
    before = policy.decide(denying, "", plain, earlier)
    after = policy.decide(denying, "", plain, later)
    assert not (before.verdict is DENY and after.verdict is ALLOW)


@LAW
@given(rules(), FACTS, MOMENTS)
def test_the_rule_that_decides_is_the_first_that_would_alone(
    written: list[Mutable], facts: Facts, now: datetime
) -> None:
    """Rules do not see one another: the first that decides by itself decides in company."""
    enforced = [{**_without_phases(rule), "mode": "enforce"} for rule in written]
    plain = Facts(facts.source, Key(found=facts.key.found, id=facts.key.id), facts.request)
    alone = [policy.decide(policies(rule), "", plain, now).steps[0] for rule in enforced]
    first = next((step.rule for step in alone if step.decides), None)
    decision = policy.decide(policies(*enforced), "", plain, now)
    assert decision.rule == (first.name if first else "")
    assert decision.verdict is (DENY if first and first.refusal else ALLOW)


@LAW
@given(rules(), FACTS, MOMENTS)
def test_no_exemption_matters_without_an_active_key(
    written: list[Mutable], facts: Facts, now: datetime
) -> None:
    """Only what is told of exemptions differs, whatever the rules ask."""
    told = policies(*written)
    key = Key()
    key.CopyFrom(facts.key)
    key.status = facts.key.status if facts.key.status != "active" else "suspended"
    bare = policy.decide(told, "", Facts(facts.source, key, facts.request), now)
    held = policy.decide(
        told, "", Facts(facts.source, key, facts.request, [exemption(), *facts.exemptions]), now
    )
    assert (held.verdict, held.policy_verdict) == (bare.verdict, bare.policy_verdict)
    assert (held.rule, held.reason, held.exemption) == (bare.rule, bare.reason, None)


@LAW
@given(rules(), FACTS, MOMENTS)
def test_no_exemption_lifts_a_rule_that_is_not_exemptable(
    written: list[Mutable], facts: Facts, now: datetime
) -> None:
    """Where no rule is exemptable exemptions change nothing but what is told of them."""
    strict = policies(*({**rule, "exemptable": False} for rule in written))
    everything = exemption(ends=datetime.max.replace(tzinfo=UTC))
    bare = policy.decide(strict, "", Facts(facts.source, facts.key, facts.request), now)
    exempt = policy.decide(
        strict, "", Facts(facts.source, facts.key, facts.request, [everything]), now
    )
    assert exempt.exemption is None
    assert (exempt.verdict, exempt.policy_verdict) == (bare.verdict, bare.policy_verdict)
    assert (exempt.rule, exempt.reason) == (bare.rule, bare.reason)
