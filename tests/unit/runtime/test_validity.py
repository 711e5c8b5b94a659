"""What is held against the dates of a certificate, and from when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from regiongate.runtime.validity import Period

BEGINS = datetime(2030, 1, 1, tzinfo=UTC)
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
EARLY = "expected a certificate that is valid by now (it is not valid yet)"
LATE = "expected a certificate that is still valid (it has expired)"
YEAR, MONTH, SHORT = 365 * DAY, 30 * DAY, 24 * HOUR

OBJECTIONS = {
    "before it begins": (BEGINS - SECOND, EARLY),
    "as it begins": (BEGINS, ""),
    "as it ends": (BEGINS + YEAR, ""),
    "after it has ended": (BEGINS + YEAR + SECOND, LATE),
}

WARNED = {
    "a year, and more than two weeks are left": (YEAR, 14 * DAY + SECOND, False),
    "a year, and two weeks are left": (YEAR, 14 * DAY, True),
    "a month, and more than a fifth is left": (MONTH, 6 * DAY + SECOND, False),
    "a month, and a fifth is left": (MONTH, 6 * DAY, True),
    "a day, and more than a fifth is left": (SHORT, 5 * HOUR, False),
    "a day, and less than a fifth is left": (SHORT, 4 * HOUR, True),
}


@pytest.mark.parametrize(("now", "objection"), OBJECTIONS.values(), ids=OBJECTIONS)
def test_clients_refuse_a_certificate_outside_its_dates(now: datetime, objection: str) -> None:
    """Both of the dates are inside."""
    assert Period(BEGINS, BEGINS + YEAR).objection(now) == objection


@pytest.mark.parametrize(("life", "left", "warned"), WARNED.values(), ids=WARNED)
def test_a_certificate_that_ends_soon_is_told_of(
    life: timedelta, left: timedelta, *, warned: bool
) -> None:
    """Two weeks before, or in the last fifth of its life: a short one is renewed often."""
    ends = BEGINS + life
    said = f"expected a certificate that is valid for longer (it ends at {ends.isoformat()})"
    assert Period(BEGINS, ends).warning(ends - left) == (said if warned else "")
