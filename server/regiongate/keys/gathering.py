"""Look-ups that are wanted at the same time, gathered into one question to the store.

A change of threads and a round trip over the network cost many times what a look-up itself does. A
question holds as many look-ups as the store lately answered in good time; the others wait for their
turn for as long as the store goes on answering. One that does not answer keeps nobody waiting for
longer than the deadline.

Everything here happens in one event loop; nothing here remembers an answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from regiongate.keys.stores import Answers, StoreError, TooManyError, explained

TURNS: Final = 2
"""Questions under way at once."""

FIRST: Final = 32
"""Look-ups in the first question."""

STEPS: Final = 4
"""The deadline is so many waits, of which a process that itself stood still loses one at most."""

MUCH: Final = 0.5
"""The share of the deadline from which an answer has taken long."""

FELT: Final = 1.25
"""How many times as long an answer takes where more look-ups are felt."""

WAITING: Final = 10_000
"""Look-ups of new keys that may wait for their turn; one more is refused."""


@dataclass(slots=True, eq=False)
class _Question:
    """Look-ups under way; `late` when nobody waits for them any longer."""

    digests: Sequence[bytes]
    steps: int = STEPS
    late: bool = False
    clock: asyncio.TimerHandle | None = None


class Gathered:
    """Looks up what is wanted, all that has gathered at a time.

    Args:
        name: of the store, for messages; without a password.
        ask: asks the store; raises StoreError.
        land: is told what becomes of each look-up, once; a StoreError where it failed.
        late: is told of look-ups that are not to be waited for any longer; they go on.
        concurrent: look-ups under way at once.
        deadline: returns the seconds that the answer to a question may take.
    """

    def __init__(  # noqa: PLR0913 two ends and their limits
        self,
        name: str,
        ask: Callable[[Sequence[bytes]], Awaitable[Answers]],
        land: Callable[[Answers], None],
        late: Callable[[Sequence[bytes], StoreError], None],
        *,
        concurrent: int,
        deadline: Callable[[], float],
    ) -> None:
        self._name = name
        self._ask = ask
        self._land = land
        self._late = late
        self._deadline = deadline
        self._turns = self._free = min(TURNS, concurrent)
        self._most = concurrent // self._turns
        self._size = min(FIRST, self._most)
        self._before = (0, 0.0)
        self._again: deque[bytes] = deque()
        self._new: deque[bytes] = deque()
        self._under_way: set[_Question] = set()
        self._tasks = set[asyncio.Task[None]]()

    def want(self, digest: bytes, *, again: bool) -> None:
        """Look a key up; what becomes of it is told later, or at once where there is no room.

        Args:
            again: it is remembered, and comes before keys that are not.
        """
        if again:
            self._again.append(digest)
        elif len(self._new) < WAITING:
            self._new.append(digest)
        else:
            full = TooManyError(f"{self._name}: expected at most {WAITING} look-ups to wait")
            self._land({digest: full})
            return
        if self._is_stuck:
            self._late([digest], self._lateness())
        if self._free:
            self._free -= 1
            task = asyncio.create_task(self._take_turns())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @property
    def _is_stuck(self) -> bool:
        """Whether nobody can hope for an answer in time."""
        return sum(question.late for question in self._under_way) == self._turns

    async def _take_turns(self) -> None:
        try:
            while waiting := self._again or self._new:
                some = [waiting.popleft() for _ in range(min(self._size, len(waiting)))]
                await self._ask_for(_Question(some))
        finally:
            # Here and not when the task is done, which is later: nobody else would take the turn.
            self._free += 1

    async def _ask_for(self, question: _Question) -> None:
        loop = asyncio.get_running_loop()
        started, deadline = loop.time(), self._deadline()
        self._under_way.add(question)
        self._tick(question, loop, deadline / STEPS)
        try:
            answers = await self._ask(question.digests)
        except Exception as problem:  # noqa: BLE001 whoever waits would wait for ever
            # Nor will it answer those who wait.
            error = explained(self._name, problem)
            answers = dict.fromkeys([*question.digests, *self._none_wait()], error)
        finally:
            self._under_way.discard(question)
            if question.clock is not None:
                question.clock.cancel()
        self._learn(len(question.digests), (loop.time() - started) / deadline)
        self._land(answers)

    def _learn(self, many: int, share: float) -> None:
        """Ask for less at a time when that makes answers that took long come sooner, else for more.

        A store that is far away takes long whatever it is asked: with small questions the look-ups
        of a burst would wait for each other.

        Args:
            many: look-ups in the question that was answered.
            share: of the deadline, that the answer took.
        """
        before, self._before = self._before, (many, share)
        if share <= MUCH:
            if many == self._size:
                self._size = min(self._most, self._size * 2)
        elif _size_matters(before, (many, share)):
            self._size = max(1, self._size // 2)
        elif many != before[0]:
            self._size = min(self._most, self._size * 2)

    def _tick(self, question: _Question, loop: asyncio.AbstractEventLoop, step: float) -> None:
        if question.steps > 0:
            question.steps -= 1
            question.clock = loop.call_later(step, self._tick, question, loop, step)
            return
        question.late = True
        self._late(question.digests, self._lateness())
        if self._is_stuck:
            self._late([*self._again, *self._new], self._lateness())

    def _lateness(self) -> StoreError:
        return StoreError(f"{self._name}: expected an answer in {self._deadline()} s")

    def _none_wait(self) -> list[bytes]:
        waiting = [*self._again, *self._new]
        self._again.clear()
        self._new.clear()
        return waiting


def _size_matters(one: tuple[int, float], other: tuple[int, float]) -> bool:
    """Say whether, of two questions, the larger one took longer; of the first, it is not known."""
    (less, sooner), (more, later) = sorted((one, other))
    return less == 0 or (less < more and later >= sooner * FELT)
