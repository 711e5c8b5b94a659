"""One process that answers Checks: what it is composed of, and its life from start to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import platform
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from regiongate import __version__
from regiongate.documents import DocumentError
from regiongate.extauthz.service import Authorization, Event
from regiongate.geo import rehearsed
from regiongate.keys.cache import CachedStore, Counts
from regiongate.runtime import config, engines, needs, tls, usage
from regiongate.runtime.background import kept_running
from regiongate.runtime.compiled import is_compiled
from regiongate.runtime.files import Part
from regiongate.runtime.limits import Calls
from regiongate.runtime.parent import Post
from regiongate.runtime.report import Report
from regiongate.runtime.state import State
from regiongate.telemetry import metrics, privacy
from regiongate.telemetry.decision_log import STDOUT, DecisionLog
from regiongate.telemetry.metrics import Gauge, Labels, Metrics, Tally
from regiongate.telemetry.wiring import Wiring

if TYPE_CHECKING:
    from regiongate.telemetry.tracing import Tracing

POLL_SECONDS: Final = 0.4
"""How often files are looked at; a change counts when it has held still for one such time."""

LOG_SECONDS: Final = 4.0
"""How long the decision log may take for its last lines, at most; less than a parent waits."""

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
class Polling:
    """Takes over files that change."""

    state: State

    async def run(self) -> None:
        """Look at them again and again."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await asyncio.to_thread(self.state.poll)


