"""One process that answers Checks: what it is composed of, and its life from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from regiongate import __version__
from regiongate.extauthz.service import Authorization, Event, Metadata
from regiongate.keys.cache import CachedStore, Counts
from regiongate.runtime import config, engines, tls
from regiongate.runtime.background import kept_running
from regiongate.runtime.files import LoadError
from regiongate.runtime.limits import Calls
from regiongate.runtime.report import Report
from regiongate.runtime.state import State
from regiongate.telemetry import metrics, privacy
from regiongate.telemetry.decision_log import STDOUT, DecisionLog
from regiongate.telemetry.metrics import Gauge, Labels, Metrics, Tally

if TYPE_CHECKING:
    from regiongate.telemetry.tracing import Tracing

POLL_SECONDS: Final = 0.4
"""How often files are looked at; a change counts when it has held still for one such time."""

FLUSH_SECONDS: Final = 0.05
"""How long the last answers may take from the handler to the wire."""

_KEY_COUNTS: Final[Mapping[str, tuple[metrics.Family, Labels]]] = {
    "hits": (metrics.KEY_CACHE, ("hit",)),
    "lookups": (metrics.KEY_CACHE, ("miss",)),
    "stale": (metrics.KEY_CACHE, ("stale",)),
    "refused": (metrics.KEY_CACHE, ("refused",)),
    "failures": (metrics.KEY_STORE_ERRORS, ()),
}
"""Where each of a key store's counts goes."""

_LOG: Final = logging.getLogger(__name__)

Observer = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Post:
    """Which worker a process is, and where it listens."""

    worker: int
    address: str


