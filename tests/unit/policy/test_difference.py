"""What another policy would decide otherwise: which decisions flip, and how they are counted."""

from collections.abc import Iterable
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate import policy
from regiongate.facts import Key, Source
from regiongate.policy import Facts, PolicySet, Verdict
from regiongate.policy.difference import (
    EVERYWHERE,
    KEYS,
    Flip,
    Side,
    Trial,
    compare,
    everywhere,
    places,
    unseen,
)
from tests.policies import (
    CRIMEA,
    ENFORCED,
    FACTS,
    IRAN,
    MOMENTS,
    NORWAY,
    NOW,
    POLICIES,
    SECOND,
    UNKNOWN,
    US,
    allow,
    dated,
    deny,
    exemption,
    policies,
)

NOBODY = policies(deny())
EVERYBODY = policies()
UNSUPPORTED = deny('!source.within("supported")', name="unsupported")
SUPPORTED = policies(UNSUPPORTED)
OBSERVED = policies({**UNSUPPORTED, "phases": dated("observe", "enforce")})

PASSES = Side(Verdict.ALLOW, Verdict.ALLOW, "", "otherwise")
WILL_NOT = Side(Verdict.ALLOW, Verdict.DENY, "unsupported", "unsupported-reason")
REFUSED = Side(Verdict.DENY, Verdict.DENY, "unsupported", "unsupported-reason")

NAMED: list[tuple[Facts, str, str, str]] = [
    (Facts(IRAN, Key()), "IR", "no key", ""),
    (Facts(CRIMEA, Key(presented=True)), "UA-43", "unknown key", ""),
    (Facts(UNKNOWN, Key(found=True, presented=True, id="k1")), "unknown", "k1", ""),
    (Facts(UNKNOWN, Key(found=True, presented=True, id="k1", org="o1")), "unknown", "k1", "o1"),
    (Facts(US, Key(found=True, presented=True, status="revoked")), "US", "revoked key", ""),
    (Facts(US, Key(presented=True, problem="two keys")), "US", "malformed key", ""),
]


def trial(facts: Facts, at: datetime = NOW, recorded: Verdict | None = None) -> Trial:
    """Make a trial of the default policy."""
    return Trial("one", "", facts, at, recorded)


def flips(old: PolicySet, new: PolicySet, trials: Iterable[Trial]) -> dict[Flip, int]:
    """Return what flips and how often."""
    return dict(compare(old, new, trials).flips)


def test_a_policy_does_not_differ_from_itself() -> None:
    """The same file decides the same."""
    difference = compare(SUPPORTED, SUPPORTED, everywhere(SUPPORTED, SUPPORTED, NOW))
    assert not difference.flips
    assert difference.trials > 700


def test_a_flip_tells_what_both_decide_and_for_whom() -> None:
    """It is counted by policy, both decisions, country and key, and its trials are named."""
    trials = [trial(Facts(IRAN, Key())), trial(Facts(US, Key())), trial(Facts(IRAN, Key()))]
    difference = compare(EVERYBODY, SUPPORTED, trials)
    flip = Flip("default", PASSES, REFUSED, "IR", "no key")
    assert dict(difference.flips) == {flip: 2}
    assert difference.examples == {flip: ["one", "one"]}


@pytest.mark.parametrize(("facts", "country", "key", "org"), NAMED)
def test_a_flip_names_place_key_and_organisation(
    facts: Facts, country: str, key: str, org: str
) -> None:
    """The narrowest place that is known stands for the client, the id for the key."""
    shadow = policies(mode="shadow", otherwise="deny")
    [flip] = compare(shadow, policies(otherwise="deny"), [trial(facts)]).flips
    assert (flip.country, flip.key, flip.org) == (country, key, org)


def test_a_flip_may_lie_in_the_future() -> None:
    """A decision that is only announced flips, and flips again when it is enforced."""
    iran = Facts(IRAN, Key())
    before, after = trial(iran, ENFORCED - SECOND), trial(iran, ENFORCED)
    announced = Flip("default", PASSES, WILL_NOT, "IR", "no key")
    enforced = Flip("default", PASSES, REFUSED, "IR", "no key")
    assert flips(EVERYBODY, OBSERVED, [before, after]) == {announced: 1, enforced: 1}
    assert flips(OBSERVED, SUPPORTED, [before, after]) == {
        Flip("default", WILL_NOT, REFUSED, "IR", "no key"): 1
    }


