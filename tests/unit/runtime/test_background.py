"""Work beside the answering of Checks goes on, whatever becomes of it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from regiongate.runtime.background import kept_running


class Work:
    """Work that ends at once the first time, in a way of its own."""

    def __init__(self, ending: BaseException | None) -> None:
        self.ending = ending
        self.begun = 0
        self.again = asyncio.Event()

    async def run(self) -> None:
        self.begun += 1
        if self.begun == 1:
            if self.ending is not None:
                raise self.ending
            return
        self.again.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    "ending",
    [ValueError("a fault"), asyncio.CancelledError(), None],
    ids=["it fails", "it is cancelled", "it ends"],
)
async def test_what_has_ended_is_begun_anew(
    ending: BaseException | None, caplog: pytest.LogCaptureFixture
) -> None:
    """And what else there is to do goes on."""
    work = Work(ending)
    async with kept_running(lambda: [work]):
        await asyncio.wait_for(work.again.wait(), 5)
    assert work.begun == 2
    assert caplog.record_tuples == [
        (
            "regiongate.runtime.background",
            logging.ERROR,
            "work in the background has ended and is begun anew",
        )
    ]
