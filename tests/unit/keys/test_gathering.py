"""Look-ups in a queue: how many at once, which first, and for how long anybody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from regiongate.keys import gathering
from regiongate.keys.gathering import Gathered
from regiongate.keys.stores import Answers, StoreError

DEADLINE = 0.04
QUESTIONS = 24


@dataclass(slots=True)
class Store:
    """A store that answers when it is told to, and what it was asked.

    Attributes:
        asked: the questions.
        landed: what became of look-ups, as the cache is told.
        late: those that nobody is to wait for.
    """

    deadline: float = DEADLINE
    concurrent: int = 8
    asked: list[list[bytes]] = field(default_factory=list)
    answering: list[asyncio.Future[None]] = field(default_factory=list)
    landed: dict[bytes, object] = field(default_factory=dict)
    late: list[bytes] = field(default_factory=list)

    def gathered(self) -> Gathered:
        """Make what looks up here."""
        return Gathered(
            "fake",
            self.find,
            self.land,
            self.is_late,
            concurrent=self.concurrent,
            deadline=lambda: self.deadline,
        )

    async def find(self, digests: Sequence[bytes]) -> Answers:
        self.asked.append(list(digests))
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answering.append(answer)
        await answer
        return dict.fromkeys(digests)

    def land(self, answers: Answers) -> None:
        assert not self.landed.keys() & answers.keys(), "told twice"
        self.landed |= answers

    def is_late(self, digests: Sequence[bytes], error: StoreError) -> None:
        assert str(error) == f"fake: expected an answer in {self.deadline} s"
        self.late += digests

    async def answer(self, error: Exception | None = None) -> None:
        """Answer everything that is asked now."""
        for answer in self.answering:
            if error:
                answer.set_exception(error)
            else:
                answer.set_result(None)
        self.answering.clear()
        await settle()


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(10):
        await asyncio.sleep(0)


def names(first: int, last: int) -> list[bytes]:
    """Name some keys."""
    return [str(number).encode() for number in range(first, last)]


async def test_what_is_wanted_at_once_is_asked_at_once() -> None:
    """In two questions; the rest waits, and is asked when one of them is answered."""
    store = Store(deadline=60)
    gathered = store.gathered()
    for name in names(0, 12):
        gathered.want(name, again=False)
    await settle()
    assert store.asked == [names(0, 4), names(4, 8)]
    await store.answer()
    assert store.asked[2:] == [names(8, 12)]
    await store.answer()
    assert list(store.landed) == names(0, 12)
    gathered.want(b"x", again=False)
    await settle()
    assert store.asked[-1] == [b"x"]
    await store.answer()


@dataclass(slots=True)
class Distant(Store):
    """A store that answers by itself, after a time that may depend on how much is asked.

    Attributes:
        seconds: for any question, and for each look-up in it.
        enough: whether it was asked QUESTIONS times.
    """

    seconds: tuple[float, float] = (0.0, 0.0)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def find(self, digests: Sequence[bytes]) -> Answers:
        self.asked.append(list(digests))
        if len(self.asked) == QUESTIONS:
            self.enough.set()
        first, each = self.seconds
        await asyncio.sleep(first + each * len(digests))
        return dict.fromkeys(digests)


@pytest.mark.parametrize(
    ("seconds", "least", "most"),
    [((0.06, 0.0), 200, 256), ((0.0, 0.004), 1, 32)],
    ids=["a store that is far away", "a store that is slow"],
)
async def test_questions_are_as_large_as_helps(
    seconds: tuple[float, float], least: int, most: int
) -> None:
    """What takes long whatever is asked is asked for much; what takes longer for more, for less."""
    store = Distant(deadline=0.1, concurrent=512, seconds=seconds)
    gathered = store.gathered()
    for name in names(0, 8_000):
        gathered.want(name, again=False)
    await asyncio.wait_for(store.enough.wait(), 30)
    assert least <= max(map(len, store.asked[QUESTIONS // 2 :])) <= most


async def test_keys_that_are_remembered_come_first() -> None:
    """A flood of new ones does not hold up what is known to have changed."""
    store = Store(deadline=60, concurrent=2)
    gathered = store.gathered()
    for name in names(0, 5):
        gathered.want(name, again=False)
    gathered.want(b"known", again=True)
    await settle()
    assert store.asked == [[b"known"], [b"0"]]
    for _ in range(3):
        await store.answer()
    assert len(store.landed) == 6


async def test_there_is_room_for_so_many() -> None:
    """One more is refused at once; one that is remembered never is."""
    store = Store(deadline=60)
    gathered = store.gathered()
    for name in names(0, gathering.WAITING):
        gathered.want(name, again=False)
    gathered.want(b"more", again=False)
    gathered.want(b"known", again=True)
    ((refused, why),) = store.landed.items()
    assert (refused, str(why)) == (b"more", "fake: expected at most 10000 look-ups to wait")


async def test_a_store_that_hangs_keeps_nobody_waiting() -> None:
    """After the deadline nobody waits, those who come then do not begin to, and all goes on."""
    store = Store()
    gathered = store.gathered()
    for name in names(0, 12):
        gathered.want(name, again=False)
    await asyncio.sleep(DEADLINE / 2)
    assert store.late == []
    await asyncio.sleep(DEADLINE * 2)
    assert sorted(store.late) == sorted(names(0, 12))
    gathered.want(b"then", again=False)
    assert store.late[-1] == b"then"
    assert store.landed == {}
    for _ in range(8):
        await store.answer()
    assert sorted(store.landed) == sorted([*names(0, 12), b"then"])
    store.late.clear()
    gathered.want(b"x", again=False)
    await settle()
    await store.answer()
    assert b"x" in store.landed
    assert store.late == []


async def test_a_store_that_answers_is_waited_for() -> None:
    """Whoever waits for his turn waits for as long as others get answers in time."""
    store = Store(concurrent=2)
    gathered = store.gathered()
    for name in names(0, 12):
        gathered.want(name, again=False)
    for _ in range(6):
        await asyncio.sleep(DEADLINE / 2)
        await store.answer()
    assert store.late == []
    assert len(store.landed) == 12


async def test_a_fault_of_ours_is_an_answer_too() -> None:
    """Whoever waits would wait for ever, and Envoy decide by failure_mode_allow."""
    store = Store(deadline=60)
    gathered = store.gathered()
    gathered.want(b"a", again=False)
    await settle()
    await store.answer(RuntimeError("a fault"))
    told = store.landed.pop(b"a")
    assert str(told) == "fake: expected a store that answers as one (got RuntimeError)"
    gathered.want(b"a", again=False)
    await settle()
    await store.answer()
    assert store.landed == {b"a": None}


async def test_a_store_that_fails_answers_nobody() -> None:
    """What waits fails with what was asked: it need not wait for the same."""
    store = Store(deadline=60)
    gathered = store.gathered()
    for name in names(0, 20):
        gathered.want(name, again=False)
    await settle()
    await store.answer(StoreError("gone"))
    assert {str(one) for one in store.landed.values()} == {"gone"}
    assert len(store.landed) == 20


async def test_a_store_that_answers_quickly_is_asked_more_at_a_time() -> None:
    """Up to what may be under way at once."""
    store = Store(concurrent=16)
    gathered = store.gathered()
    gathered._size = 4
    for round_ in range(4):
        for name in names(round_ * 50, round_ * 50 + 30):
            gathered.want(name, again=False)
        await settle()
        while store.answering:
            await store.answer()
            if len(store.asked[-1]) == 8:
                break
    assert max(map(len, store.asked[-2:])) == 8
    while store.answering:
        await store.answer()
