"""Updates the databases again and again while the service runs, in a process of its own each time.

What is fetched is unpacked, decoded and judged there, away from the event loop and from whatever a
hostile file does; the process ends with its parent. The workers notice a new file by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from regiongate.runtime.background import kept_running
from regiongate.runtime.config import Geo
from regiongate.telemetry.metrics import UPDATES, Tally

STOP_SECONDS: Final = 5.0
"""How long an update that is told to end may take to."""
SPREAD: Final = 0.1
"""By which part the time between two updates varies, so that many servers do not ask at once."""
_RESULTS: Final = ("updated", "current", "failed")

_LOG: Final = logging.getLogger(__name__)
_CHANCE: Final = random.SystemRandom()

Counted = Callable[[str, str], None]
"""Is told of every update: of which file, and how it ended."""


@asynccontextmanager
async def upkept(path: Path, geo: Geo, tally: Tally) -> AsyncIterator[Callable[[], None]]:
    """Keep the databases up to date, if that is asked for, until the end of the with statement.

    Args:
        path: of regiongate.yaml.
        geo: its section.
        tally: updates are counted in it.

    Yields:
        What lets it begin.
    """
    wanted: list[Upkeep] = []

    def count(file: str, result: str, by: float = 1) -> None:
        tally.count(UPDATES, (file, result), by)

    def begin() -> None:
        if geo.update is None or geo.update.every is None:
            return
        for file in geo.update.sources:
            for result in _RESULTS:
                # There from the start, so that a rate can be told of the first.
                count(file, result, 0)
        wanted.append(Upkeep(path, geo.update.every, count))

    async with kept_running(lambda: wanted):
        yield begin


class Upkeep:
    """Background work that keeps databases up to date.

    Args:
        path: of regiongate.yaml, which every update reads anew.
        every: the time between two updates; the first is made at once.
        counted: is told of every update.
    """

    def __init__(self, path: Path, every: timedelta, counted: Counted) -> None:
        self._path = path
        self._every = every.total_seconds()
        self._counted = counted

    async def run(self) -> None:
        """Update until cancelled; an update under way is then ended, and leaves the old file."""
        while True:
            await self._update()
            await asyncio.sleep(self._every * _CHANCE.uniform(1 - SPREAD, 1 + SPREAD))

    async def _update(self) -> None:
        reading, held = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "regiongate", "geo", "update"),
                *("-c", str(self._path), "--json", "--with-parent"),
                stdin=reading,
                stdout=PIPE,
                stderr=PIPE,
            )
            try:
                said, complained = await process.communicate()
            finally:
                await _ended(process)
        finally:
            os.close(reading)
            os.close(held)
        self._hear(said, complained)

    def _hear(self, said: bytes, complained: bytes) -> None:
        try:
            updates: list[dict[str, Any]] = orjson.loads(said)["updates"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            text = complained.decode(errors="replace").strip()
            _LOG.error("the databases cannot be updated:\n%s", text or "nothing is said")
            self._counted("", "failed")
            return
        for one in updates:
            self._counted(one["file"], one["result"])
            _tell(one)


def _tell(update: dict[str, Any]) -> None:
    if update["result"] == "failed":
        _LOG.error(
            "%s cannot be updated from %s: %s",
            *(update["file"], update["source"], update["problem"]),
        )
    elif update["result"] == "updated":
        _LOG.info(
            "%s is updated from %s, built %s. %s",
            *(update["file"], update["source"], update["built"], update["licence"]),
        )
    else:
        _LOG.info("%s is what %s has", update["file"], update["source"])


async def _ended(process: Process) -> None:
    """Make sure that a process has ended."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
