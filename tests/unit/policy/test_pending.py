"""Which rules a comparison has yet to see at work, and from when it would."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from regiongate.policy import Facts, PolicySet, decide
from regiongate.policy.pending import Pending, pending
from regiongate.policy.phases import Phase
from tests.policies import (
    ENFORCED,
    KEYS,
    MOMENTS,
    OBSERVED,
    REGIONS,
    REQUESTS,
    SECOND,
    SOURCES,
    TIMELESS,
    WARNED,
    Mutable,
    allow,
    dated,
    deny,
    policies,
    rules,
)

BEFORE = OBSERVED - SECOND
ALL = dated("observe", "warn", "enforce")
NOBODY = policies()
STAFF = allow('key.plan == "staff"', name="staff")
TOR = deny("source.tor", name="tor")


def to_come(**more: Any) -> Mutable:
    """Write a rule whose dates are to come."""
    return deny('!source.within("supported")', name="late", **{"phases": ALL, **more})


def late(reached: Phase | None = None, **more: Any) -> Pending:
    """Tell of that rule, of which nothing but the date of its last phase counts."""
    told = {"phase": Phase.ENFORCE, "begins": ENFORCED, **more}
    return Pending(rule="default/late", reached=reached, **told)


LATE = policies(to_come())
WIDER = policies(to_come(), regions={**REGIONS, "supported": ["US"]})
OTHER_LIST = policies(to_come(), regions={**REGIONS, "embargoed": ["CU"]})
EARLIER = policies(to_come(phases=dated("observe", "warn")))

PENDING: dict[str, tuple[PolicySet, PolicySet, datetime, list[Pending]]] = {
    "before its first date": (NOBODY, LATE, BEFORE, [late()]),
    "while it is observed": (NOBODY, LATE, OBSERVED, [late(Phase.OBSERVE)]),
    "while it is warned of": (NOBODY, LATE, WARNED, [late(Phase.WARN)]),
    "once it is enforced": (NOBODY, LATE, ENFORCED, []),
    "one that is taken out": (LATE, NOBODY, BEFORE, [late()]),
    "one that comes no further": (NOBODY, EARLIER, WARNED, []),
    "one that will not be enforced": (
        NOBODY,
        EARLIER,
        BEFORE,
        [late(phase=Phase.WARN, begins=WARNED)],
    ),
    "another date": (
        LATE,
        EARLIER,
        BEFORE,
        [late(), late(phase=Phase.WARN, begins=WARNED)],
    ),
    "the same in both": (LATE, policies(to_come()), BEFORE, []),
    "another reason and message": (
        LATE,
        policies(to_come(deny={"reason": "odd", "message": "no"})),
        BEFORE,
        [],
    ),
    "another list": (LATE, WIDER, BEFORE, [late()]),
    "another list that it does not name": (LATE, OTHER_LIST, BEFORE, []),
    "out of shadow": (policies(to_come(mode="shadow")), LATE, BEFORE, [late()]),
    "a policy out of shadow": (policies(to_come(), mode="shadow"), LATE, BEFORE, [late()]),
    "the same behind a new one": (LATE, policies(STAFF, to_come()), BEFORE, [late()]),
    "the same before a new one": (LATE, policies(to_come(), STAFF), BEFORE, []),
    "the same in another place": (
        policies(to_come(), STAFF),
        policies(STAFF, to_come()),
        BEFORE,
        [late()],
    ),
    "rules without dates": (policies(STAFF), policies(TOR), BEFORE, []),
}


@pytest.mark.parametrize(("old", "new", "latest", "expected"), PENDING.values(), ids=PENDING)
def test_a_rule_whose_dates_matter_and_were_not_tried_is_named(
    old: PolicySet, new: PolicySet, latest: datetime, expected: list[Pending]
) -> None:
    """Once, with how far it was tried and the moment from which it has come furthest."""
    assert pending(old, new, latest) == expected


def test_rules_of_a_policy_that_one_file_lacks_are_named() -> None:
    """All of them: for the other file its name is unknown."""
    written = {"rules": [to_come()], "otherwise": "allow"}
    both = policies(policies={"default": {"rules": [], "otherwise": "allow"}, "beta": written})
    assert [one.rule for one in pending(NOBODY, both, BEFORE)] == ["beta/late"]


FACTS = st.builds(Facts, SOURCES, KEYS, REQUESTS)


@given(rules(TIMELESS), rules(TIMELESS), st.integers(0, 5), FACTS, MOMENTS, MOMENTS)
def test_where_nothing_is_pending_no_later_moment_flips_more(  # noqa: PLR0913, PLR0917 what is drawn
    written: list[Mutable],
    others: list[Mutable],
    kept: int,
    facts: Facts,
    one: datetime,
    other: datetime,
) -> None:
    """Rules that are the same, and stand before those that differ, can only take flips away."""
    earlier, later = sorted((one, other))
    names = {rule["name"] for rule in written[:kept]}
    changed = [*written[:kept], *(rule for rule in others if rule["name"] not in names)]
    old, new = policies(*written), policies(*changed)
    assume(not pending(old, new, earlier))

    def verdicts(file: PolicySet, at: datetime) -> tuple[str, str]:
        decision = decide(file, "", facts, at)
        return decision.verdict, decision.policy_verdict

    if verdicts(old, later) != verdicts(new, later):
        assert verdicts(old, earlier) != verdicts(new, earlier)