def test_past_decisions_that_come_out_differently_are_counted() -> None:
    """A record that the old policy does not reproduce lacks something, or is of another policy."""
    iran = Facts(IRAN, Key())
    trials = [trial(iran, recorded=verdict) for verdict in (Verdict.ALLOW, Verdict.DENY, None)]
    assert compare(SUPPORTED, SUPPORTED, trials).unreproduced == 1


def test_every_country_is_tried_and_every_subdivision_that_is_named() -> None:
    """Subdivisions count wherever they are named: in a list of either file, in a condition."""
    named = policies(deny('"US-CA" in source.regions && source.country != "ZZ-99"'))
    found = places(EVERYBODY, named)
    assert {"US", "XK", "NO"} < set(found)
    assert [code for code in found if "-" in code] == ["UA-43", "US-CA"]


def test_everything_is_tried_for_every_policy_place_and_key() -> None:
    """A policy of one file alone is tried too: in the other, its name is unknown."""
    other = policies(policies={"default": _all(), "internal": _all()})
    trials = list(everywhere(EVERYBODY, other, NOW))
    assert len(trials) == 2 * (len(places(EVERYBODY)) + 3) * len(KEYS)
    assert len({(one.policy, one.name) for one in trials}) == len(trials)
    assert {one.policy for one in compare(EVERYBODY, other, trials).flips} == {"internal"}


def _all() -> dict[str, object]:
    return {"rules": [], "otherwise": "allow"}


def test_rules_that_read_what_trials_do_not_hold_are_named() -> None:
    """Whoever reads the result knows what it does not rest on."""
    reads = policies(
        deny('source.country == "IR" && key.status == "active"', name="held"),
        deny('request.headers["x"] == "y" || source.tor', name="asks"),
        allow("key.permits(source)", name="contract"),
    )
    assert unseen(EVERYWHERE, reads, reads) == [
        ("default/asks", ["request.headers", "source.tor"]),
        (
            "default/contract",
            ["key.allowed_countries", "key.denied_countries", "key.restricted"],
        ),
    ]


def test_exemptions_of_one_key_are_not_taken_for_anothers() -> None:
    """Two clients that no condition tells apart may still be decided differently."""
    key = Key(found=True, presented=True, status="active")
    trials = [trial(Facts(IRAN, key)), trial(Facts(IRAN, key, exemptions=[exemption()]))]
    assert compare(EVERYBODY, NOBODY, trials).flips.total() == 1


@given(
    POLICIES,
    POLICIES,
    st.lists(st.builds(Trial, st.just("one"), st.sampled_from(["", "other"]), FACTS, MOMENTS)),
)
def test_a_difference_agrees_with_the_decisions(
    old: PolicySet, new: PolicySet, trials: list[Trial]
) -> None:
    """What flips is what `decide` decides otherwise, whichever trials came before."""

    def verdicts(file: PolicySet, one: Trial) -> tuple[Verdict, Verdict]:
        decision = policy.decide(file, one.policy, one.facts, one.at)
        return decision.verdict, decision.policy_verdict

    difference = compare(old, new, [*trials, *trials])
    expected = sum(verdicts(old, one) != verdicts(new, one) for one in trials)
    assert difference.flips.total() == 2 * expected
    assert difference.trials == 2 * len(trials)


@given(POLICIES, POLICIES, FACTS, MOMENTS)
def test_a_flip_says_what_is_decided(
    old: PolicySet, new: PolicySet, facts: Facts, now: datetime
) -> None:
    """Both sides of a flip are the decisions themselves."""
    for flip in compare(old, new, [trial(facts, now)]).flips:
        for file, side in ((old, flip.old), (new, flip.new)):
            decision = policy.decide(file, "", facts, now)
            assert side == Side(
                decision.verdict, decision.policy_verdict, decision.rule, decision.reason
            )


def test_facts_that_a_condition_reads_are_told_apart() -> None:
    """Norway after Iran is decided for itself."""
    trials = [trial(Facts(one, Key())) for one in (IRAN, NORWAY, Source(status="unknown"))]
    assert {flip.country for flip in compare(EVERYBODY, SUPPORTED, trials).flips} == {
        "IR",
        "unknown",
    }
