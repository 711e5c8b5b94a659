"""Strikes counted in the shared store, off the request's way, and the suspensions they lead to.

Strikes are gathered for a moment and counted together. A crash loses what has been gathered and no
more; a store that is away is tried again, for as long as what waits has room.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from regiongate import durations
from regiongate.keys import status
from regiongate.keys.register import Conflict, Note, Register, change_key
from regiongate.keys.stores import StoreError
from regiongate.keys.strikes import Strike, Tally

CAPACITY: Final = 10_000
"""Strikes that may wait to be counted; more are dropped."""
BATCH: Final = 1000
FLUSH_SECONDS: Final = 0.5
PATIENCE: Final = 1.0
"""Seconds that the store is waited for; then it is tried again later."""
STOP_SECONDS: Final = 2.0
"""How long the last strikes may take at a stop."""

WHO: Final = "regiongate"
WHAT: Final = "suspend"

_LOG: Final = logging.getLogger(__name__)


class SharedCounter:
    """Counts strikes in a store, and suspends keys that have too many.

    Args:
        open_register: opens the writing side of the store.
        clock: returns the time, with an offset from UTC.

    Attributes:
        counted: strikes that are in the store.
        dropped: strikes lost to a store that was away for too long.
        suspended: keys that were suspended from here.
    """

    def __init__(
        self,
        open_register: Callable[[], Register],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._open = open_register
        self._clock = clock
        self._waiting: deque[Strike] = deque()
        self._register: Register | None = None
        self._failing = False
        self.counted = 0
        self.dropped = 0
        self.suspended = 0

    def add(self, strike: Strike) -> None:
        """Take note of a strike; returns at once and never raises."""
        if len(self._waiting) >= CAPACITY:
            self.dropped += 1
        else:
            self._waiting.append(strike)

    async def run(self) -> None:
        """Count what has gathered, every moment, until cancelled; then count the rest."""
        loop = asyncio.get_running_loop()
        # A thread of its own, as the store may keep it waiting for long.
        thread = ThreadPoolExecutor(1, thread_name_prefix="strikes")
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                if self._waiting:
                    await loop.run_in_executor(thread, self.flush)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await loop.run_in_executor(thread, self._finish)
            thread.shutdown(wait=False)

    def flush(self) -> None:
        """Count what has gathered now; what cannot be counted stays."""
        try:
            while self._waiting:
                self._count_some()
                self._failing = False
        except Exception as error:  # noqa: BLE001 whatever a store answers, no strike is lost
            if not self._failing:
                fault = None if isinstance(error, StoreError | Conflict) else error
                _LOG.error("strikes cannot be counted now, and wait: %s", error, exc_info=fault)
            self._failing = True
            self._close()

    def _count_some(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        try:
            self._count(batch)
        except Exception:  # of any kind: the strikes wait, and who has asked tells why
            self._waiting.extendleft(reversed(batch))
            raise

    def _count(self, batch: Sequence[Strike]) -> None:
        if self._register is None:
            self._register = self._open()
        for tally in self._register.strike(batch):
            if tally.is_over:
                self._suspend(self._register, tally)
        self.counted += len(batch)

    def _suspend(self, register: Register, tally: Tally) -> None:
        limit = tally.limit
        why = f"{tally.strikes} refusals by {tally.rule} within {durations.written(limit.within)}"
        note = Note(at=self._clock(), who=WHO, what=WHAT, why=why)
        edited = change_key(register, tally.key_id, status.suspending(tally, note), note)
        key = edited.entry if edited else None
        # Another replica may have been first, with a note of its own.
        if key and (key.status_at, key.status_by, key.status_reason) == (note.at, note.who, why):
            self.suspended += 1
            _LOG.warning("suspended key %s: %s", tally.key_id, why)

    def _finish(self) -> None:
        self.flush()
        self._close()

    def _close(self) -> None:
        register, self._register = self._register, None
        if register is not None:
            register.close()
