"""A worker's reports to its parent: regular, and from the event loop that answers Checks.

That they come from there is the point: a loop that hangs does not report.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from regiongate.runtime.report import Report

_LOG: Final = logging.getLogger(__name__)


@contextmanager
def heartbeat(
    descriptor: int, report: Callable[[], Report], every: float
) -> Iterator[Callable[[], None]]:
    """Write reports until the end of the with statement.

    Args:
        descriptor: of the pipe's writing end.
        report: makes one.
        every: seconds between two.

    Yields:
        What has the next one written at once.
    """
    due = asyncio.Event()
    task = asyncio.create_task(_report(descriptor, report, every, due))
    try:
        yield due.set
    finally:
        task.cancel()


def _line(report: Callable[[], Report]) -> bytes:
    """Return a report; nothing where it cannot be made, which the parent takes for a hang."""
    try:
        return report().line()
    except Exception:  # noqa: BLE001 the task would end, and nobody hear why
        _LOG.exception("a report to the parent could not be made")
        return b""


async def _report(
    descriptor: int, report: Callable[[], Report], every: float, due: asyncio.Event
) -> None:
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(descriptor, "wb", buffering=0)
    transport, _ = await loop.connect_write_pipe(asyncio.Protocol, pipe)
    try:
        while True:
            # A parent that does not read gets the next one instead.
            if not transport.get_write_buffer_size() and (line := _line(report)):
                transport.write(line)
            due.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(due.wait(), every)
    finally:
        transport.close()
