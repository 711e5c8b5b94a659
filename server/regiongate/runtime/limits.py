"""What stands before a Check is judged: who may ask, and how many may wait at once.

A call that is over a limit is answered, never failed: an RPC error is something that Envoy's
failure_mode_allow turns into an allow. How large a Check may be and how many headers it may have is
part of reading it, in extauthz.wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from regiongate.extauthz import responses
from regiongate.extauthz.evidence import Metadata
from regiongate.extauthz.judging import Snapshot
from regiongate.extauthz.responses import Answer, Told
from regiongate.extauthz.service import Call, Event
from regiongate.policy.decide import Verdict
from regiongate.policy.model import Response
from regiongate.runtime.engines.handler import Identity
from regiongate.telemetry.metrics import LIMITED, Tally

Answering = bytes | asyncio.Future[bytes]
"""An answer that is there, or that will be."""

_OVERLOADED: Final = Told(outcome="error", reason="overloaded")
_STRANGER: Final = Told(outcome=Verdict.DENY, reason="caller_not_allowed")
OVERLOADED: Final = responses.error(_OVERLOADED, defer=False)
OVERLOADED_DEFERRED: Final = responses.error(_OVERLOADED, defer=True)
STRANGER: Final = responses.deny(_STRANGER, Response(message="The caller may not ask"))

_IDENTITIES: Final = ("x509_subject_alternative_name", "x509_common_name")


class Calls:
    """Answers calls, as many at once as may be.

    Args:
        judge: answers a Check, at once or not, given its bytes and the metadata of the call.
        snapshot: returns what is in force now.
        record: is told of every answer given here.
        tally: counts them.
        limit: how many Checks may wait; one more is answered as on_error says.
        callers: names that a caller's certificate must have one of; None for any.

    Attributes:
        in_flight: how many Checks wait for something.
    """

    def __init__(  # noqa: PLR0913 finished collaborators, each one word
        self,
        judge: Callable[[bytes, Metadata], bytes | Coroutine[Any, Any, bytes]],
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
        self.in_flight = 0

    def check(self, data: bytes, metadata: Metadata, identity: Identity) -> Answering:
        """Answer one call; to be called in the event loop.

        Args:
            data: the message that came, serialised.
            metadata: of the call.
            identity: says who the caller is.

        Returns:
            The message to answer with, or the task that returns it.
        """
        if self._callers is not None and not self._known(identity):
            return self._refuse("caller", STRANGER)
        answer = self._judge(data, metadata)
        return answer if isinstance(answer, bytes) else self._waited_for(answer)

    def _waited_for(self, answer: Coroutine[Any, Any, bytes]) -> Answering:
        if self.in_flight >= self._limit:
            answer.close()
            deferred = self._snapshot().defer_errors
            return self._refuse("calls", OVERLOADED_DEFERRED if deferred else OVERLOADED)
        self.in_flight += 1
        task = asyncio.get_running_loop().create_task(answer)
        task.add_done_callback(self._end)
        return task

    def _end(self, _: asyncio.Task[bytes]) -> None:
        self.in_flight -= 1

    def _known(self, identity: Identity) -> bool:
        said = identity()
        names = (name for kind in _IDENTITIES for name in said.get(kind, ()))
        return any(name in (self._callers or ()) for name in names)

    def _refuse(self, limit: str, answer: Answer) -> bytes:
        self._tally.count(LIMITED, (limit,))
        call = Call(datetime.now(UTC), responses.new_id(), self._snapshot())
        self._record(Event(call, answer.told, None, 0.0))
        return answer.render(call.decision_id)
