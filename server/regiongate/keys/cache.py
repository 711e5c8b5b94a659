"""Key records remembered: what a Check finds here it does not wait for.

A store that others change is asked once for each key, and then tells what has changed. While it
tells, what is remembered is as good as the store; when it falls silent, what is remembered goes on
with its age known, and what is not is treated as configured. What is remembered is in `memory`,
look-ups that are asked together in `gathering`.

Everything here happens in one event loop; nothing here knows what kind of store it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from regiongate.keys.gathering import Gathered
from regiongate.keys.memory import Memory
from regiongate.keys.record import KeyRecord
from regiongate.keys.stores import (
    Answers,
    Changes,
    NotRememberedError,
    Source,
    StoreError,
    TooManyError,
    UnusableEntryError,
    explained,
)
from regiongate.policy.exemptions import Exemption

IN_STEP: Final = 1.0
"""Seconds since the store was last heard of, within which nothing can have been missed for long."""

ANSWERED: Final = 0.5
"""Seconds since the last look-up that was answered, within which the store is not away."""

FORGIVEN: Final = 2.0
"""Seconds since a look-up failed, after which the store is well where it tells of changes."""

PATIENT: Final = 5.0
"""Seconds for which nobody is told that a store that answers look-ups tells of no changes."""

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
        deadline: that the store may take to answer; where it answers, a look-up waits its turn.
        concurrent: look-ups under way at once.
        deny_when_away: refuse what is not remembered, rather than take it for unknown.
    """

    size: int = 100_000
    ttl: timedelta = timedelta(seconds=30)
    negative_ttl: timedelta = timedelta(seconds=5)
    deadline: timedelta = timedelta(milliseconds=100)
    concurrent: int = 512
    deny_when_away: bool = False


