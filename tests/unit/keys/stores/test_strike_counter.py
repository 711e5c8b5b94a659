"""Strikes on their way to the store: gathered, bounded, never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from regiongate.keys import strike_counter
from regiongate.keys.entries import KeyModel
from regiongate.keys.record import Status
from regiongate.keys.register import Change, Conflict, Kept, Note
from regiongate.keys.stores import StoreError
from regiongate.keys.strike_counter import SharedCounter
from regiongate.keys.strikes import Strike, Tally, tally
from regiongate.policy.model import Suspension

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMIT = Suspension(after=3, within=timedelta(hours=1))
KEY = KeyModel(id="a", digest=f"sha256:{'0' * 64}")


def strikes(*numbers: int) -> list[Strike]:
    """Make strikes, a second apart."""
    return [
        Strike(
            decision_id=str(number),
            key_id="a",
            rule="region",
            at=NOON + timedelta(seconds=number),
            country="IR",
            limit=LIMIT,
        )
        for number in numbers
    ]


@dataclass(slots=True)
class Fake:
    """A register with one key, and a failing commit or strike where that is asked for."""

    key_: KeyModel = KEY
    failing: bool = False
    fault: Exception | None = None
    rival: Callable[[KeyModel], KeyModel] | None = None
    counted: list[Strike] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    closed: int = 0

    def key(self, _: str) -> Kept[KeyModel]:
        return Kept(self.key_, 1)

    def commit(self, changes: Sequence[Change], note: Note) -> None:
        if self.rival is not None:
            self.key_, self.rival = self.rival(self.key_), None
            raise Conflict("a: expected it as it was read, and it is changed")
        entry = changes[0].entry
        assert isinstance(entry, KeyModel)
        self.key_ = entry
        self.notes.append(note)

    def strike(self, some: Sequence[Strike]) -> list[Tally]:
        if self.failing:
            raise StoreError("fake: expected to work")
        if self.fault:
            raise self.fault
        self.counted += some
        found = tally("a", "region", LIMIT, [(one.at.timestamp(), "IR") for one in self.counted])
        return [found] if found else []

    def close(self) -> None:
        self.closed += 1


def counter(fake: Any) -> SharedCounter:
    """Make a counter of a fake register."""
    return SharedCounter(lambda: fake, lambda: NOON + timedelta(hours=1))


def test_the_limit_suspends_with_evidence() -> None:
    """The key is suspended once, and it is told for what."""
    fake = Fake()
    counting = counter(fake)
    for strike in strikes(1, 2, 3, 4):
        counting.add(strike)
    counting.flush()
    key = fake.key_
    assert key.status is Status.SUSPENDED
    assert (key.status_by, key.status_at) == ("regiongate", NOON + timedelta(hours=1))
    assert key.status_reason == "4 refusals by region within 1h"
    assert key.evidence is not None
    assert (key.evidence.first, key.evidence.last) == (
        NOON + timedelta(seconds=1),
        NOON + timedelta(seconds=4),
    )
    assert (counting.counted, counting.suspended) == (4, 1)
    counting.add(*strikes(5))
    counting.flush()
    assert len(fake.notes) == counting.suspended == 1


UNTOUCHED = {
    "revoked": KEY.model_copy(update={"status": Status.REVOKED}),
    "reinstated after the strikes": KEY.model_copy(
        update={"status_at": NOON + timedelta(seconds=3)}
    ),
}


@pytest.mark.parametrize("key", UNTOUCHED.values(), ids=UNTOUCHED)
def test_a_key_that_is_left_alone(key: KeyModel) -> None:
    """A revoked key stays revoked, and a reinstated one is not suspended for the past."""
    fake = Fake(key)
    counting = counter(fake)
    for strike in strikes(1, 2, 3):
        counting.add(strike)
    counting.flush()
    assert fake.key_ == key
    assert counting.suspended == 0


def test_another_replica_that_was_first() -> None:
    """A key that was suspended meanwhile is not suspended again."""
    theirs = {"status": Status.SUSPENDED, "status_by": "another"}
    fake = Fake(rival=lambda key: key.model_copy(update=theirs))
    counting = counter(fake)
    for strike in strikes(1, 2, 3):
        counting.add(strike)
    counting.flush()
    assert fake.key_.status_by == "another"
    assert counting.suspended == 0


def test_a_fault_of_ours_costs_no_strike(caplog: pytest.LogCaptureFixture) -> None:
    """What a store answers may be anything; the log says where it went wrong."""
    fake = Fake(fault=ValueError("a fault"))
    counting = counter(fake)
    for strike in strikes(1, 2, 3):
        counting.add(strike)
    counting.flush()
    fake.fault = None
    counting.flush()
    assert fake.counted == strikes(1, 2, 3)
    assert [one.exc_info is not None for one in caplog.records] == [True, False]


def test_a_store_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """Strikes wait for it in their order, as many as there is room for; the log says it once."""
    fake = Fake(failing=True)
    counting = counter(fake)
    for strike in strikes(*range(strike_counter.CAPACITY + 5)):
        counting.add(strike)
    counting.flush()
    counting.flush()
    assert counting.dropped == 5
    assert [one.getMessage() for one in caplog.records] == [
        "strikes cannot be counted now, and wait: fake: expected to work"
    ]
    fake.failing = False
    counting.flush()
    assert fake.counted == strikes(*range(strike_counter.CAPACITY))
    assert fake.closed == 2


async def test_what_waits_is_counted_within_a_second() -> None:
    """And the rest when the process stops."""
    fake = Fake()
    counting = counter(fake)
    task = asyncio.create_task(counting.run())
    counting.add(*strikes(1))
    async with asyncio.timeout(5):
        while not counting.counted:  # noqa: ASYNC110 the counter tells nobody
            await asyncio.sleep(0.01)
    counting.add(*strikes(2))
    task.cancel()
    await asyncio.wait([task])
    assert len(fake.counted) == 2
    assert fake.closed == 1


def test_a_tally_of_nothing_is_none() -> None:
    """Strikes that were all forgiven leave none."""
    assert tally("a", "region", LIMIT, []) is None
