"""What a worker tells of itself: whether it serves, with what, and what it has counted.

Plain values that go through a pipe as one line of JSON. The keys and the requests of clients are
no part of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from regiongate.doctor.observation import Observation, total
from regiongate.telemetry.metrics import RESTARTS, UP, Gauge, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One worker's word.

    Attributes:
        worker: its number, from 0.
        pid: of its process.
        address: where it listens, as it is bound.
        serving: whether it takes Checks; not any more once it is stopping.
        reloads: how many times it was told to reload, and has.
        problems: what an operator should look at, a sentence each; Checks are answered all the
            same.
        info: what is in force.
        gauges: as metrics.
        rehearsed: entries of geo.rehearsed: databases that need not be rehearsed again.
        tally: what it has counted since its start.
        wiring: how recent Checks were wired.
    """

    worker: int
    pid: int
    address: str
    serving: bool
    reloads: int = 0
    problems: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    gauges: tuple[Gauge, ...] = ()
    rehearsed: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)
    wiring: Observation = field(default_factory=Observation)

    def line(self) -> bytes:
        """Write it."""
        written = {name: getattr(self, name) for name in self.__dataclass_fields__}
        written["gauges"] = [(one.family, one.labels, one.value) for one in self.gauges]
        written["tally"] = self.tally.written()
        written["wiring"] = self.wiring.written()
        return orjson.dumps(written, option=orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def read(cls, line: bytes) -> Report:
        """Read what `line` has written, in this version or the next: a parent outlives workers."""
        known = cls.__dataclass_fields__
        written = {name: one for name, one in orjson.loads(line).items() if name in known}
        for name in ("problems", "rehearsed"):
            written[name] = tuple(written[name])
        written["gauges"] = tuple(
            Gauge(family, tuple(labels), value) for family, labels, value in written["gauges"]
        )
        written["tally"] = Tally.read(written["tally"])
        written["wiring"] = Observation.read(written["wiring"])
        return cls(**written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is known of all workers.

    Attributes:
        reports: the last of each that runs.
        missing: the workers that do not.
        before: what workers that have ended had counted.
    """

    reports: Sequence[Report]
    missing: Sequence[int] = ()
    before: Tally = field(default_factory=Tally)

    @property
    def ready(self) -> bool:
        """Whether Checks are answered at all."""
        return any(one.serving for one in self.reports)

    @property
    def problems(self) -> list[str]:
        """Name what an operator should look at, and in which worker."""
        told = [
            f"worker {one.worker}: {problem}" for one in self.reports for problem in one.problems
        ]
        idle = [f"worker {one.worker}: does not serve" for one in self.reports if not one.serving]
        return [*(f"worker {number}: is not running" for number in self.missing), *idle, *told]

    def including(self, counted: Tally) -> Summary:
        """Add what the process that is asked has counted itself."""
        before = Tally.read(self.before.written())
        before.include(Tally.read(counted.written()))
        return replace(self, before=before)

    def tally(self) -> Tally:
        """Add up everything that was counted."""
        total = Tally()
        for one in (self.before, *(report.tally for report in self.reports)):
            # A worker in this process goes on counting in its own meanwhile.
            total.include(Tally.read(one.written()))
        return total

    def wiring(self) -> Observation:
        """Add up how recent Checks were wired."""
        return total(one.wiring for one in self.reports)

    def gauges(self) -> list[Gauge]:
        """Return the gauges of all, and whether each is there."""
        up = [Gauge(UP.name, (str(one.worker),), float(one.serving)) for one in self.reports]
        down = [Gauge(UP.name, (str(number),), 0.0) for number in self.missing]
        told = [gauge for one in self.reports for gauge in one.gauges]
        # Once each: what all workers have in common, each of them tells.
        return list(dict.fromkeys([*up, *down, *told]))


class Ledger:
    """Keeps the last report of each worker, and what workers that have ended had counted.

    Args:
        workers: how many there are to be.
    """

    def __init__(self, workers: int) -> None:
        self._numbers = range(workers)
        self._reports: dict[int, Report] = {}
        self._before = Tally()
        for number in self._numbers:
            self._before.count(RESTARTS, (str(number),), 0)
        self._summary = self._made()

    def heard(self, report: Report) -> None:
        """Take note of a report."""
        self._reports[report.worker] = report
        self._summary = self._made()

    def ended(self, worker: int) -> None:
        """Take note of the end of a worker: its gauges go, its counts stay."""
        last = self._reports.pop(worker, None)
        before = Tally.read(self._before.written())
        if last is not None:
            before.include(last.tally)
        self._before = before
        self._summary = self._made()

    def restarted(self, worker: int) -> None:
        """Take note of a worker that had to be started again."""
        before = Tally.read(self._before.written())
        before.count(RESTARTS, (str(worker),))
        self._before = before
        self._summary = self._made()

    def summary(self) -> Summary:
        """Return what is known now; a value that never changes, for any thread."""
        return self._summary

    def _made(self) -> Summary:
        missing = [number for number in self._numbers if number not in self._reports]
        reports = [self._reports[number] for number in sorted(self._reports)]
        return Summary(reports=reports, missing=missing, before=self._before)
