"""Key records remembered: what a Check finds here it does not wait for.

A store that others change is asked once for each key, and then tells what has changed. While it
tells, what is remembered is as good as the store; when it falls silent, what is remembered goes on
with its age known, and what is not is treated as configured. Known and unknown keys are remembered
apart, so that a flood of made-up keys pushes out no real one.

Everything here happens in one event loop; nothing here knows what kind of store it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from regiongate.keys.record import KeyRecord
from regiongate.keys.stores import Changes, Source, StoreError
from regiongate.policy.exemptions import Exemption

IN_STEP: Final = 1.0
"""Seconds since the store was last heard of, within which nothing can have been missed for long."""

ANSWERED: Final = 0.5
"""Seconds since the last look-up that was answered, within which the store is not away."""

UNHURRIED: Final = 5.0
"""Seconds that a command may wait, which asks once and follows nothing."""

PAUSES: Final = (0.1, 0.2, 0.4, 0.5)
"""Seconds before a store that is away is tried again; the last goes on."""

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is remembered, how long, and what is waited for.

    Attributes:
        size: known keys, and unknown ones, remembered at once.
        ttl: after which a known key is looked up anew although no change was told.
        negative_ttl: the same for an unknown key.
        deadline: that a look-up may take, with the wait for its turn.
        concurrent: look-ups under way at once.
        deny_when_away: refuse what is not remembered, rather than take it for unknown.
    """

    size: int = 100_000
    ttl: timedelta = timedelta(seconds=30)
    negative_ttl: timedelta = timedelta(seconds=5)
    deadline: timedelta = timedelta(milliseconds=50)
    concurrent: int = 64
    deny_when_away: bool = False


@dataclass(slots=True)
class Counts:
    """What has happened so far.

    Attributes:
        hits: answers from what was remembered, of known and of unknown keys.
        lookups: asked of the store.
        failures: of them, those that failed or took too long.
        stale: answers that had to do with what was remembered, the store being away.
        refused: answers that could not be given for the same reason.
    """

    hits: int = 0
    lookups: int = 0
    failures: int = 0
    stale: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Remembered:
    """A known key; a change sets `until` to 0, and it is looked up anew when it is next wanted."""

    record: KeyRecord
    until: float
    epoch: int


@dataclass(slots=True)
class _Flight:
    """A look-up under way; `overtaken` when a change was told of since it began."""

    task: asyncio.Task[KeyRecord | None]
    overtaken: bool = False


