"""The parent of several workers: starts them, restarts those that end, and stops them all.

It answers no Check and loads nothing but the configuration. A worker that crashes is started again,
at once the first time and later the longer the more often it happens; one that says nothing for a
while hangs, and is killed. The others do not notice.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from regiongate.geo.rehearsed import HANDED_DOWN
from regiongate.runtime.config import Settings
from regiongate.runtime.lasting import of_parent
from regiongate.runtime.report import Ledger, Report

REPORT_SECONDS: Final = 0.5
"""How often a worker reports."""
SILENCE_SECONDS: Final = 3.0
"""A worker that misses this twice in a row hangs. Twice, as a stop of the whole machine is one."""
START_SECONDS: Final = 60.0
"""How long a start may take."""
FIRST_DELAY, LAST_DELAY = 0.1, 30.0
"""Seconds before a worker that has ended is started again; doubled each time."""
STEADY_SECONDS: Final = 30.0
"""A worker that has lived so long has started well."""
STOP_MARGIN: Final = 5.0
"""Seconds beyond notice and grace after which a worker that stops is killed."""
RELOAD_SECONDS: Final = 15.0
"""How long the reload of one worker is waited for before the next one's turn."""
LONGEST_LINE: Final = 16 * 1024 * 1024

_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Child:
    """A worker, as its parent sees it.

    Attributes:
        address: where it listens; as it is bound, once that is known.
        process: what runs now.
        reloads: of its last report.
        ready: set while it serves.
        heard: set whenever it has reported or ended.
        expected: it was told to end, to be started again.
    """

    number: int
    address: str
    process: Process | None = None
    reloads: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    expected: bool = False

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self.process is not None and self.process.returncode is None

    @property
    def exit_code(self) -> int:
        """How it ended; a failure where there has been no process at all."""
        return 1 if self.process is None else self.process.returncode or 0

    def tried(self) -> bool:
        """Say whether it serves, or has ended."""
        return self.ready.is_set() or (self.process is not None and not self.running)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds that what is heard of the worker can change."""
        while not holds():
            self.heard.clear()
            await self.heard.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal, where there is one."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)


class Supervisor:
    """Keeps a worker running for each address.

    Args:
        path: of regiongate.yaml.
        settings: read from it.
        arguments: of the command line, to be given to each worker.
    """

    def __init__(self, path: Path, settings: Settings, arguments: Sequence[str] = ()) -> None:
        self._path = path
        self._arguments = (*arguments, "--parents-settings", of_parent(settings))
        self._children = [Child(*one) for one in enumerate(settings.listen.grpc)]
        self._notice = settings.shutdown.notice.total_seconds()
        shutdown = settings.shutdown.notice + settings.shutdown.grace
        self._stop_within = shutdown.total_seconds() + STOP_MARGIN
        self._rehearsed: tuple[str, ...] = ()
        self._stopping = asyncio.Event()
        self._turns = asyncio.Lock()
        self._tasks = set[asyncio.Task[None]]()
        self.ledger = Ledger(len(self._children))

    async def run(self, ready: Callable[[], None]) -> int:
        """Run the workers until SIGTERM or SIGINT.

        SIGHUP reloads the files of one worker after the other; SIGUSR2 restarts one after the
        other, each once the one before it serves.

        Args:
            ready: is called once the first serves and each other does, or has ended without.

        Returns:
            The exit code: that of the first worker where it cannot start, else 0.
        """
        self._listen_to_signals()
        self._alive, held = os.pipe()
        try:
            return await self._run(ready)
        finally:
            os.close(self._alive)
            os.close(held)

    async def _run(self, ready: Callable[[], None]) -> int:
        first, *others = self._children
        # The first alone: a mistake in a file is then told once.
        keeping = [asyncio.create_task(self._keep(first))]
        if not await self._first_serves(first, keeping[0]):
            told_to = self._stopping.is_set()
            await self._stop(keeping)
            return 0 if told_to else first.exit_code
        keeping += [asyncio.create_task(self._keep(child)) for child in others]
        announcing = asyncio.create_task(self._announce(ready))
        await self._stopping.wait()
        announcing.cancel()
        await self._stop(keeping)
        return 0

    async def _announce(self, ready: Callable[[], None]) -> None:
        first, *others = self._children
        await asyncio.gather(*(child.until(child.tried) for child in others))
        await first.ready.wait()
        ready()

    async def _first_serves(self, child: Child, keeping: asyncio.Task[None]) -> bool:
        waiting = [
            asyncio.create_task(child.ready.wait()),
            asyncio.create_task(self._stopping.wait()),
        ]
        await asyncio.wait([*waiting, keeping], return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return child.ready.is_set() and not self._stopping.is_set()

    async def _stop(self, keeping: Sequence[asyncio.Task[None]]) -> None:
        self._stopping.set()
        for child in self._children:
            child.signal(signal.SIGTERM)
        _, late = await asyncio.wait(keeping, timeout=self._stop_within)
        if late:
            _LOG.error("workers did not stop in time, and are killed")
            for child in self._children:
                child.signal(signal.SIGKILL)
            await asyncio.wait(late)

    # ---------------------------------------------------------------------------- one worker

    async def _keep(self, child: Child) -> None:
        """Start a worker, and start it again whenever it ends, until all are to stop."""
        delay, served = FIRST_DELAY, False
        while not self._stopping.is_set():
            started = time.monotonic()
            how = await self._outlived(child)
            served = served or child.ready.is_set()
            child.ready.clear()
            child.heard.set()
            self.ledger.ended(child.number)
            if self._stopping.is_set() or not (served or child.number):
                return
            if child.expected or time.monotonic() - started > STEADY_SECONDS:
                delay = FIRST_DELAY
            await self._wait(child, how, delay)
            delay = min(2 * delay, LAST_DELAY)

    async def _wait(self, child: Child, how: str, delay: float) -> None:
        """Wait before a worker is started again; not if it ended because it was told to."""
        expected, child.expected = child.expected, False
        if expected:
            return
        self.ledger.restarted(child.number)
        _LOG.error("worker %d ended with %s; it is started again in %g s", child.number, how, delay)
        await _first(self._stopping.wait(), delay)

    async def _outlived(self, child: Child) -> str:
        """Run a worker to its end, and return how that came."""
        try:
            return _how(await self._live(child))
        except Exception as problem:  # noqa: BLE001 one that nobody keeps would be gone for good
            _LOG.exception("worker %d could not be run", child.number)
            child.signal(signal.SIGKILL)
            if child.process is not None:
                await child.process.wait()
            return type(problem).__name__

    async def _live(self, child: Child) -> int:
        """Run a worker to its end, and return its exit code."""
        reading, writing = os.pipe()
        reports = await _stream(reading)
        try:
            process = child.process = await asyncio.create_subprocess_exec(
                *self._command(child, writing),
                stdin=self._alive,
                pass_fds=(writing,),
                # What one worker has done the next need not do again.
                env={**os.environ, HANDED_DOWN: " ".join(self._rehearsed)},
            )
        finally:
            os.close(writing)
        if self._stopping.is_set():
            process.terminate()
        await self._follow(child, reports)
        return await process.wait()

    def _command(self, child: Child, writing: int) -> Sequence[str]:
        return (
            sys.executable,
            # Not what happens to lie in the current folder.
            "-P",
            *("-m", "regiongate", "serve", "-c", str(self._path), *self._arguments),
            *("--worker", str(child.number), "--address", child.address),
            *("--report-to", str(writing)),
        )

    async def _follow(self, child: Child, reports: asyncio.StreamReader) -> None:
        """Read what a worker reports until it ends; kill it if it falls silent."""
        patience, missed = START_SECONDS, 0
        reading = asyncio.ensure_future(reports.readline())
        while True:
            await asyncio.wait([reading], timeout=patience)
            if not reading.done():
                missed += 1
                if missed > 1:
                    _LOG.error("worker %d says nothing any more, and is killed", child.number)
                    child.signal(signal.SIGKILL)
                    missed = 0
                continue
            line = reading.result()
            if not line:
                return
            self._heard(child, Report.read(line))
            patience, missed = SILENCE_SECONDS, 0
            reading = asyncio.ensure_future(reports.readline())

    def _heard(self, child: Child, report: Report) -> None:
        child.address, child.reloads = report.address, report.reloads
        if report.serving:
            child.ready.set()
        child.heard.set()
        self._rehearsed = report.rehearsed or self._rehearsed
        self.ledger.heard(report)

    # --------------------------------------------------------------------------- in turn

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._in_turn, self._reload)
        loop.add_signal_handler(signal.SIGUSR2, self._in_turn, self._restart)
        # Others reopen their logs on it; it would end this process at once.
        loop.add_signal_handler(signal.SIGUSR1, _LOG.warning, "SIGUSR1 means nothing: ignored")

    def _in_turn(self, action: Callable[[Child], Awaitable[bool]]) -> None:
        """Do something to one worker after the other, as long as it goes well; do not wait."""
        task = asyncio.create_task(self._each(action))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _each(self, action: Callable[[Child], Awaitable[bool]]) -> None:
        async with self._turns:
            for child in self._children:
                if self._stopping.is_set() or not await action(child):
                    return

    async def _reload(self, child: Child) -> bool:
        before = child.reloads
        child.signal(signal.SIGHUP)
        await _first(
            child.until(lambda: child.reloads > before or not child.running), RELOAD_SECONDS
        )
        return True

    async def _restart(self, child: Child) -> bool:
        """Restart a worker; say whether it serves again, so that the next may go."""
        started = time.monotonic()
        if not await (self._replaced(child) if child.ready.is_set() else self._comes(child)):
            if not self._stopping.is_set():
                _LOG.error(
                    "worker %d did not come up again; the next ones are left as they are",
                    child.number,
                )
            return False
        _LOG.info("worker %d was restarted in %.1f s", child.number, time.monotonic() - started)
        # Until Envoy has heard that this one is there, the others must not go.
        await _first(self._stopping.wait(), self._notice)
        return True

    async def _replaced(self, child: Child) -> bool:
        """End a worker and wait for the next in its place; say whether that serves."""
        child.expected, ended = True, child.process
        child.signal(signal.SIGTERM)
        if ended is not None and not await _first(ended.wait(), self._stop_within):
            child.signal(signal.SIGKILL)
            await ended.wait()
        told = child.until(lambda: child.process is not ended and child.tried())
        return await _first(told, START_SECONDS) and child.ready.is_set()

    async def _comes(self, child: Child) -> bool:
        """Wait for a worker that is being started anyway; say whether it serves."""
        return await _first(child.ready.wait(), START_SECONDS)


async def _first(happens: Awaitable[object], within: float) -> bool:
    """Wait until something happens; say whether it did in time."""
    try:
        await asyncio.wait_for(happens, within)
    except TimeoutError:
        return False
    return True


async def _stream(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"
