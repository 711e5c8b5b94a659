"""From which second a phase is in force."""

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate.policy.phases import ALWAYS, Phase, Schedule
from tests.policies import ENFORCED, MOMENTS, NOW, OBSERVED, SECOND, WARNED

LAW = settings(max_examples=200, derandomize=True, deadline=None)
OBSERVE, WARN, ENFORCE = Phase.OBSERVE, Phase.WARN, Phase.ENFORCE
BEFORE = OBSERVED - SECOND

CASES = [
    # schedule, before the first, then at the second each phase begins
    (Schedule(), [ENFORCE, ENFORCE, ENFORCE, ENFORCE]),
    (
        Schedule(observe=OBSERVED, warn=WARNED, enforce=ENFORCED),
        [None, OBSERVE, WARN, ENFORCE],
    ),
    (Schedule(observe=OBSERVED), [None, OBSERVE, OBSERVE, OBSERVE]),
    (Schedule(warn=WARNED), [None, None, WARN, WARN]),
    (Schedule(enforce=ENFORCED), [None, None, None, ENFORCE]),
    (Schedule(observe=OBSERVED, enforce=ENFORCED), [None, OBSERVE, OBSERVE, ENFORCE]),
    (Schedule(observe=WARNED, warn=WARNED), [None, None, WARN, WARN]),
    (Schedule(observe=OBSERVED, warn=OBSERVED, enforce=OBSERVED), [None, *[ENFORCE] * 3]),
]


@pytest.mark.parametrize(("schedule", "phases"), CASES)
def test_a_rule_is_in_the_last_phase_that_has_begun(
    schedule: Schedule, phases: list[Phase | None]
) -> None:
    """Any phase may be left out; a rule with dates is absent before the first."""
    assert [schedule.phase(now) for now in (BEFORE, OBSERVED, WARNED, ENFORCED)] == phases


def test_the_next_change_is_the_next_beginning() -> None:
    """The moment at which anything changes is known beforehand."""
    schedule = Schedule(observe=OBSERVED, enforce=ENFORCED)
    assert schedule.next_change(BEFORE) == OBSERVED
    assert schedule.next_change(OBSERVED) == ENFORCED
    assert schedule.next_change(ENFORCED) is None
    assert ALWAYS.next_change(NOW) is None


def test_the_phases_come_in_their_order() -> None:
    """Only those that there are."""
    schedule = Schedule(enforce=ENFORCED, observe=OBSERVED)
    assert list(schedule.phases()) == [(OBSERVE, OBSERVED), (ENFORCE, ENFORCED)]


OUT_OF_ORDER = [
    {"observe": WARNED, "warn": OBSERVED},
    {"warn": ENFORCED, "enforce": WARNED},
    {"observe": ENFORCED, "enforce": OBSERVED},
]


@pytest.mark.parametrize("moments", OUT_OF_ORDER)
def test_phases_out_of_order_are_refused(moments: dict[str, datetime]) -> None:
    """A rule cannot enforce before it warns."""
    got = ", ".join(f"{name} {begin.isoformat()}" for name, begin in moments.items())
    expected = f"expected observe before warn before enforce (got {got})"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        Schedule(**moments)


def test_a_moment_without_an_offset_is_refused() -> None:
    """Midnight is a different moment everywhere."""
    local = ENFORCED.replace(tzinfo=None)
    message = r"^expected enforce to have an offset from UTC, or phases a zone$"
    with pytest.raises(ValueError, match=message):
        Schedule(observe=OBSERVED, enforce=local)


PARIS = ZoneInfo("Europe/Paris")

LOCAL = [
    # begins, in UTC
    (datetime(2024, 7, 9, tzinfo=PARIS), datetime(2024, 7, 8, 22, tzinfo=UTC)),
    (datetime(2024, 12, 9, tzinfo=PARIS), datetime(2024, 12, 8, 23, tzinfo=UTC)),
    (datetime(2024, 3, 31, 3, tzinfo=PARIS), datetime(2024, 3, 31, 1, tzinfo=UTC)),
    # Twice on that night: the first time counts.
    (datetime(2024, 10, 27, 2, 30, tzinfo=PARIS), datetime(2024, 10, 27, 0, 30, tzinfo=UTC)),
    (
        datetime(2024, 7, 9, tzinfo=timezone(timedelta(hours=14))),
        datetime(2024, 7, 8, 10, tzinfo=UTC),
    ),
]


@pytest.mark.parametrize(("begins", "in_utc"), LOCAL)
def test_local_time_begins_where_the_zone_says(begins: datetime, in_utc: datetime) -> None:
    """Summer time and offsets are taken into account to the second."""
    schedule = Schedule(enforce=begins)
    assert schedule.phase(in_utc) is ENFORCE
    assert schedule.phase(in_utc - SECOND) is None
    change = schedule.next_change(in_utc - SECOND)
    assert change is not None
    assert (change, change.tzinfo) == (in_utc, UTC)
    assert list(schedule.phases()) == [(ENFORCE, in_utc)]


def test_order_is_that_of_the_moments_not_of_the_clocks() -> None:
    """Where the clocks skip an hour, a later reading may be the earlier moment."""
    skipped = datetime(2024, 3, 31, 2, 45, tzinfo=PARIS)  # not on any clock; 01:45 UTC
    after = datetime(2024, 3, 31, 3, 15, tzinfo=PARIS)  # 01:15 UTC
    with pytest.raises(ValueError, match=r"^expected observe before warn before enforce "):
        Schedule(observe=skipped, warn=after)
    assert Schedule(observe=after, warn=skipped).phase(skipped.astimezone(UTC)) is WARN


def test_an_hour_that_comes_twice_is_told_apart() -> None:
    """Where the clocks go back, the same reading is two moments."""
    first = datetime(2024, 10, 27, 2, 30, tzinfo=PARIS)
    again = first.replace(fold=1)
    schedule = Schedule(warn=first, enforce=again)
    assert [moment.hour for _, moment in schedule.phases()] == [0, 1]
    with pytest.raises(ValueError, match=r"^expected observe before warn before enforce "):
        Schedule(warn=again, enforce=first)


MAYBE = st.none() | MOMENTS


@LAW
@given(MAYBE, MAYBE, MAYBE, MOMENTS, MOMENTS)
def test_a_phase_is_never_taken_back(
    observe: datetime | None,
    warn: datetime | None,
    enforce: datetime | None,
    one: datetime,
    other: datetime,
) -> None:
    """As time goes by a rule comes further, and changes only where a change was foretold."""
    begins = sorted(moment for moment in (observe, warn, enforce) if moment)
    there = [
        name
        for name, moment in (("observe", observe), ("warn", warn), ("enforce", enforce))
        if moment
    ]
    schedule = Schedule(**dict(zip(there, begins, strict=True)))
    earlier, later = sorted((one, other))
    order = [None, *Phase]
    before, after = schedule.phase(earlier), schedule.phase(later)
    assert order.index(before) <= order.index(after)
    change = schedule.next_change(earlier)
    assert before is after or (change is not None and change <= later)
