"""What stands before a Check is judged: how many there may be at once, and who may ask.

A call that is over a limit is answered, never failed: an RPC error is something that Envoy's
failure_mode_allow turns into an allow. How large a Check may be and how many headers it may have is
part of reading it, in extauthz.wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from regiongate.extauthz import responses
from regiongate.extauthz.evidence import Metadata
from regiongate.extauthz.responses import Answer, Told
from regiongate.extauthz.service import Event, Snapshot
from regiongate.policy.decide import Verdict
from regiongate.policy.model import Response
from regiongate.telemetry.metrics import LIMITED, Tally


class Context(Protocol):
    """A call, as far as it is looked at; of grpc.aio's."""

    def invocation_metadata(self) -> Metadata | None:
        """Return what the caller sent beside the message."""
        ...

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return what the caller's certificate says."""
        ...


_OVERLOADED: Final = Told(outcome="error", reason="overloaded")
_STRANGER: Final = Told(outcome=Verdict.DENY, reason="caller_not_allowed")
OVERLOADED: Final = responses.error(_OVERLOADED, defer=False)
OVERLOADED_DEFERRED: Final = responses.error(_OVERLOADED, defer=True)
STRANGER: Final = responses.deny(_STRANGER, Response(message="The caller may not ask"))

_IDENTITIES: Final = ("x509_subject_alternative_name", "x509_common_name")


class _NextTurn:
    """Lets go of the event loop until its next turn, as asyncio.sleep(0) does in more steps."""

    def __await__(self) -> Generator[None]:
        yield


_NEXT_TURN: Final = _NextTurn()


class Calls:
    """Answers calls, as many at once as may be.

    Args:
        judge: answers a Check, given its bytes and the metadata of the call.
        snapshot: returns what is in force now.
        record: is told of every answer given here.
        tally: counts them.
        limit: how many Checks may be under way; one more is answered as on_error says.
        callers: names that a caller's certificate must have one of; None for any.

    Attributes:
        in_flight: how many Checks are under way.
    """

    def __init__(  # noqa: PLR0913 finished collaborators, each one word
        self,
        judge: Callable[[bytes, Metadata], Awaitable[bytes]],
        snapshot: Callable[[], Snapshot],
        record: Callable[[Event], None],
        tally: Tally,
        *,
        limit: int,
        callers: Collection[str] | None = None,
    ) -> None:
        self._judge = judge
        self._snapshot = snapshot
        self._record = record
        self._tally = tally
        self._limit = limit
        self._callers = None if callers is None else {name.encode() for name in callers}
        self._ended: asyncio.Event | None = None
        self.in_flight = 0

    async def check(self, data: bytes, context: Context) -> bytes:
        """Answer one call."""
        if self.in_flight >= self._limit:
            deferred = self._snapshot().defer_errors
            return self._refuse("calls", OVERLOADED_DEFERRED if deferred else OVERLOADED)
        if self._callers is not None and not self._known(context):
            return self._refuse("caller", STRANGER)
        metadata: Metadata = context.invocation_metadata() or ()
        self.in_flight += 1
        try:
            answer = await self._judge(data, metadata)
            # Lets the other Checks that came together be answered first, so that the answers leave
            # together: waking the engine for each of them costs more than a Check itself.
            await _NEXT_TURN
            return answer
        finally:
            self.in_flight -= 1
            if self._ended is not None:
                self._ended.set()

    async def idle(self) -> None:
        """Wait until no Check is under way."""
        self._ended = asyncio.Event()
        while self.in_flight:
            self._ended.clear()
            await self._ended.wait()

    def _known(self, context: Context) -> bool:
        identity = context.auth_context()
        names = (name for kind in _IDENTITIES for name in identity.get(kind, ()))
        return any(name in (self._callers or ()) for name in names)

    def _refuse(self, limit: str, answer: Answer) -> bytes:
        self._tally.count(LIMITED, (limit,))
        decision_id = responses.new_id()
        now = datetime.now(UTC)
        self._record(Event(now, decision_id, self._snapshot(), answer.told, None, 0.0))
        return answer.render(decision_id)
