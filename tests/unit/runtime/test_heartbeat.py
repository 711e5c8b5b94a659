"""A worker's reports: regular, and told of in the log where they cannot be made."""

from __future__ import annotations

import asyncio
import os

import pytest

from regiongate.runtime.heartbeat import heartbeat
from regiongate.runtime.report import Report


async def test_a_report_that_fails_is_told_and_the_next_one_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The parent would take a worker for one that hangs, and the log say nothing of why."""
    faults = [ValueError("a fault")]

    def report() -> Report:
        if faults:
            raise faults.pop()
        return Report(worker=0, pid=1, address="a", serving=True)

    reading, writing = os.pipe()
    with heartbeat(writing, report, 0.01), os.fdopen(reading, "rb") as pipe:
        line = await asyncio.to_thread(pipe.readline)
    assert Report.read(line) == Report(worker=0, pid=1, address="a", serving=True)
    assert [record.message for record in caplog.records] == [
        "a report to the parent could not be made"
    ]
