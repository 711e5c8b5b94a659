"""Work beside the answering of Checks, kept going for as long as what it belongs to is in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

LOOK_SECONDS: Final = 0.1
"""How often it is looked whether other work is wanted; a reload changes that."""


_LOG: Final = logging.getLogger(__name__)


class Background(Protocol):
    """The port: work that goes on until it is cancelled."""

    async def run(self) -> None:
        """Work; when cancelled, finish what must not be lost."""
        ...


@asynccontextmanager
async def kept_running(wanted: Callable[[], Sequence[Background]]) -> AsyncIterator[None]:
    """Keep running what is wanted now, and nothing else, until the end of the with statement.

    Args:
        wanted: says what is wanted; asked again and again.
    """
    running: dict[Background, asyncio.Task[None]] = {}
    keeping = asyncio.create_task(_keep(running, wanted))
    try:
        yield
    finally:
        await _end(keeping)
        for task in running.values():
            await _end(task)


async def _keep(
    running: dict[Background, asyncio.Task[None]], wanted: Callable[[], Sequence[Background]]
) -> None:
    while True:
        now = wanted()
        for one in now:
            if one not in running or _has_failed(running[one]):
                running[one] = asyncio.create_task(one.run())
        for one in running.keys() - set(now):
            await _end(running.pop(one))
        await asyncio.sleep(LOOK_SECONDS)


def _has_failed(task: asyncio.Task[None]) -> bool:
    if not task.done():
        return False
    problem = None if task.cancelled() else task.exception()
    _LOG.error("work in the background has ended and is begun anew", exc_info=problem)
    return True


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is not None:
        _LOG.error("work in the background failed at its end", exc_info=task.exception())
