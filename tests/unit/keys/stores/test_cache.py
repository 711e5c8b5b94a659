"""What is remembered of a store, for how long, and what is asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from regiongate.keys.cache import CachedStore, Limits
from regiongate.keys.entries import Brief
from regiongate.keys.gathering import WAITING
from regiongate.keys.stores import Answers, Changes, StoreError, UnusableEntryError
from regiongate.policy.exemptions import Exemption

A, B, C, D = (bytes([number]) * 32 for number in range(4))
SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class Fake:
    """A store in memory that tells what it is told to, and counts what it is asked."""

    records: dict[bytes, Brief] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)
    told: asyncio.Queue[Changes | Exception] = field(default_factory=asyncio.Queue)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    most_at_once: int = 0
    failing: Exception | None = None
    unusable: frozenset[bytes] = frozenset()
    closed: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    async def find(self, digests: Sequence[bytes]) -> Answers:
        self.asked.extend(digests)
        broken = UnusableEntryError("fake: expected an entry")
        found = {one: broken if one in self.unusable else self.records.get(one) for one in digests}
        self.at_once += len(digests)
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= len(digests)
        if self.failing:
            raise self.failing
        return found

    async def changes(self) -> Changes:
        told = await self.told.get()
        if isinstance(told, Exception):
            raise told
        return told

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        yield from ()

    async def close(self) -> None:
        self.closed = True


@dataclass(slots=True)
class Clock:
    """Seconds that pass when they are told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class Scene:
    """A cache that follows a fake store."""

    store: CachedStore
    fake: Fake
    clock: Clock

    async def tell(self, version: str = "2", **changes: Any) -> None:
        """Tell the cache of changes, and wait until it knows."""
        self.fake.told.put_nowait(Changes(version=version, **changes))
        await settle()

    async def fall_silent(self) -> None:
        """Let the store be away for a while, and wait until the cache knows."""
        self.clock.now += 1
        self.fake.told.put_nowait(StoreError("fake: expected to be there"))
        await settle()


def brief(name: str, org: str = "", *, reason: str = "", organisation: str = "") -> Brief:
    """Make what a store says of a key."""
    said = f'{{"id":"{name}","status_reason":"{reason}"}}'
    return Brief(said.encode(), org, organisation.encode() or None)


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, for a pause between two tries and more."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 what is waited for sets no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def scene(**limits: Any) -> AsyncIterator[Scene]:
    """Set a scene in which A belongs to acme, B to nobody, and C is not known."""
    fake, clock = Fake({A: brief("a", "acme"), B: brief("b")}), Clock()
    store = CachedStore("fake", fake, Limits(**limits), clock)
    task = asyncio.create_task(store.run())
    made = Scene(store, fake, clock)
    await made.tell("1", everything=True)
    yield made
    task.cancel()
    await asyncio.wait([task])
    assert fake.closed


def at_once(coroutine: Any) -> Any:
    """Return what a coroutine comes to that waits for nothing."""
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    return done.value.value


async def test_what_is_remembered_is_not_waited_for() -> None:
    """A key is asked for once, and then known without a suspension, and as the same value."""
    async with scene() as one:
        first = await one.store.find(A)
        assert at_once(one.store.find(A)) is first
        assert await one.store.find(C) is None
        assert at_once(one.store.find(C)) is None
        assert one.fake.asked == [A, C]


async def test_one_look_up_for_all_who_wait() -> None:
    """Checks that want one key at the same time share a look-up, also if one of them goes away."""
    async with scene() as one:
        one.fake.gate.clear()
        tasks = [asyncio.create_task(one.store.find(A)) for _ in range(5)]
        await settle()
        tasks[0].cancel()
        await settle()
        one.fake.gate.set()
        found = await asyncio.gather(*tasks[1:])
        assert {record.id for record in found if record} == {"a"}
        assert one.fake.asked == [A]


async def test_no_more_look_ups_than_allowed_are_under_way() -> None:
    """The others wait for their turn."""
    async with scene(concurrent=4, deadline=60 * SECOND) as one:
        one.fake.gate.clear()
        some = [asyncio.create_task(one.store.find(bytes([n]) * 32)) for n in range(50, 70)]
        await settle()
        one.fake.gate.set()
        await asyncio.gather(*some)
        assert one.fake.most_at_once == 4