class Worker:
    """Answers Checks at one address.

    Args:
        path: of regiongate.yaml.
        post: which worker this is; None for the only one, at the only address.
        closing: is given what has to be closed when the worker has stopped.

    Raises:
        DocumentError, LoadError: a file cannot be used, the decision log's among them.
        EngineError: the engine that is asked for is not installed, or tracing is not.
    """

    def __init__(self, path: Path, post: Post | None, closing: ExitStack) -> None:
        self._tally = Tally()
        self._state = State(path, self._reloaded)
        self._settings = settings = self._state.configured.settings
        self._post = post or Post(0, settings.listen.grpc[0])
        self._log = self._decision_log(path.parent, closing)
        self._engine = engines.choose(settings.engine, tls=settings.tls is not None)
        self._reloads = 0
        self._serving = False
        self._store: CachedStore | None = None
        self._counted = Counts()
        self._calls = self._composed(closing)
        self._server = engines.Server(
            self._engine,
            self._calls.check,
            tls.credentials(settings.tls, path.parent),
            streams=settings.limits.streams,
            socket_mode=settings.listen.socket_mode,
        )

    async def serve(self, ready: Callable[[], None]) -> None:
        """Answer Checks until SIGTERM or SIGINT; SIGHUP reloads every file.

        Args:
            ready: is called once Checks are answered.

        Raises:
            BindError: the address cannot be listened on.
        """
        stop = asyncio.Event()
        self._listen_to_signals(stop)
        async with kept_running(self._state.background):
            (bound,) = await self._server.start([self._post.address])
            self._post = Post(self._post.worker, bound)
            self._count_keys()
            polling = asyncio.create_task(self._poll())
            self._serving = True
            ready()
            await stop.wait()
            polling.cancel()
            await self._stop()

    def report(self) -> Report:
        """Tell of this worker; may be called from any thread."""
        self._count_log()
        self._count_keys()
        return Report(
            worker=self._post.worker,
            pid=os.getpid(),
            address=self._post.address,
            serving=self._serving,
            reloads=self._reloads,
            problems=tuple(self._problems()),
            info=self._info(),
            gauges=tuple(self._gauges()),
            tally=self._tally,
        )

    async def _stop(self) -> None:
        shutdown = self._settings.shutdown
        _LOG.info("stopping: health says NOT_SERVING, then calls under way are finished")
        self._serving = False
        await self._server.leave()
        await asyncio.sleep(shutdown.notice.total_seconds())
        # The native engine closes connections once handlers have returned, and the last answers
        # may still be on their way.
        deadline = time.monotonic() + shutdown.grace.total_seconds()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._calls.idle(), shutdown.grace.total_seconds())
        await asyncio.sleep(FLUSH_SECONDS)
        await self._server.stop(max(0.0, deadline - time.monotonic()))

    # ------------------------------------------------------------------------- composition

    def _decision_log(self, base: Path, closing: ExitStack) -> DecisionLog | None:
        written = self._settings.decision_log
        if written is None:
            return None
        secret = b""
        if written.hmac_key_file is not None:
            secret = config.text(base / written.hmac_key_file).strip().encode()
            if len(secret) < privacy.SECRET_BYTES:
                expected = f"expected at least {privacy.SECRET_BYTES} bytes (got {len(secret)})"
                raise LoadError([f"{base / written.hmac_key_file}: {expected}"])
        path = None if written.path == STDOUT else base / written.path
        address = privacy.chosen(written.address, secret)
        try:
            log = DecisionLog(path, written.sample_allowed, address)
        except OSError as error:
            raise LoadError(
                [f"{path}: expected a file that can be written ({error.strerror})"]
            ) from None
        closing.callback(log.close)
        return log

    def _composed(self, closing: ExitStack) -> Calls:
        settings, snapshot = self._settings, self._state.snapshot
        counted = Metrics(self._tally, countries=settings.metrics.countries)
        observers = [counted.record, self._state.strike]
        observers += [self._log.write] if self._log else []
        received: Callable[[Metadata], None] | None = None
        if settings.tracing is not None:
            tracing = _tracing(settings.tracing)
            closing.callback(tracing.close)
            observers.append(tracing.record)
            received = tracing.begin
        record = _each(observers)
        return Calls(
            Authorization(snapshot, record),
            snapshot,
            record,
            self._tally,
            limit=settings.limits.calls,
            callers=settings.tls.clients if settings.tls else None,
            received=received,
        )

    # ----------------------------------------------------------------------------- reloads

    def _listen_to_signals(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        reloading = set[asyncio.Future[None]]()

        def reload() -> None:
            if self._log is not None:
                self._log.reopen()
            # One that waits for another to end reloads what is there then.
            if len(reloading) > 1:
                return
            # Kept in the set while it runs: the loop itself holds no more than a weak reference.
            task = loop.run_in_executor(None, self._reload)
            reloading.add(task)
            task.add_done_callback(reloading.discard)

        loop.add_signal_handler(signal.SIGHUP, reload)
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, stop.set)

    def _reload(self) -> None:
        self._state.reload()
        self._reloads += 1

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await asyncio.to_thread(self._state.poll)

    def _reloaded(self, part: str, done: bool) -> None:  # noqa: FBT001 a port of two words
        self._tally.count(metrics.RELOADS, (part, "taken" if done else "refused"))

    # ---------------------------------------------------------------------------- the word

    def _problems(self) -> Iterator[str]:
        for part, problem in self._state.problems.items():
            if problem:
                yield f"the last reload of the {part} failed: {problem}"
        if self._stale():
            built = self._state.configured.databases.value.country.built
            use = self._state.configured.settings.geo.on_stale
            yield f"the country database is of {built:%Y-%m-%d}, older than geo.max_age ({use})"
        if self._log is not None and self._log.failing:
            yield "the decision log cannot be written"

    def _stale(self) -> bool:
        configured = self._state.configured
        allowed = configured.settings.geo.max_age
        built = configured.databases.value.country.built
        return allowed is not None and datetime.now(UTC) - built > allowed

    def _info(self) -> Mapping[str, Any]:
        configured, settings = self._state.configured, self._settings
        policies, known = configured.policies.value, configured.keys.value
        country = configured.databases.value.country
        log = settings.decision_log
        return {
            "version": __version__,
            "engine": self._engine,
            "tls": "off" if not settings.tls else "mutual" if settings.tls.client_ca else "on",
            "policy": {
                "file": configured.settings.policy,
                "digest": policies.digest,
                "policies": len(policies.policies),
                "rules": sum(len(one.rules) for one in policies.policies.values()),
            },
            "database": {
                "file": country.path.name,
                "type": country.type,
                "built": country.built.isoformat(),
            },
            # Without its address, where a password may stand.
            "keys": {
                "store": (configured.settings.keys.store or "none").partition(":")[0],
                "version": known.store.version,
            },
            "decision_log": log.path if log else "off",
        }

    def _gauges(self) -> Iterator[Gauge]:
        def gauge(family: metrics.Family, value: float, *labels: str) -> Gauge:
            return Gauge(family.name, (str(self._post.worker), *labels), value)

        configured = self._state.configured
        country = configured.databases.value.country
        yield Gauge(metrics.BUILD.name, (__version__, _python(), self._engine), 1)
        yield gauge(metrics.IN_FLIGHT, self._calls.in_flight)
        yield gauge(metrics.POLICY, 1, configured.policies.value.digest)
        yield gauge(metrics.DATABASE_BUILT, country.built.timestamp(), country.type)
        yield gauge(metrics.STALE, self._stale())
        for part, problem in self._state.problems.items():
            yield gauge(metrics.FAILING, bool(problem), part)
        if self._log is not None:
            yield gauge(metrics.QUEUED, self._log.queued)
        yield from (gauge(family, value) for family, value in _usage())

    def _count_keys(self) -> None:
        """Copy what the key store's memory has counted, on top of what earlier ones had."""
        store = self._state.configured.keys.value.store
        if not isinstance(store, CachedStore):
            return
        before, self._counted = self._counted, replace(store.counts)
        if store is not self._store:
            self._store, before = store, Counts()
            store.took = self._looked_up
        for name, (family, labels) in _KEY_COUNTS.items():
            new = getattr(self._counted, name) - getattr(before, name)
            self._tally.count(family, labels, new)

    def _looked_up(self, seconds: float) -> None:
        self._tally.observe(metrics.KEY_STORE_DURATION, seconds)

    def _count_log(self) -> None:
        """Copy what the log has counted; it counts in its own thread."""
        if self._log is None:
            return
        rows = self._tally.family(metrics.LOG_LINES)
        rows["written",] = [self._log.written]
        rows["dropped",] = [self._log.dropped]
        rows["sampled",] = [self._log.sampled_out]


def _each(observers: Sequence[Observer]) -> Observer:
    """Return what tells every observer."""

    def tell(event: Event) -> None:
        for observer in observers:
            observer(event)

    return tell


def _tracing(written: config.Tracing) -> Tracing:
    try:
        from regiongate.telemetry.tracing import Tracing  # noqa: PLC0415 an extra
    except ImportError as error:
        raise engines.EngineError(
            f"tracing: expected the otel extra to be installed ({error})"
        ) from None
    return Tracing(written.endpoint, written.sample)


def _python() -> str:
    return platform.python_version()


def _usage() -> Iterator[tuple[metrics.Family, float]]:
    """Measure the process, where the system tells."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        yield metrics.MEMORY, pages * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError):
        yield metrics.FILES, sum(1 for _ in Path("/proc/self/fd").iterdir())