@dataclass(slots=True)
class Counts:
    """What has happened so far.

    Attributes:
        hits: answers from what was remembered, of known and of unknown keys.
        lookups: asked of the store.
        failures: of them, those that failed or took too long; and each time that it was found to
            be away, as it then is not asked.
        stale: answers that had to do with what was remembered, the store being away.
        refused: answers that could not be given for the same reason.
    """

    hits: int = 0
    lookups: int = 0
    failures: int = 0
    stale: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Flight:
    """A look-up under way; `overtaken` when a change was told of since it began."""

    found: asyncio.Future[KeyRecord | StoreError | None]
    since: float
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
        self._gathered = Gathered(
            name,
            source.find,
            self._land,
            self._late,
            concurrent=limits.concurrent,
            deadline=self._patience,
        )
        self._memory = Memory(limits.size)
        self._flights: dict[bytes, _Flight] = {}
        self._followed = False
        self._away: StoreError | None = None
        self._failing: StoreError | None = None
        self._mute: StoreError | None = None
        self._failed = float("-inf")
        self._complained = float("-inf")
        self._told = False
        self._heard = float("-inf")
        self._answered = float("-inf")
        self._heard_at = datetime.now(UTC)
        self.version = ""
        self.counts = Counts()
        self.took: Callable[[float], None] = lambda _: None

    @property
    def is_away(self) -> bool:
        """Whether the store was last found not to answer, or to tell of no changes."""
        return (self._away or self._failing or self._mute) is not None

    @property
    def outage(self) -> str:
        """Why the store is away, without a password; empty while it is there."""
        return str(self._away or self._failing or self._mute or "")

    def __len__(self) -> int:
        return self._memory.known

    def __repr__(self) -> str:
        return f"CachedStore({self._name}, {len(self)} keys)"

    def age(self, at: datetime) -> float:
        """Return for how many seconds the store has not been heard of; 0 while it is there."""
        seconds = (at - self._heard_at).total_seconds()
        return seconds if seconds > IN_STEP else 0.0

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        """Yield every exemption in the store, with the id of a key that it belongs to."""
        return self._source.exemptions()

    def recall(self, digest: bytes) -> KeyRecord | None:
        """Return the record of a key that is remembered; to be called in the event loop.

        Raises:
            NotRememberedError: the store has to be asked.
        """
        memory, now = self._memory, self._clock()
        record = memory.fresh(digest, now)
        if record is not None:
            self.counts.hits += 1
            return record
        entry = memory.entry(digest)
        if entry is None:
            if not memory.is_unknown(digest, now):
                raise NotRememberedError
            self.counts.hits += 1
            return None
        in_step = now - self._heard < IN_STEP and not self.is_away
        lenient = in_step and not self._limits.deny_when_away
        if lenient and memory.is_unchanged(digest, entry):
            # What is too old is used while it is looked up anew: the store would have told.
            self._flight(digest, again=True)
            return memory.record(digest, entry)
        raise NotRememberedError

    async def find(self, digest: bytes) -> KeyRecord | None:
        """Return the record of a key; waits only for one that is not remembered.

        Raises:
            StoreError: the store is away, and Limits.deny_when_away; or it has told of a change of
                this key and not of what that was; or its entry cannot be used; or nobody follows
                the store, as a command does not, which is to be told what is wrong.
        """
        try:
            return self.recall(digest)
        except NotRememberedError:
            return await self._wait_for(digest)

    async def run(self) -> None:
        """Follow the changes of the store until cancelled."""
        failures = 0
        self._followed = True
        try:
            while not _is_cancelled():
                try:
                    changes = await self._source.changes()
                except Exception as problem:  # noqa: BLE001 whatever it says, it is not followed
                    self._is_silent(explained(self._name, problem))
                    await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                    failures += 1
                else:
                    failures = 0
                    self._apply(changes)
        finally:
            await self._close()
            self._followed = False

    # --------------------------------------------------------------------------- looking up

    async def _wait_for(self, digest: bytes) -> KeyRecord | None:
        if self._away:
            return self._without(digest)
        flight = self._flight(digest, again=self._memory.entry(digest) is not None)
        # Others may wait for the same look-up: one who goes away must not end it.
        found = await asyncio.shield(flight.found)
        if not isinstance(found, StoreError):
            return found
        if not self._followed:
            raise StoreError(str(found))
        if isinstance(found, UnusableEntryError):
            self.counts.refused += 1
            raise found
        return self._without(digest)

    def _without(self, digest: bytes) -> KeyRecord | None:
        """Answer without the store."""
        entry = self._memory.entry(digest)
        # What was told to have changed may be that it is revoked.
        outdated = entry is not None and self._memory.is_outdated(entry)
        if self._limits.deny_when_away or outdated:
            self.counts.refused += 1
            raise StoreError(f"{self._name}: expected an answer, and it is away")
        self.counts.stale += 1
        return self._memory.record(digest, entry) if entry else None

    def _flight(self, digest: bytes, *, again: bool) -> _Flight:
        flight = self._flights.get(digest)
        if flight is None:
            self.counts.lookups += 1
            found = asyncio.get_running_loop().create_future()
            flight = self._flights[digest] = _Flight(found, self._clock())
            self._gathered.want(digest, again=again)
        return flight

    def _patience(self) -> float:
        return self._limits.deadline.total_seconds() if self._followed else UNHURRIED

    def _land(self, answers: Answers) -> None:
        """Take what became of look-ups."""
        now = self._clock()
        # One value for all of them: a hundred thousand of their own take megabytes.
        known, unknown = now + self._ttl, now + self._negative_ttl
        for digest, answer in answers.items():
            flight = self._flights.pop(digest)
            self.took(now - flight.since)
            if isinstance(answer, StoreError):
                self._fails(answer)
                self._settle(flight, answer)
                continue
            self._answers()
            if flight.overtaken:
                # What was read before a change is told of may be what was there before it.
                self._settle(flight, answer.record() if answer else None)
            elif answer is None:
                self._memory.remember_unknown(digest, unknown)
                self._settle(flight, None)
            else:
                self._settle(flight, self._memory.remember(digest, answer, known))

    def _late(self, digests: Sequence[bytes], error: StoreError) -> None:
        """Let nobody wait for look-ups any longer; what they bring is remembered all the same."""
        for digest in digests:
            self._settle(self._flights[digest], error)

    def _settle(self, flight: _Flight, found: KeyRecord | StoreError | None) -> None:
        if not flight.found.done():
            self.counts.failures += isinstance(found, StoreError)
            flight.found.set_result(found)

    # ----------------------------------------------------------------------- how it answers

    def _answers(self) -> None:
        self._answered = self._clock()
        self._is_well()

    def _is_well(self) -> None:
        """Take look-ups for answered, and say so where it was said that they are not."""
        if self._failing:
            self._failing = None
            if self._told:
                _LOG.info("%s answers look-ups again", self._name)

    def _fails(self, error: StoreError) -> None:
        """Take note of a look-up that got no answer, though the store may tell of changes."""
        if isinstance(error, TooManyError):
            return  # The store is asked as much as it answers.
        if isinstance(error, UnusableEntryError):
            self._complain("a key cannot be used", error)
            return
        self._failed = self._clock()
        if not self._failing:
            self._told = not self._away and self._complain(
                "the key store answers no look-up", error
            )
        self._failing = error

    def _complain(self, what: str, error: StoreError) -> bool:
        """Say what is wrong with look-ups, once a second at most; say whether it was said."""
        now = self._clock()
        if now - self._complained < 1:
            return False
        self._complained = now
        _LOG.error("%s: %s", what, error, exc_info=error.__cause__)
        return True

    # ---------------------------------------------------------------------------- following

    def _apply(self, changes: Changes) -> None:
        if self._away or self._mute:
            _LOG.info("%s answers again", self._name)
        if self._away or self._clock() - self._failed > FORGIVEN:
            self._is_well()
        self._away = self._mute = None
        self._heard, self._heard_at = self._clock(), datetime.now(UTC)
        self.version = changes.version
        for digest in changes.digests:
            self._memory.doubt(digest)
        if changes.everything:
            self._memory.doubt_everything()
        elif changes.organisations:
            self._memory.doubt_organisations(changes.organisations)
        # An organisation's change may be one of any key that is being looked up.
        of_many = changes.everything or changes.organisations
        for digest in self._flights if of_many else self._flights.keys() & changes.digests:
            self._flights[digest].overtaken = True

    def _is_silent(self, error: StoreError) -> None:
        if self._clock() - self._answered < ANSWERED:
            # It has something to do, and look-ups still get through.
            self._is_mute(error)
            return
        if not self._away:
            _LOG.error("the key store is away: %s", error, exc_info=error.__cause__)
        self._away = error
        self.counts.failures += 1

    def _is_mute(self, error: StoreError) -> None:
        """Tell that nothing is heard of changes for long, while look-ups are answered."""
        if self._mute is None and self._clock() - self._heard > PATIENT:
            self._mute = error
            _LOG.error("the key store tells of no changes: %s", error, exc_info=error.__cause__)

    async def _close(self) -> None:
        if self._flights:
            # Checks wait for them, and a Check that is cancelled is one that Envoy may let pass.
            landing = [flight.found for flight in self._flights.values()]
            await asyncio.wait(landing, timeout=self._patience() + 1)
        await self._source.close()


def _is_cancelled() -> bool:
    # asyncio.wait_for, which the client of Redis calls, may lose the exception that says so:
    # https://github.com/python/cpython/issues/86296, mended in Python 3.12.
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