async def test_a_flood_of_unknown_keys_pushes_out_no_known_one() -> None:
    """Known and unknown keys are remembered apart."""
    async with scene(size=2) as one:
        await one.store.find(A)
        await one.store.find(B)
        for number in range(10, 100):
            assert await one.store.find(bytes([number]) * 32) is None
        one.fake.asked.clear()
        assert at_once(one.store.find(A))
        assert at_once(one.store.find(B))
        assert len(one.store) == 2


async def test_the_longest_unused_is_pushed_out() -> None:
    """The cache holds `size` keys; one that was wanted lately stays."""
    async with scene(size=2) as one:
        one.fake.records |= {C: brief("c", "acme")}
        for digest in (A, B, A, C):
            await one.store.find(digest)
        one.fake.asked.clear()
        await one.store.find(A)
        await one.store.find(C)
        assert one.fake.asked == []
        await one.store.find(B)
        assert one.fake.asked == [B]


# ------------------------------------------------------------------------------------- changes


async def test_a_changed_key_is_asked_for_again() -> None:
    """And the answer is another value; what has not changed is the same one."""
    async with scene() as one:
        first, other = await one.store.find(A), await one.store.find(B)
        one.fake.records[A] = brief("a", "acme", reason="new")
        await one.tell(digests=frozenset({A, B}))
        assert await one.store.find(A) is not first
        assert await one.store.find(B) is other
        assert one.store.version == "2"


async def test_a_new_key_is_known() -> None:
    """That a key was unknown is forgotten when it is added."""
    async with scene() as one:
        assert await one.store.find(C) is None
        one.fake.records[C] = brief("c")
        await one.tell(digests=frozenset({C}))
        assert await one.store.find(C)


async def test_a_changed_organisation_changes_its_keys() -> None:
    """Only they are asked for again."""
    async with scene() as one:
        await one.store.find(A)
        await one.store.find(B)
        one.fake.records[A] = brief("a", "acme", organisation='{"plan":"new"}')
        await one.tell(organisations=frozenset({"acme"}))
        one.fake.asked.clear()
        record = await one.store.find(A)
        await one.store.find(B)
        assert record is not None
        assert record.profile.plan == "new"
        assert one.fake.asked == [A]


async def test_a_change_of_everything() -> None:
    """Everything is asked for again, and unknown keys as well."""
    async with scene() as one:
        for digest in (A, C):
            await one.store.find(digest)
        await one.tell(everything=True)
        one.fake.asked.clear()
        for digest in (A, C):
            await one.store.find(digest)
        assert one.fake.asked == [A, C]


OVERTAKING: dict[str, dict[str, Any]] = {
    "the key": {"digests": frozenset({A})},
    "an organisation": {"organisations": frozenset({"acme"})},
    "everything": {"everything": True},
}


@pytest.mark.parametrize("changes", OVERTAKING.values(), ids=OVERTAKING)
async def test_a_change_during_a_look_up(changes: dict[str, Any]) -> None:
    """What was read before a change is not remembered after it."""
    async with scene() as one:
        one.fake.gate.clear()
        early = asyncio.create_task(one.store.find(A))
        await settle()
        one.fake.records[A] = brief("a", reason="new")
        await one.tell(**changes)
        one.fake.gate.set()
        await early
        record = await one.store.find(A)
        assert record is not None
        assert record.status_reason == "new"


async def test_a_key_that_is_gone_is_unknown() -> None:
    """A removed key is not found any more."""
    async with scene() as one:
        await one.store.find(A)
        del one.fake.records[A]
        await one.tell(digests=frozenset({A}))
        assert await one.store.find(A) is None
        assert len(one.store) == 0


# ---------------------------------------------------------------------------------------- time


async def test_after_its_time_a_key_is_renewed_beside() -> None:
    """While the store is followed, nobody waits for the renewal."""
    async with scene(ttl=30 * SECOND) as one:
        first = await one.store.find(A)
        one.fake.records[A] = brief("a", reason="by hand")
        one.clock.now += 31
        await one.tell()
        assert at_once(one.store.find(A)) is first
        await settle()
        renewed = at_once(one.store.find(A))
        assert renewed.status_reason == "by hand"