class CachedStore:
    """A key store that remembers what another one said.

    Args:
        name: of the store, for the log; without a password.
        source: the other one.
        clock: returns seconds that never go back.

    Attributes:
        took: is told the seconds of every look-up in the store.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._source = source
        self._limits = limits
        self._clock = clock
        self._ttl = limits.ttl.total_seconds()
        self._negative_ttl = limits.negative_ttl.total_seconds()
        self._deadline = limits.deadline.total_seconds()
        self._slots = asyncio.Semaphore(limits.concurrent)
        self._known: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._by_organisation: dict[str, set[bytes]] = {}
        self._flights: dict[bytes, _Flight] = {}
        self._epoch = 0
        self._followed = False
        self._away = False
        self._heard = float("-inf")
        self._answered = float("-inf")
        self._heard_at: datetime | None = None
        self.version = ""
        self.counts = Counts()
        self.took: Callable[[float], None] = lambda _: None

    @property
    def is_away(self) -> bool:
        """Whether the store was last found not to answer."""
        return self._away

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return f"CachedStore({self._name}, {len(self)} keys)"

    def age(self, at: datetime) -> float:
        """Return for how many seconds the store has not been heard of; 0 while it is there."""
        if self._heard_at is None:
            return 0.0
        seconds = (at - self._heard_at).total_seconds()
        return seconds if seconds > IN_STEP else 0.0

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        """Yield every exemption in the store, with the id of a key that it belongs to."""
        return self._source.exemptions()

    async def find(self, digest: bytes) -> KeyRecord | None:
        """Return the record of a key; waits only for one that is not remembered.

        Raises:
            StoreError: the store is away, and Limits.deny_when_away; or nobody follows it, as a
                command does not, which is to be told what is wrong.
        """
        remembered = self._known.get(digest)
        if remembered is None:
            return await self._find_new(digest)
        self._known.move_to_end(digest)
        if remembered.until > self._clock() and remembered.epoch == self._epoch:
            self.counts.hits += 1
            return remembered.record
        return await self._find_again(digest, remembered)

    async def run(self) -> None:
        """Follow the changes of the store until cancelled."""
        failures = 0
        self._followed = True
        try:
            while True:
                try:
                    changes = await self._source.changes()
                except StoreError as error:
                    self._is_silent(error)
                    await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                    failures += 1
                else:
                    failures = 0
                    self._apply(changes)
        finally:
            await self._close()
            self._followed = False

    # --------------------------------------------------------------------------- looking up

    async def _find_new(self, digest: bytes) -> KeyRecord | None:
        until = self._unknown.get(digest)
        if until is not None and until > self._clock():
            self._unknown.move_to_end(digest)
            self.counts.hits += 1
            return None
        if self._away:
            return self._without(None)
        return await self._wait_for(digest, None)

    async def _find_again(self, digest: bytes, remembered: _Remembered) -> KeyRecord | None:
        if self._away:
            return self._without(remembered)
        nothing_against_it = remembered.until > 0 and remembered.epoch == self._epoch
        if nothing_against_it and self._clock() - self._heard < IN_STEP:
            self._flight(digest)
            return remembered.record
        return await self._wait_for(digest, remembered)

    async def _wait_for(self, digest: bytes, remembered: _Remembered | None) -> KeyRecord | None:
        try:
            # Others may wait for the same look-up: one who goes away must not end it.
            return await asyncio.shield(self._flight(digest).task)
        except StoreError:
            if not self._followed:
                raise
            return self._without(remembered)

    def _without(self, remembered: _Remembered | None) -> KeyRecord | None:
        """Answer without the store."""
        if self._limits.deny_when_away:
            self.counts.refused += 1
            raise StoreError(f"{self._name}: expected an answer, and it is away")
        self.counts.stale += 1
        return remembered.record if remembered else None

    def _flight(self, digest: bytes) -> _Flight:
        flight = self._flights.get(digest)
        if flight is None:
            flight = self._flights[digest] = _Flight(asyncio.create_task(self._look_up(digest)))
            flight.task.add_done_callback(lambda task: self._landed(digest, task))
        return flight

    async def _look_up(self, digest: bytes) -> KeyRecord | None:
        self.counts.lookups += 1
        started = self._clock()
        deadline = self._deadline if self._followed else UNHURRIED
        try:
            async with asyncio.timeout(deadline), self._slots:
                found = await self._source.get(digest)
        except TimeoutError:
            self.counts.failures += 1
            raise StoreError(f"{self._name}: expected an answer in {deadline} s") from None
        except StoreError:
            self.counts.failures += 1
            raise
        finally:
            self.took(self._clock() - started)
        self._answered = self._clock()
        flight = self._flights.get(digest)
        # What was read before a change is told of may be what was there before it.
        return found if flight is None or flight.overtaken else self._remember(digest, found)

    def _landed(self, digest: bytes, task: asyncio.Task[KeyRecord | None]) -> None:
        self._flights.pop(digest, None)
        if not task.cancelled():
            task.exception()  # told to whoever waits; a look-up that nobody waits for fails quietly

    # -------------------------------------------------------------------------- remembering

    def _remember(self, digest: bytes, found: KeyRecord | None) -> KeyRecord | None:
        old = self._known.pop(digest, None)
        if old is not None and old.record.org:
            self._leave(digest, old.record.org)
        if found is None:
            self._unknown[digest] = self._clock() + self._negative_ttl
            self._unknown.move_to_end(digest)
            if len(self._unknown) > self._limits.size:
                self._unknown.popitem(last=False)
            return None
        # Decisions are remembered by the identity of what they were made from.
        record = old.record if old is not None and old.record == found else found
        self._unknown.pop(digest, None)
        self._known[digest] = _Remembered(record, self._clock() + self._ttl, self._epoch)
        if record.org:
            self._by_organisation.setdefault(record.org, set()).add(digest)
        if len(self._known) > self._limits.size:
            evicted, entry = self._known.popitem(last=False)
            self._leave(evicted, entry.record.org)
        return record

    def _leave(self, digest: bytes, organisation: str) -> None:
        members = self._by_organisation.get(organisation)
        if members is not None:
            members.discard(digest)
            if not members:
                del self._by_organisation[organisation]

    # ---------------------------------------------------------------------------- following

    def _apply(self, changes: Changes) -> None:
        if self._away:
            _LOG.info("%s answers again", self._name)
        self._away = False
        self._heard, self._heard_at = self._clock(), datetime.now(UTC)
        self.version = changes.version
        if changes.everything:
            self._epoch += 1
            self._unknown.clear()
        for digest in changes.digests:
            self._doubt(digest)
        for organisation in changes.organisations:
            for digest in self._by_organisation.get(organisation, ()):
                self._doubt(digest)
        if changes.everything or changes.organisations:
            for flight in self._flights.values():
                flight.overtaken = True

    def _doubt(self, digest: bytes) -> None:
        self._unknown.pop(digest, None)
        if digest in self._known:
            self._known[digest].until = 0.0
        if digest in self._flights:
            self._flights[digest].overtaken = True

    def _is_silent(self, error: StoreError) -> None:
        if self._clock() - self._answered < ANSWERED:
            # It has something to do, and look-ups still get through.
            return
        if not self._away:
            _LOG.error("the key store is away: %s", error)
        self._away = True

    async def _close(self) -> None:
        if self._flights:
            # Checks wait for them, and a Check that is cancelled is one that Envoy may let pass.
            await asyncio.wait([flight.task for flight in self._flights.values()])
        await self._source.close()
