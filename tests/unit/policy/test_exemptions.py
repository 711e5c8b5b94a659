"""When an exemption lifts a rule, and what it says when it does not."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from regiongate.facts import Source
from regiongate.policy.exemptions import ExemptionState
from regiongate.policy.regions import RegionList
from tests.policies import CRIMEA, NOW, SECOND, UNKNOWN, US, exemption

ACTIVE = ExemptionState.ACTIVE
ENDS = NOW + timedelta(days=1)
FRANCE = RegionList(frozenset({"FR"}))
UKRAINE = RegionList(frozenset({"UA"}))

CASES: list[tuple[dict[str, Any], Source, bool, ExemptionState]] = [
    # exemption, source, whether the rule is exemptable, state
    ({"rule": "refuse"}, US, True, ACTIVE),
    ({"rule": "*"}, US, True, ACTIVE),
    ({"rule": "*"}, UNKNOWN, True, ACTIVE),
    ({"rule": "refuse", "begins": NOW}, US, True, ACTIVE),
    ({"rule": "refuse", "ends": NOW + SECOND}, US, True, ACTIVE),
    ({"rule": "refuse", "countries": UKRAINE}, CRIMEA, True, ACTIVE),
    ({"rule": "other"}, US, True, ExemptionState.OTHER_RULE),
    ({"rule": "Refuse"}, US, True, ExemptionState.OTHER_RULE),
    ({"rule": ""}, US, True, ExemptionState.OTHER_RULE),
    ({"rule": "refuse"}, US, False, ExemptionState.NOT_APPLICABLE),
    ({"rule": "*"}, US, False, ExemptionState.NOT_APPLICABLE),
    ({"rule": "refuse", "ends": NOW}, US, True, ExemptionState.ENDED),
    ({"rule": "refuse", "begins": NOW + SECOND}, US, True, ExemptionState.NOT_YET_ACTIVE),
    ({"rule": "refuse", "countries": FRANCE}, US, True, ExemptionState.OTHER_COUNTRY),
    ({"rule": "refuse", "countries": FRANCE}, UNKNOWN, True, ExemptionState.OTHER_COUNTRY),
    # The first reason that would hold in any case is the one that is told.
    ({"rule": "other", "ends": NOW}, US, False, ExemptionState.OTHER_RULE),
    ({"rule": "refuse", "ends": NOW}, US, False, ExemptionState.NOT_APPLICABLE),
    ({"rule": "refuse", "ends": NOW, "countries": FRANCE}, US, True, ExemptionState.ENDED),
]


@pytest.mark.parametrize(("written", "source", "exemptable", "state"), CASES)
def test_an_exemption_says_why_it_does_not_lift_a_rule(
    written: dict[str, Any], source: Source, *, exemptable: bool, state: ExemptionState
) -> None:
    """Another rule, not exemptable, ended, not yet begun, another country: all told apart."""
    told = exemption(**written).state("refuse", source, NOW, exemptable=exemptable)
    assert told is state


CHANGES: list[tuple[dict[str, Any], datetime, datetime | None]] = [
    ({}, NOW, ENDS),
    ({}, ENDS, None),
    ({"begins": NOW}, NOW - SECOND, NOW),
    ({"begins": NOW}, NOW, ENDS),
    ({"begins": NOW}, ENDS, None),
]


@pytest.mark.parametrize(("written", "now", "change"), CHANGES)
def test_the_next_change_is_when_it_begins_or_ends(
    written: dict[str, Any], now: datetime, change: datetime | None
) -> None:
    """The moment at which an exemption changes anything is known beforehand."""
    assert exemption(**written, ends=ENDS).next_change(now) == change