async def test_after_its_time_an_unfollowed_key_is_waited_for() -> None:
    """Where nothing was heard of changes lately, what is old is not good enough."""
    async with scene(ttl=30 * SECOND) as one:
        await one.store.find(A)
        one.fake.records[A] = brief("a", reason="new")
        one.clock.now += 31
        record = await one.store.find(A)
        assert record is not None
        assert record.status_reason == "new"


async def test_after_its_time_an_unknown_key_is_asked_for_again() -> None:
    """An unknown key is remembered for negative_ttl."""
    async with scene(negative_ttl=5 * SECOND) as one:
        await one.store.find(C)
        one.clock.now += 4.9
        assert at_once(one.store.find(C)) is None
        one.clock.now += 0.2
        await one.store.find(C)
        assert one.fake.asked == [C, C]


# ----------------------------------------------------------------------------------- being away


async def test_a_look_up_that_hangs() -> None:
    """After the deadline a key not remembered is unknown, and one that was changed is refused."""
    async with scene(deadline=timedelta(milliseconds=20)) as one:
        await one.store.find(A)
        await one.tell(digests=frozenset({A}))
        one.fake.gate.clear()
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert await one.store.find(B) is None
        with pytest.raises(StoreError):
            await one.store.find(A)
        assert loop.time() - started < 1.0
        assert one.store.counts.failures == 2


async def test_an_outage_is_told_and_counted() -> None:
    """A failure each time that the store is tried in vain, though no key is looked up in it."""
    async with scene() as one:
        assert (one.store.is_away, one.store.outage) == (False, "")
        await one.fall_silent()
        assert (one.store.is_away, one.store.outage) == (True, "fake: expected to be there")
        assert await one.store.find(C) is None
        assert (one.store.counts.failures, one.store.counts.lookups) == (1, 0)
        assert one.store.counts.stale == 1
        again = "fake: still expected to be there"
        one.fake.told.put_nowait(StoreError(again))
        await until(lambda: one.store.outage == again)
        assert one.store.counts.failures == 2
        one.fake.told.put_nowait(Changes(version="3"))
        await until(lambda: one.store.outage == "")


BROKEN = StoreError("fake: expected to work")


async def test_look_ups_that_fail_are_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    """Though the store goes on telling of changes; it ends with the next one that is answered."""
    caplog.set_level("INFO")
    async with scene() as one:
        one.fake.failing = BROKEN
        assert await one.store.find(C) is None
        await one.tell()
        assert (one.store.is_away, one.store.outage) == (True, str(BROKEN))
        assert await one.store.find(D) is None
        one.fake.failing = None
        assert await one.store.find(B) is not None
        assert not one.store.is_away
    assert [record.getMessage() for record in caplog.records] == [
        f"the key store answers no look-up: {BROKEN}",
        "fake answers look-ups again",
    ]


