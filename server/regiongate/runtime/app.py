"""The composition root: makes everything, serves until it is told to stop, and stops in order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from grpc import aio

from regiongate.extauthz.service import Authorization, Event
from regiongate.runtime import engines, tls
from regiongate.runtime.config import Settings
from regiongate.runtime.state import State
from regiongate.telemetry.decision_log import STDOUT, DecisionLog

POLL_SECONDS: Final = 0.4
"""How often files are looked at; a change counts when it has held still for one such time."""

_LOG: Final = logging.getLogger(__name__)


def run(path: Path, ready: Callable[[str], None]) -> None:
    """Serve as regiongate.yaml says, until SIGTERM or SIGINT.

    Args:
        path: of regiongate.yaml.
        ready: is told in one line when Checks are answered.

    Raises:
        DocumentError, LoadError: a file cannot be used.
        BindError: an address cannot be listened on.
    """
    state = State(path)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner, ExitStack() as closing:
        log = _decision_log(state.configured.settings, path.parent)
        if log is not None:
            closing.callback(log.close)
        runner.run(_serve(state, path.parent, log, ready))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 optional: not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def _decision_log(settings: Settings, base: Path) -> DecisionLog | None:
    written = settings.decision_log
    if written is None:
        return None
    path = None if written.path == STDOUT else base / written.path
    return DecisionLog(path, written.sample_allowed)


async def _serve(
    state: State, base: Path, log: DecisionLog | None, ready: Callable[[str], None]
) -> None:
    settings = state.configured.settings
    engine = engines.choose(settings.engine, tls=settings.tls is not None)
    authorization = Authorization(state.snapshot, log.write if log else _unrecorded)
    server = engines.Server(engine, _handler(authorization), tls.credentials(settings.tls, base))
    stop = asyncio.Event()
    _listen_to_signals(stop, state, log)
    bound = await server.start(settings.listen.grpc)
    polling = asyncio.create_task(_poll(state))
    ready(f"serving on {', '.join(bound)} (engine {engine})")
    await stop.wait()
    _LOG.info("stopping: health says NOT_SERVING, then calls under way are finished")
    polling.cancel()
    await server.leave()
    await asyncio.sleep(settings.shutdown.notice.total_seconds())
    await server.stop(settings.shutdown.grace.total_seconds())


def _handler(authorization: Authorization) -> engines.Handler:
    async def check(data: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
        return await authorization.check(data, context.invocation_metadata() or ())

    return check


def _unrecorded(_: Event) -> None:
    """Take no note of a decision: no log is configured."""


def _listen_to_signals(stop: asyncio.Event, state: State, log: DecisionLog | None) -> None:
    loop = asyncio.get_running_loop()
    reloading = set[asyncio.Future[None]]()

    def reload() -> None:
        if log is not None:
            log.reopen()
        # Kept in the set while it runs: the loop itself holds no more than a weak reference.
        task = loop.run_in_executor(None, state.reload)
        reloading.add(task)
        task.add_done_callback(reloading.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, stop.set)


async def _poll(state: State) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        await asyncio.to_thread(state.poll)