class Worker:
    """Answers Checks at one address.

    Args:
        path: of regiongate.yaml.
        post: which worker this is; None for the only one, at the only address.
        closing: is given what has to be closed when the worker has stopped.

    Raises:
        DocumentError, LoadError: a file cannot be used, the decision log's among them.
    """

    def __init__(self, path: Path, post: Post | None, closing: ExitStack) -> None:
        self._tally = Tally()
        self._state = State(path, self._reloaded, post.settings if post else "")
        self._settings = settings = self._state.configured.settings
        self._certificates = self._watched_certificates(path)
        if doubt := self._doubt():
            _LOG.warning("%s", doubt)
        self._post = post or Post(0, settings.listen.grpc[0])
        show, shown = self._address_privacy(path)
        self._log = self._decision_log(path, show, closing)
        self._wiring = Wiring(show, shown)
        self._engine = engines.choose(settings.engine, tls=settings.tls is not None)
        self._reloads = 0
        self._serving = False
        self._store: CachedStore | None = None
        self._counted = Counts()
        self._counting = threading.Lock()
        self._calls = self._composed(closing)
        self._server = engines.Server(
            self._engine,
            self._calls.check,
            tls.credentials(self._certificates) if self._certificates else None,
            streams=settings.limits.streams,
            socket_mode=settings.listen.socket_mode,
        )

    @property
    def calls(self) -> Calls:
        """What answers calls: all of a Check's way but the engine."""
        return self._calls

    async def serve(self, ready: Callable[[], None]) -> None:
        """Answer Checks until SIGTERM or SIGINT; SIGHUP reloads every file.

        Args:
            ready: is called once Checks are answered.

        Raises:
            BindError: the address cannot be listened on.
        """
        stop = asyncio.Event()
        self._listen_to_signals(stop)
        polling = Polling(self._state)
        async with kept_running(lambda: (polling, *self._state.background())):
            (bound,) = await self._server.start([self._post.address])
            self._post = Post(self._post.worker, bound)
            self._count_keys()
            # What is there now stays: a search for garbage need not go through it again and again.
            # How much garbage may gather is a share of what such a search goes through.
            gc.freeze()
            self._serving = True
            ready()
            await stop.wait()
            await self._stop()

    def report(self) -> Report:
        """Tell of this worker; may be called from any thread."""
        with self._counting:
            self._count_log()
            self._count_keys()
            self._count_undecodable()
            self._tally.family(metrics.LIMITED)["expired",] = [self._server.expired]
        return Report(
            worker=self._post.worker,
            pid=os.getpid(),
            address=self._post.address,
            serving=self._serving,
            reloads=self._reloads,
            problems=tuple(self._problems()),
            info=self._info(),
            gauges=tuple(self._gauges()),
            rehearsed=tuple(self._rehearsed()),
            tally=self._tally,
            wiring=self._wiring.observation(
                self._state.configured.settings.client_address.source,
                self._state.snapshot().address,
            ),
        )

    async def _stop(self) -> None:
        shutdown = self._settings.shutdown
        _LOG.info("stopping: health says NOT_SERVING, then calls under way are finished")
        self._serving = False
        await self._server.leave()
        await asyncio.sleep(shutdown.notice.total_seconds())
        await self._server.stop(shutdown.grace.total_seconds())

    # ------------------------------------------------------------------------- composition

    def _watched_certificates(self, path: Path) -> Part[tls.Loaded] | None:
        """Return the certificates, which are renewed like every other file; None for plaintext."""
        if self._settings.tls is None:
            return None
        part = tls.certificates(self._settings.tls, path, self._reloaded)
        self._state.watch(part)
        return part

    def _doubt(self) -> str:
        """Say what clients have against the certificate in force, or will have soon."""
        if self._certificates is None:
            return ""
        doubt = self._certificates.value.doubt(datetime.now(UTC))
        return f"the certificate in force: {doubt}" if doubt else ""

    def _address_privacy(self, path: Path) -> tuple[privacy.Privacy, str]:
        """Return how much of addresses is shown, and what that is called.

        Who keeps no decision log has not asked for addresses to be kept.
        """
        written = self._settings.decision_log
        if written is None:
            return privacy.truncated, "truncated"
        return privacy.chosen(written.address, needs.secret(path, written)), written.address

    def _decision_log(
        self, path: Path, address: privacy.Privacy, closing: ExitStack
    ) -> DecisionLog | None:
        written = self._settings.decision_log
        if written is None:
            return None
        file = None if written.path == STDOUT else path.parent / written.path
        try:
            log = DecisionLog(file, written.sample_allowed, address)
        except OSError as error:
            raise DocumentError([needs.unwritable(path, written, error)]) from None
        closing.callback(log.close, min(LOG_SECONDS, self._settings.shutdown.grace.total_seconds()))
        return log

    def _composed(self, closing: ExitStack) -> Calls:
        settings, snapshot = self._settings, self._state.snapshot
        counted = Metrics(self._tally, countries=settings.metrics.countries)
        observers = [counted.record, self._state.strike, self._wiring.record]
        observers += [self._log.write] if self._log else []
        if settings.tracing is not None:
            tracing = _tracing(settings.tracing)
            closing.callback(tracing.close)
            observers.append(tracing.record)
        record = _each(observers)
        return Calls(
            Authorization(snapshot, record).check,
            snapshot,
            record,
            self._tally,
            limit=settings.limits.calls,
            callers=settings.tls.clients if settings.tls else None,
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
        # Whoever sends this to a whole group, or to a process that has no parent, ends nothing.
        loop.add_signal_handler(
            signal.SIGUSR2, _LOG.warning, "SIGUSR2 is for the parent of several workers: ignored"
        )
        loop.add_signal_handler(signal.SIGUSR1, _LOG.warning, "SIGUSR1 means nothing: ignored")
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, stop.set)

    def _reload(self) -> None:
        self._state.reload()
        self._reloads += 1

    def _reloaded(self, part: str, done: bool) -> None:  # noqa: FBT001 a port of two words
        self._tally.count(metrics.RELOADS, (part, "taken" if done else "refused"))

    # ---------------------------------------------------------------------------- the word

    def _problems(self) -> Iterator[str]:
        for part, problem in self._state.problems.items():
            if problem:
                yield f"the last reload of the {part} failed: {problem}"
        if doubt := self._doubt():
            yield doubt
        databases = self._state.configured.databases
        if databases.stale:
            oldest = min(databases.country, key=lambda one: one.built)
            use = self._state.configured.settings.geo.on_stale
            yield (
                f"the country database {oldest.path.name} is of {oldest.built:%Y-%m-%d}, "
                f"older than geo.max_age ({use})"
            )
        store = self._state.configured.keys.value.store
        if isinstance(store, CachedStore) and store.is_away:
            yield f"the key store is away: {store.outage}"
        if changed := self._state.need_restart:
            yield f"changes under {', '.join(changed)} need a restart"
        if self._log is not None and self._log.failing:
            yield "the decision log cannot be written"
        if scarce := usage.problem():
            yield scarce

    def _info(self) -> Mapping[str, Any]:
        configured, settings = self._state.configured, self._settings
        policies, known = configured.policies.value, configured.keys.value
        log = settings.decision_log
        return {
            "version": __version__,
            "engine": self._engine,
            "compiled": is_compiled(),
            "tls": "off" if not settings.tls else "mutual" if settings.tls.client_ca else "on",
            "policy": {
                "file": configured.settings.policy,
                "digest": policies.digest,
                "policies": len(policies.policies),
                "rules": sum(len(one.rules) for one in policies.policies.values()),
            },
            "databases": [one.told() for one in configured.databases.in_use],
            # Without its address, where a password may stand.
            "keys": {
                "store": (configured.settings.keys.store or "none").partition(":")[0],
                "version": known.store.version,
            },
            "decision_log": log.path if log else "off",
        }

    def _rehearsed(self) -> Iterator[str]:
        for one in self._state.configured.databases.in_use:
            if one.database.reader == "c":
                yield rehearsed.entry(one.database.digest)

    def _gauges(self) -> Iterator[Gauge]:
        def gauge(family: metrics.Family, value: float, *labels: str) -> Gauge:
            return Gauge(family.name, (str(self._post.worker), *labels), value)

        configured = self._state.configured
        yield Gauge(metrics.BUILD.name, (__version__, _python(), self._engine), 1)
        yield gauge(metrics.IN_FLIGHT, self._calls.in_flight)
        yield gauge(metrics.POLICY, 1, configured.policies.value.digest)
        for one in configured.databases.in_use:
            labels = one.place.role, one.place.name
            built = one.database.built.timestamp()
            yield gauge(metrics.DATABASE_BUILT, built, *labels, one.database.type)
            for objection in one.objections:
                yield gauge(metrics.DATABASE_REFUSED, 1, *labels, objection)
        yield gauge(metrics.STALE, configured.databases.stale)
        if self._certificates and (period := self._certificates.value.period):
            yield gauge(metrics.CERTIFICATE_ENDS, period.ends.timestamp())
        for part, problem in self._state.problems.items():
            yield gauge(metrics.FAILING, bool(problem), part)
        if self._log is not None:
            yield gauge(metrics.QUEUED, self._log.queued)
        yield from (gauge(family, value) for family, value in usage.measured())

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

    def _count_undecodable(self) -> None:
        """Copy what the databases have counted; a counter never goes back."""
        row = self._tally.family(metrics.UNDECODABLE).setdefault((), [0.0])
        row[0] = max(row[0], self._state.configured.databases.undecodable)

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
            try:
                observer(event)
            except Exception:  # noqa: BLE001 an answer is not held up, nor are the other observers
                _LOG.exception("a Check could not be recorded")

    return tell


def _tracing(written: config.Tracing) -> Tracing:
    from regiongate.telemetry.tracing import Tracing  # noqa: PLC0415 an extra

    return Tracing(written.endpoint, written.sample)


def _python() -> str:
    return platform.python_version()