async def test_more_look_ups_than_may_wait_are_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever makes up keys by the thousand says nothing about the store."""
    async with scene(deadline=timedelta(hours=1)) as one:
        one.fake.gate.clear()
        looked_up = [
            asyncio.create_task(one.store.find(number.to_bytes(32)))
            for number in range(2 * WAITING)
        ]
        await settle()
        assert sum(look_up.done() for look_up in looked_up) > WAITING / 2
        assert not one.store.is_away
        one.fake.gate.set()
        await asyncio.gather(*looked_up)
    assert caplog.records == []


async def test_what_changes_while_it_is_waited_for_is_not_used_as_it_was() -> None:
    """Though it was not known to have changed when the wait began."""
    async with scene(ttl=SECOND, deny_when_away=False, deadline=timedelta(hours=1)) as one:
        await one.store.find(A)
        one.clock.now += 2  # too old, and the store was not heard of since
        one.fake.gate.clear()
        waiting = asyncio.create_task(one.store.find(A))
        await settle()
        one.fake.told.put_nowait(Changes(version="2", digests=frozenset({A})))
        await settle()
        one.fake.failing = BROKEN
        one.fake.gate.set()
        with pytest.raises(StoreError):
            await waiting


async def test_one_look_up_that_failed_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    """Where no other comes, and the store tells of changes; the log has an end of it, too."""
    caplog.set_level("INFO")
    async with scene() as one:
        one.fake.failing = BROKEN
        assert await one.store.find(C) is None
        one.clock.now += 3
        await one.tell()
        assert not one.store.is_away
    assert caplog.records[-1].getMessage() == "fake answers look-ups again"


async def test_a_fault_in_following_is_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    """The log has it once, with where it is, and the store is tried again."""
    async with scene() as one:
        await one.store.find(A)
        one.clock.now += 1
        for _ in range(2):
            one.fake.told.put_nowait(ValueError("a fault"))
        await until(one.fake.told.empty)
        await until(lambda: one.store.is_away)
        assert await one.store.find(A) is not None
        await one.tell()
        await until(lambda: not one.store.is_away)
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.exc_info is not None for record in errors] == [True]


async def test_a_store_that_tells_of_no_changes_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though look-ups are answered all the while, and go on."""
    async with scene() as one:
        for _ in range(3):
            one.clock.now += 3
            # Somebody always asks for a key that nobody has asked for.
            await one.store.find(one.clock.now.hex().encode().ljust(32))
            one.fake.told.put_nowait(BROKEN)
            await until(one.fake.told.empty)
            await settle()
        assert (one.store.is_away, one.store.outage) == (True, str(BROKEN))
        assert await one.store.find(B) is not None
        await one.tell()
        await until(lambda: not one.store.is_away)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        f"the key store tells of no changes: {BROKEN}"
    ]


@pytest.mark.parametrize("away", [False, True])
async def test_what_has_changed_is_not_used_as_it_was(*, away: bool) -> None:
    """It may be revoked: whatever keeps the store from telling, the key is refused."""
    async with scene() as one:
        for digest in (A, B):
            await one.store.find(digest)
        await one.tell(organisations=frozenset({"acme"}))
        one.fake.failing = BROKEN
        if away:
            await one.fall_silent()
        with pytest.raises(StoreError):
            await one.store.find(A)
        assert await one.store.find(B) is not None
        one.fake.failing = None
        one.clock.now += 3
        await one.tell()
        await until(lambda: not one.store.is_away)
        assert await one.store.find(A) is not None


