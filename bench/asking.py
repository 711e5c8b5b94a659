"""A worker in this process, asked as an engine asks it: all of a Check's way but the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from regiongate.address import CLIENT_ADDRESS_METADATA
from regiongate.runtime.worker import Worker

Metadata = Sequence[tuple[str, str]]


def metadata(client: str) -> Metadata:
    """Return the metadata of the call that brings a client's Check."""
    return ((CLIENT_ADDRESS_METADATA, client), ("user-agent", "envoy"))


def nobody() -> Mapping[str, Sequence[bytes]]:
    """Return what is known of a caller without a certificate."""
    return {}


class Asked:
    """A worker that serves."""

    def __init__(self, worker: Worker) -> None:
        self._check = worker.calls.check

    def at_once(self, data: bytes, sent: Metadata) -> bytes:
        """Return the answer to a Check.

        Raises:
            RuntimeError: it has to be waited for.
        """
        answer = self._check(data, sent, nobody)
        if isinstance(answer, bytes):
            return answer
        raise RuntimeError("expected a Check that waits for nothing")

    async def first(self, data: bytes, sent: Metadata) -> bytes:
        """Return the answer to a Check whose key may not be remembered yet."""
        answer = self._check(data, sent, nobody)
        return answer if isinstance(answer, bytes) else await answer


@asynccontextmanager
async def asking(worker: Worker) -> AsyncIterator[Asked]:
    """Have a worker do all that it does beside answering, until the end of the with statement."""
    ready = asyncio.Event()
    task = asyncio.create_task(worker.serve(ready.set))
    await ready.wait()
    # What is asked before the store is followed is not remembered.
    while not cast("dict[str, Any]", worker.report().info["keys"])["version"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield Asked(worker)
    finally:
        task.cancel()
        await asyncio.wait([task])
