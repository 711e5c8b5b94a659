"""The facts of a key: the same value while they are in use, and not kept for every key there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from regiongate.keys import record
from regiongate.keys.record import KeyRecord

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_facts_are_the_same_value() -> None:
    """Decisions are remembered by the identity of what they were made from."""
    key = KeyRecord(id="a", expires=NOW)
    before = key.facts(NOW - timedelta(seconds=1))
    assert key.facts(NOW - timedelta(seconds=1)) is before
    assert key.facts(NOW) is not before
    assert key.facts(NOW) is key.facts(NOW)


def test_no_more_are_ready_than_there_is_room_for() -> None:
    """The oldest go first, and are made anew when they are wanted."""
    some = [KeyRecord(id=str(number)) for number in range(record.READY + 1)]
    first = some[0].facts(NOW)
    for key in some[1:]:
        key.facts(NOW)
    assert len(record._READY) == record.READY
    assert some[0].facts(NOW) is not first
    assert some[0].facts(NOW) == first
    assert some[-1].facts(NOW) is some[-1].facts(NOW)
