"""The composition root: one process that serves, or a parent and a worker for each address.

Which of them this process is decides what is made here, and what is imported: a parent answers no
Check, and its workers show no pages. What each is composed of, it says itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from regiongate.printable import printable
from regiongate.runtime import config
from regiongate.runtime.config import Settings
from regiongate.runtime.heartbeat import heartbeat
from regiongate.runtime.parent import Post, end_with_parent
from regiongate.runtime.report import Report, Summary
from regiongate.runtime.supervisor import REPORT_SECONDS, STOP_MARGIN, Supervisor
from regiongate.runtime.upkeep import upkept
from regiongate.telemetry.metrics import Tally

_LOG = logging.getLogger(__name__)


def run(path: Path, arguments: Sequence[str] = ()) -> int:
    """Serve as regiongate.yaml says, until SIGTERM or SIGINT, and return the exit code.

    Args:
        path: of regiongate.yaml.
        arguments: of the command line that worker processes are to have too.

    Raises:
        DocumentError, LoadError: a file cannot be used.
        BindError: an address cannot be listened on.
    """
    settings = config.read(path)
    with ExitStack() as closing:
        if len(settings.listen.grpc) > 1:
            return _supervise(path, settings, arguments, closing)
        return _serve(path, settings, closing)


def work(path: Path, post: Post, report_to: int) -> None:
    """Be one of several workers, until SIGTERM or the end of the parent.

    Args:
        path: of regiongate.yaml.
        post: which worker, and where it listens.
        report_to: a descriptor that the parent reads from.

    Raises:
        DocumentError, LoadError: a file cannot be used.
        BindError: the address cannot be listened on.
    """
    from regiongate.runtime.worker import Worker  # noqa: PLC0415 half a second for a parent

    shutdown = config.read(path).shutdown
    end_with_parent((shutdown.notice + shutdown.grace).total_seconds() + STOP_MARGIN)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner, ExitStack() as closing:
        worker = Worker(path, post, closing)

        async def serve() -> None:
            with heartbeat(report_to, worker.report, REPORT_SECONDS) as now:
                await worker.serve(ready=now)

        runner.run(serve())


def _serve(path: Path, settings: Settings, closing: ExitStack) -> int:
    from regiongate.runtime.worker import Worker  # noqa: PLC0415 likewise

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        worker = Worker(path, None, closing)
        updates = Tally()
        shown = _admin(
            settings, lambda: Summary(reports=[worker.report()], before=updates), closing
        )

        async def serve() -> None:
            async with upkept(path, settings.geo, updates) as begin:
                await worker.serve(ready=lambda: _ready([worker.report()], shown, begin))

        runner.run(serve())
    return 0


def _supervise(path: Path, settings: Settings, arguments: Sequence[str], closing: ExitStack) -> int:
    async def supervise() -> int:
        supervisor = Supervisor(path, settings, arguments)
        ledger = supervisor.ledger
        updates = Tally()
        shown = _admin(settings, lambda: ledger.summary().including(updates), closing)
        async with upkept(path, settings.geo, updates) as begin:
            return await supervisor.run(
                ready=lambda: _ready(ledger.summary().reports, shown, begin)
            )

    return asyncio.run(supervise())


def _admin(settings: Settings, summary: Callable[[], Summary], closing: ExitStack) -> str:
    """Serve the admin address, where there is one, and return it as it is bound."""
    listen = settings.listen
    if listen.admin is None:
        return "off"
    from regiongate.runtime import admin  # noqa: PLC0415 nothing for workers

    pages = admin.pages(summary)
    return closing.enter_context(admin.served(listen.admin, pages, listen.socket_mode))


def _ready(reports: Sequence[Report], shown: str, begin: Callable[[], None]) -> None:
    """Say what is in force, and begin what has waited for it."""
    _announce(reports, shown)
    begin()


def _announce(reports: Sequence[Report], shown: str) -> None:
    """Say in a few lines what is in force."""
    info: Any = reports[0].info
    where = ", ".join(one.address for one in reports)
    engine = f"{info['engine']}{', compiled' if info['compiled'] else ''}"
    _LOG.info("serving on %s (engine %s)", where, engine)
    policy, keys = info["policy"], info["keys"]
    _LOG.info(
        "policy %s: policies: %d, rules: %d, digest %s",
        *(policy["file"], policy["policies"], policy["rules"], policy["digest"][:12]),
    )
    for one in info["databases"]:
        kind = printable(one["type"])
        _LOG.info("database %s: %s of %s", *(one["file"], kind, one["built"][:10]))
    # A store that is followed says its version once it has answered.
    version = f", version {keys['version'][:12]}" if keys["version"] else ""
    _LOG.info("keys %s%s", keys["store"], version)
    _LOG.info("admin %s, decision log %s, TLS %s", shown, info["decision_log"], info["tls"])


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 optional: not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