@pytest.mark.parametrize("deny", [False, True])
async def test_an_entry_that_cannot_be_used_is_refused(
    *, deny: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It may say that the key is revoked; others are as they are, and the store is not away."""
    async with scene(deny_when_away=deny) as one:
        first = await one.store.find(A)
        await one.tell(digests=frozenset({A}))
        one.fake.unusable = frozenset({A})
        for _ in range(2):
            with pytest.raises(StoreError):
                await one.store.find(A)
        assert await one.store.find(B) is not None
        assert not one.store.is_away
        one.fake.unusable = frozenset()
        assert await one.store.find(A) == first
    told = [record.getMessage() for record in caplog.records]
    assert told == ["a key cannot be used: fake: expected an entry"]


async def test_with_deny_a_key_is_known_for_its_time_and_no_longer() -> None:
    """Though the store tells of no change: look-ups may fail for a reason of their own."""
    async with scene(deny_when_away=True, ttl=10 * SECOND) as one:
        assert await one.store.find(A) is not None
        one.fake.failing = BROKEN
        one.clock.now += 9
        await one.tell()
        assert at_once(one.store.find(A)) is not None
        one.clock.now += 1
        await one.tell()
        with pytest.raises(StoreError):
            await one.store.find(A)


async def test_an_answer_that_comes_late() -> None:
    """It is remembered: only those who asked first had to do without."""
    async with scene(deadline=timedelta(milliseconds=20)) as one:
        one.fake.gate.clear()
        assert await one.store.find(A) is None
        assert at_once(one.store.find(A)) is None
        one.fake.gate.set()
        await settle()
        assert at_once(one.store.find(A)).id == "a"
        assert one.fake.asked == [A]


async def test_a_late_answer_that_was_overtaken() -> None:
    """It is not remembered."""
    async with scene(deadline=timedelta(milliseconds=20)) as one:
        one.fake.gate.clear()
        assert await one.store.find(A) is None
        one.fake.records[A] = brief("a", reason="new")
        await one.tell(digests=frozenset({A}))
        one.fake.gate.set()
        await settle()
        record = await one.store.find(A)
        assert record is not None
        assert record.status_reason == "new"


async def test_a_store_that_is_away_is_not_asked() -> None:
    """What is remembered goes on past its time; nothing else is known; nothing is waited for."""
    async with scene(ttl=SECOND) as one:
        first = await one.store.find(A)
        await one.fall_silent()
        one.clock.now += 3600
        one.fake.asked.clear()
        assert at_once(one.store.find(A)) is first
        assert at_once(one.store.find(B)) is None
        assert one.fake.asked == []
        assert one.store.is_away


async def test_a_store_that_answers_is_not_away() -> None:
    """One that is slow to tell of changes, and still answers look-ups, is asked."""
    async with scene() as one:
        await one.store.find(A)
        one.fake.told.put_nowait(StoreError("fake: expected to be quick"))
        await settle()
        assert not one.store.is_away
        assert await one.store.find(B)


async def test_a_store_that_is_back_is_asked() -> None:
    """The first word that is heard ends the outage."""
    async with scene() as one:
        await one.fall_silent()
        assert at_once(one.store.find(B)) is None
        one.fake.told.put_nowait(Changes(version="3", everything=True))
        await until_back(one)
        assert await one.store.find(B)


async def until_back(one: Scene) -> None:
    """Wait until the cache knows that its store is back."""
    for _ in range(500):
        if not one.store.is_away:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the store is away for good")


async def test_with_deny_nothing_passes_for_unknown() -> None:
    """What is remembered holds for its time; what is not is refused."""
    async with scene(ttl=30 * SECOND, deny_when_away=True) as one:
        await one.store.find(A)
        await one.fall_silent()
        assert at_once(one.store.find(A))
        for digest in (A, B):
            one.clock.now += 31
            with pytest.raises(StoreError, match=r"^fake: expected an answer, and it is away$"):
                await one.store.find(digest)
        assert one.store.counts.refused == 2


async def test_a_look_up_that_fails() -> None:
    """It is treated as one that hangs."""
    async with scene(deny_when_away=True) as one:
        one.fake.failing = StoreError("fake: expected to work")
        with pytest.raises(StoreError):
            await one.store.find(B)
        one.fake.failing = None
        assert await one.store.find(B)


async def test_the_end_is_not_missed() -> None:
    """A source that swallows its cancellation, as a client did, does not go on for ever."""

    class Deaf(Fake):
        async def changes(self) -> Changes:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            return Changes(version="2")

    fake = Deaf()
    task = asyncio.create_task(CachedStore("fake", fake, Limits()).run())
    await settle()
    task.cancel()
    await asyncio.wait_for(task, 5)
    assert fake.closed


async def test_how_long_the_store_was_not_heard_of() -> None:
    """The age is told in seconds, and is 0 while the store is there."""
    async with scene() as one:
        now = datetime.now(UTC)
        assert one.store.age(now) == 0
        assert one.store.age(now + 30 * SECOND) == pytest.approx(30, abs=2)


def test_a_store_that_was_never_heard_of_is_as_old_as_that() -> None:
    """A command, which asks once and follows nothing, is over before that counts."""
    store, now = CachedStore("fake", Fake(), Limits()), datetime.now(UTC)
    assert store.age(now) == 0
    assert store.age(now + 30 * SECOND) == pytest.approx(30, abs=2)


async def test_the_log_names_the_store_once(caplog: pytest.LogCaptureFixture) -> None:
    """An outage is one line when it begins and one when it ends."""
    caplog.set_level("INFO")
    async with scene() as one:
        await one.fall_silent()
        one.fake.told.put_nowait(StoreError("fake: expected to be there"))
        one.fake.told.put_nowait(Changes(version="3"))
        await until_back(one)
    assert [record.getMessage() for record in caplog.records] == [
        "the key store is away: fake: expected to be there",
        "fake answers again",
    ]
