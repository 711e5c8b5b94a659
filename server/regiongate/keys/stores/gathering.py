"""Look-ups that are wanted at the same time, gathered into one.

A change of threads and a round trip over the network cost many times what the look-up itself does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from regiongate.keys.record import KeyRecord
from regiongate.keys.stores import StoreError

Answer = KeyRecord | StoreError | None
Answers = Mapping[bytes, Answer]
"""For each digest its record, None for an unknown key, or why it cannot be said."""

MOST: Final = 256
"""Look-ups in one."""


class Gathered:
    """Looks up what is wanted, all that has gathered at a time.

    Args:
        look_up: looks up several; what it raises is a StoreError.
        turns: how many of those are under way at once.
    """

    def __init__(
        self, look_up: Callable[[Sequence[bytes]], Awaitable[Answers]], turns: int
    ) -> None:
        self._look_up = look_up
        self._turns = turns
        self._wanted: list[tuple[bytes, asyncio.Future[KeyRecord | None]]] = []
        self._tasks = set[asyncio.Task[None]]()

    async def get(self, digest: bytes) -> KeyRecord | None:
        """Look one up.

        Raises:
            StoreError: it cannot be said.
        """
        found: asyncio.Future[KeyRecord | None] = asyncio.get_running_loop().create_future()
        self._wanted.append((digest, found))
        if len(self._tasks) < self._turns:
            task = asyncio.create_task(self._take_turns())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await found

    async def _take_turns(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted[:MOST], self._wanted[MOST:]
            # Whoever no longer waits need not be told.
            waiting = [(digest, found) for digest, found in wanted if not found.done()]
            answers = await self._answers([digest for digest, _ in waiting])
            for digest, found in waiting:
                _settle(found, answers[digest])

    async def _answers(self, digests: list[bytes]) -> Answers:
        if not digests:
            return {}
        try:
            return await self._look_up(digests)
        except StoreError as error:
            return dict.fromkeys(digests, error)


def _settle(found: asyncio.Future[KeyRecord | None], answer: Answer) -> None:
    if found.done():
        return
    if isinstance(answer, StoreError):
        found.set_exception(answer)
    else:
        found.set_result(answer)
