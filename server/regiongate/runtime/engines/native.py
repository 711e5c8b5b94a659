"""The native engine: HTTP/2 in Rust, outside the GIL, by pygrpc-native's low-level API.

Calls come in batches, and those of a batch that can be answered at once are answered together:
each answer on its own would wake one of the engine's threads. What is not a Check or a question of
its health is passed on to a grpcio server behind a Unix socket.

While calls come, the event loop waits for them itself, and gives what else it has to do a turn
between two batches: another thread that waited would have to wake it for each of them. There is
such a thread for when it is quiet.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from grpc import aio
from pygrpc_native import EVENT_CANCEL, NativeGrpcFront

from regiongate.extauthz.evidence import Metadata
from regiongate.runtime.engines.handler import Handler, RefusedError

BATCH: Final = 16
"""Calls that are answered together. The first of them waits for the last."""

LINGER: Final = 1
"""Milliseconds for which the event loop waits for another call."""

QUIET: Final = 20
"""Times that it does so in vain before the thread waits in its stead."""

IO_THREADS: Final = 1
"""Threads that do HTTP/2: one keeps up with the one that runs Python, and the fewer threads there
are, the fewer have to be woken for a call."""

FLUSH: Final = 0.05
"""Seconds that the last answers may take to the wire."""

_LOG: Final = logging.getLogger(__name__)


class NativeServer:
    """Serves one method natively, others by the way, and what is left through grpcio.

    Args:
        method: the path of the one.
        handler: answers it.
        others: answers those by their paths; they are few and far between.
        behind: serves every other method, through a Unix socket in a temporary folder; what has no
            such folder, a process with a read-only root, does without.
        options: of the front; see NativeGrpcFront.

    Attributes:
        expired: calls that were not answered, as their callers had gone before their turn came.
    """

    def __init__(
        self,
        method: str,
        handler: Handler,
        others: Mapping[str, Callable[[bytes], Awaitable[bytes]]],
        behind: aio.Server,
        options: Mapping[str, Any],
    ) -> None:
        self._methods = [method, *others]
        self._handler = handler
        self._others = tuple(others.values())
        self._behind: aio.Server | None = behind
        self._options = options
        self._folder: Path | None = None
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._stopping = False
        self.expired = 0
        self._quiet = 0
        self._is_quiet = threading.Semaphore(0)

    def add_insecure_port(self, address: str) -> int:
        """Listen on an address, as aio.Server does.

        Raises:
            RuntimeError: it cannot be listened on.
        """
        methods = [(path, False) for path in self._methods]
        try:
            self._front = NativeGrpcFront(
                address, methods, io_threads=IO_THREADS, call_details=True, **self._options
            )
        except OSError as error:
            raise RuntimeError(str(error)) from None
        return self._front.bound_port

    async def start(self) -> None:
        """Serve."""
        self._loop = asyncio.get_running_loop()
        if self._behind is not None:
            await self._start_behind(self._behind)
        self._front.start()
        threading.Thread(target=self._wait, name="calls", daemon=True).start()

    async def _start_behind(self, behind: aio.Server) -> None:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="regiongate-"))
            socket = self._folder / "grpcio.sock"
            behind.add_insecure_port(f"unix:{socket}")
        except (OSError, RuntimeError):
            # There is no folder for it, or the path of a socket in it would be too long.
            _LOG.info("gRPC reflection needs a temporary folder, and a short path to it")
            self._behind = None
            return
        await behind.start()
        self._front.set_fallback(str(socket))

    async def stop(self, grace: float | None) -> None:
        """Give the calls under way their time, and then close every connection.

        Args:
            grace: seconds.
        """
        # What comes meanwhile is answered: only health can tell a client to go elsewhere.
        if self._waiting:
            await asyncio.wait([*self._waiting.values()], timeout=grace or 0)
        if grace:
            await asyncio.sleep(FLUSH)
        self._stopping = True
        for answer in [*self._waiting.values()]:
            answer.cancel()
        if self._behind is not None:
            # Who watches its health has been told, and would go on for ever.
            await self._behind.stop(None)
        await self._loop.run_in_executor(None, self._front.close)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # ------------------------------------------------------------------- waiting for calls

    def _wait(self) -> None:
        """Wait for a call while it is quiet; in a thread of its own."""
        while (events := self._front.recv_batch_details(BATCH)) is not None:
            try:
                self._loop.call_soon_threadsafe(self._take, events)
            except RuntimeError:  # The loop was closed, and nobody is left to answer.
                self._front.close()
                return
            self._is_quiet.acquire()

    def _take_more(self) -> None:
        # A Check that waits for a key store is not to wait for other calls as well.
        linger = 0 if self._waiting else LINGER
        events = self._front.recv_batch_details(BATCH, linger)
        if events is None:
            self._is_quiet.release()
        else:
            self._take(events)

    def _take(self, events: Sequence[tuple[Any, ...]]) -> None:
        """Answer calls, and see to it that the next ones are waited for."""
        self._quiet = 0 if events else self._quiet + 1
        if self._quiet < QUIET:
            self._loop.call_soon(self._take_more)
        else:
            self._quiet = 0
            self._is_quiet.release()
        self._answer(events)

    # ------------------------------------------------------------------------- answering

    def _answer(self, events: Sequence[tuple[Any, ...]]) -> None:
        answered: list[tuple[int, bytes]] = []
        for kind, call, method, data, _, details in events:
            if kind == EVENT_CANCEL:
                self._cancel(call)
                continue
            metadata, _, seconds = details
            if seconds is not None and seconds <= 0:
                # At more calls than can be answered, those whose caller still waits come first.
                self.expired += 1
                continue
            answer = self._answered(call, method, data, metadata)
            if answer is not None:
                answered.append((call, answer))
        for call, answer in answered:
            self._front.respond(call, answer)

    def _answered(self, call: int, method: int, data: bytes, metadata: Metadata) -> bytes | None:
        """Return the answer to a call; None where it is waited for, or there is none."""
        if self._stopping:
            self._fail(call, grpc.StatusCode.UNAVAILABLE, "the server is shutting down")
            return None
        try:
            if method:
                answer: bytes | Awaitable[bytes] = self._others[method - 1](data)
            else:
                answer = self._handler(data, metadata, _nobody)
            if isinstance(answer, bytes):
                return answer
            self._await(call, answer)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 others are to be answered
            self._break(call, error)
        return None

    def _cancel(self, call: int) -> None:
        """Give up a call whose caller has gone."""
        if call in self._waiting:
            self._waiting[call].cancel()

    def _await(self, call: int, answer: Awaitable[bytes]) -> None:
        future = asyncio.ensure_future(answer)
        self._waiting[call] = future

        def done(future: asyncio.Future[bytes]) -> None:
            del self._waiting[call]
            if future.cancelled():
                self._fail(call, grpc.StatusCode.CANCELLED, "the call was cancelled")
            elif (error := future.exception()) is not None:
                self._break(call, error)
            else:
                self._front.respond(call, future.result())

        future.add_done_callback(done)

    def _break(self, call: int, error: BaseException) -> None:
        """End a call whose handler has failed."""
        if isinstance(error, RefusedError):
            self._fail(call, error.code, error.details)
        else:
            _LOG.error("a call could not be answered", exc_info=error)
            self._fail(call, grpc.StatusCode.UNKNOWN, "the call could not be answered")

    def _fail(self, call: int, code: grpc.StatusCode, details: str) -> None:
        self._front.fail(call, code.value[0], details)


def _nobody() -> Mapping[str, Sequence[bytes]]:
    """Return what is known of a caller without TLS."""
    return {}
