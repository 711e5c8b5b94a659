"""The answer to a Check: bytes in, bytes out, whatever the bytes are.

Reads what is asked, has it judged, and tells of it: an event for whoever observes. What it works
with is one snapshot, taken once. Nothing is waited for but a key that a store has to be asked for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from regiongate.extauthz import responses, wire
from regiongate.extauthz.evidence import Metadata
from regiongate.extauthz.headers import WireError
from regiongate.extauthz.judging import Asked, Judged, Snapshot, ask, conclude, found, recalled
from regiongate.extauthz.responses import Answer, Told
from regiongate.keys.stores import NotRememberedError, StoreError
from regiongate.policy.decide import Verdict
from regiongate.policy.model import Response

SERVICE: Final = "envoy.service.auth.v3.Authorization"
METHOD: Final = "Check"

_UNREADABLE: Final = Told(outcome=Verdict.DENY, reason="malformed_check")
_FAILED: Final = Told(outcome="error", reason="internal_error")
UNREADABLE: Final = responses.deny(_UNREADABLE, Response(message="The request could not be read"))
FAILED: Final = responses.error(_FAILED, defer=False)
DEFERRED: Final = responses.error(_FAILED, defer=True)
KEYS_AWAY: Final = responses.error(Told(outcome="error", reason="key_store_away"), defer=False)

_LOG: Final = logging.getLogger(__name__)


class Call:
    """One call that brought a Check.

    Attributes:
        time: when it came.
        decision_id: what the decision is known by everywhere.
        snapshot: what it is judged by.
        metadata: of the gRPC call.
        started: when it came, by a clock that only goes up; seconds.
    """

    __slots__ = ("decision_id", "metadata", "snapshot", "started", "time")

    def __init__(
        self,
        time: datetime,
        decision_id: str,
        snapshot: Snapshot,
        metadata: Metadata = (),
        started: float = 0.0,
    ) -> None:
        self.time: Final = time
        self.decision_id: Final = decision_id
        self.snapshot: Final = snapshot
        self.metadata: Final = metadata
        self.started: Final = started


class Event:
    """One answered Check, as those who observe are told of it.

    Attributes:
        call: that brought it.
        told: what the answer says.
        judged: None when the Check could not be read or judged; `told.reason` then says which.
        seconds: taken, from the bytes to the bytes.
        asked: of a Check that could be read and not judged, who asked for what.
    """

    __slots__ = ("asked", "call", "judged", "seconds", "told")

    def __init__(
        self,
        call: Call,
        told: Told,
        judged: Judged | None,
        seconds: float,
        asked: Asked | None = None,
    ) -> None:
        self.call: Final = call
        self.told: Final = told
        self.judged: Final = judged
        self.seconds: Final = seconds
        self.asked: Final = asked


class Authorization:
    """Answers Checks.

    Args:
        snapshot: returns what is in force now.
        record: is told of every answer; never waits and never raises.
        clock: returns the time, with an offset from UTC.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        record: Callable[[Event], None] = lambda _: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._snapshot = snapshot
        self._record = record
        self._clock = clock
        self._complained = float("-inf")

    def check(self, data: bytes, metadata: Metadata) -> bytes | Coroutine[Any, Any, bytes]:
        """Answer a serialised CheckRequest with a serialised CheckResponse.

        Args:
            data: what arrived, whatever it is.
            metadata: of the gRPC call that brought it.

        Returns:
            The response; or, where a store has to be asked for a key, what waits for it.
        """
        started, snapshot = time.perf_counter(), self._snapshot()
        call = Call(self._clock(), responses.new_id(), snapshot, metadata, started)
        asked = None
        try:
            asked = ask(snapshot, wire.read(data), metadata)
            try:
                record = recalled(snapshot, asked)
            except NotRememberedError:
                return self._waiting(call, asked)
            judged = conclude(snapshot, asked, record, call.time)
        except Exception as problem:  # noqa: BLE001 nothing may get past it: see _without
            return self._said(call, self._without(call, problem), None, asked)
        return self._said(call, judged.answer, judged)

    async def _waiting(self, call: Call, asked: Asked) -> bytes:
        """Answer once a store has said what it knows of a key."""
        try:
            record = await found(call.snapshot, asked)
            judged = conclude(call.snapshot, asked, record, call.time)
        except Exception as problem:  # noqa: BLE001 nothing may get past it: see _without
            return self._said(call, self._without(call, problem), None, asked)
        return self._said(call, judged.answer, judged)

    def _without(self, call: Call, problem: Exception) -> Answer:
        """Answer a Check that could not be judged.

        An exception would become an RPC error, which failure_mode_allow turns into an allow.
        """
        if isinstance(problem, WireError):
            # The bytes may be a client's doing, so this is never left to failure_mode_allow.
            self._complain(call.started, problem)
            return UNREADABLE
        if isinstance(problem, StoreError):
            # Only where on_store_error says deny, which failure_mode_allow must not undo. The
            # store itself says in the log that it is away, once.
            return KEYS_AWAY
        _LOG.error("a Check could not be judged", exc_info=problem)
        return DEFERRED if call.snapshot.defer_errors else FAILED

    def _said(
        self, call: Call, answer: Answer, judged: Judged | None, asked: Asked | None = None
    ) -> bytes:
        """Tell of an answer, and return its bytes."""
        seconds = time.perf_counter() - call.started
        try:
            self._record(Event(call, answer.told, judged, seconds, asked))
        except Exception:  # noqa: BLE001 an answer that was given is not taken back
            _LOG.exception("a Check could not be recorded")
        return answer.render(call.decision_id)

    def _complain(self, now: float, problem: WireError) -> None:
        """Say that a Check could not be read, once a second: who sends one may send thousands."""
        if now - self._complained >= 1:
            self._complained = now
            _LOG.warning("denied a Check that could not be read: %s", problem)
