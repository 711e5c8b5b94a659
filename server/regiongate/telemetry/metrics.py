"""Counts of what is decided, kept where Checks are answered and added up where they are read.

A worker counts in a `Tally`, a plain value: one look-up in a dictionary for each count, no lock, no
text. Tallies of several workers, and of those that have ended, are added. Nothing here knows how a
tally gets from one process to another, nor what is made of the sum.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from regiongate.extauthz.service import Event
from regiongate.policy.decide import Verdict

Labels = tuple[str, ...]
Row = list[float]
"""Of a counter its value; of a histogram the count of each bucket, then the sum."""

BUCKETS: Final = tuple(
    digit * scale for scale in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1) for digit in (1, 2.5, 5)
)
"""Upper bounds in seconds: from ten microseconds to half a second; Envoy waits for a quarter."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: what it is called, what it means, and what tells its rows apart."""

    name: str
    help: str
    labels: Labels = ()


DECISIONS: Final = Family(
    "regiongate_decisions",
    "Checks answered.",
    ("policy", "rule", "reason", "verdict", "policy_verdict"),
)
DURATION: Final = Family(
    "regiongate_check_duration_seconds", "Time from the bytes of a Check to those of its answer."
)
COUNTRIES: Final = Family(
    "regiongate_decisions_by_country",
    "Checks answered, by the country of the client; empty where it is not known.",
    ("country", "verdict"),
)
SUSPENDED: Final = Family(
    "regiongate_suspended_key_denials", "Denials of suspended keys.", ("policy", "rule")
)
EXEMPT: Final = Family(
    "regiongate_exemption_passes",
    "Requests that an exemption let through, by the rule it lifted.",
    ("policy", "rule"),
)
CONDITIONS: Final = Family(
    "regiongate_condition_failures",
    "Conditions that failed while they were evaluated.",
    ("policy", "rule"),
)
LIMITED: Final = Family("regiongate_limited_checks", "Checks that were not judged.", ("limit",))
LOG_LINES: Final = Family(
    "regiongate_decision_log_lines",
    "Decisions by what became of them: written, dropped, or left out by sampling.",
    ("result",),
)
RELOADS: Final = Family(
    "regiongate_reloads", "Files taken over, or refused, since the start.", ("part", "result")
)
UPDATES: Final = Family(
    "regiongate_database_updates",
    "Attempts at a newer database: updated, current or failed.",
    ("file", "result"),
)
UNDECODABLE: Final = Family(
    "regiongate_database_undecodable_lookups",
    "Look-ups that met a record that cannot be decoded, and took it for absent.",
)
RESTARTS: Final = Family(
    "regiongate_worker_restarts", "Times a worker was started again.", ("worker",)
)
KEY_CACHE: Final = Family(
    "regiongate_key_cache_lookups", "Look-ups of keys, by what the cache had.", ("result",)
)
KEY_STORE_ERRORS: Final = Family(
    "regiongate_key_store_errors",
    "Look-ups that the store failed, and times that it was found to be away.",
)
KEY_STORE_DURATION: Final = Family(
    "regiongate_key_store_duration_seconds", "Time that the store took to look a key up."
)
COUNTERS: Final = (
    DECISIONS,
    COUNTRIES,
    SUSPENDED,
    EXEMPT,
    CONDITIONS,
    LIMITED,
    LOG_LINES,
    RELOADS,
    UPDATES,
    UNDECODABLE,
    RESTARTS,
    KEY_CACHE,
    KEY_STORE_ERRORS,
)
HISTOGRAMS: Final = (DURATION, KEY_STORE_DURATION)

BUILD: Final = Family(
    "regiongate_build_info", "What is running; always 1.", ("version", "python", "engine")
)
UP: Final = Family("regiongate_worker_up", "Whether a worker answers Checks.", ("worker",))
IN_FLIGHT: Final = Family(
    "regiongate_checks_in_flight", "Checks that wait for the key store.", ("worker",)
)
POLICY: Final = Family(
    "regiongate_policy_info", "The policy in force in a worker; always 1.", ("worker", "digest")
)
DATABASE_BUILT: Final = Family(
    "regiongate_database_built_timestamp_seconds",
    "When a database in use was built.",
    ("worker", "role", "file", "type"),
)
DATABASE_REFUSED: Final = Family(
    "regiongate_database_refused",
    "What is held against the file that is there now, so that an older one is in use; always 1.",
    ("worker", "role", "file", "objection"),
)
FAILING: Final = Family(
    "regiongate_reload_failing",
    "Whether the last reload of a part failed, so that an older one is in force.",
    ("worker", "part"),
)
STALE: Final = Family(
    "regiongate_database_stale",
    "Whether a database of countries is older than geo.max_age allows.",
    ("worker",),
)
CERTIFICATE_ENDS: Final = Family(
    "regiongate_certificate_ends_timestamp_seconds",
    "When the certificate in force ends to be valid.",
    ("worker",),
)
QUEUED: Final = Family(
    "regiongate_decision_log_queued", "Decisions that wait to be written.", ("worker",)
)
MEMORY: Final = Family(
    "regiongate_worker_resident_memory_bytes", "Resident memory of a worker.", ("worker",)
)
FILES: Final = Family("regiongate_worker_open_files", "File descriptors in use.", ("worker",))
GAUGES: Final = (
    BUILD,
    UP,
    IN_FLIGHT,
    POLICY,
    DATABASE_BUILT,
    DATABASE_REFUSED,
    FAILING,
    STALE,
    CERTIFICATE_ENDS,
    QUEUED,
    MEMORY,
    FILES,
)


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted: for each family, by the values of its labels, a row."""

    rows: dict[str, dict[Labels, Row]] = field(default_factory=dict)

    def family(self, family: Family) -> dict[Labels, Row]:
        """Return the rows of a family, to count in."""
        return self.rows.setdefault(family.name, {})

    def count(self, family: Family, labels: Labels = (), by: float = 1) -> None:
        """Add to a counter."""
        add(self.family(family), labels, by)

    def observe(self, family: Family, seconds: float, labels: Labels = ()) -> None:
        """Add to a histogram."""
        observe(self.family(family), labels, seconds)

    def include(self, other: Tally) -> None:
        """Add another tally to this one."""
        for name, rows in other.rows.items():
            into = self.rows.setdefault(name, {})
            for labels, row in rows.items():
                have = into.get(labels, [0.0] * len(row))
                into[labels] = [mine + theirs for mine, theirs in zip(have, row, strict=True)]

    def written(self) -> dict[str, list[tuple[Labels, Row]]]:
        """Return a copy in a form that JSON has; may be called while another thread counts."""
        return {
            name: [(labels, list(row)) for labels, row in rows.copy().items()]
            for name, rows in self.rows.copy().items()
        }

    @classmethod
    def read(cls, written: Mapping[str, Iterable[Sequence[Any]]]) -> Tally:
        """Return the tally that was written; JSON makes lists of tuples."""
        return cls(
            {
                name: {tuple(labels): list(row) for labels, row in rows}
                for name, rows in written.items()
            }
        )


def add(rows: dict[Labels, Row], labels: Labels, by: float = 1) -> None:
    """Add to a row of a counter."""
    row = rows.get(labels)
    if row is None:
        rows[labels] = [by]
    else:
        row[0] += by


def observe(rows: dict[Labels, Row], labels: Labels, seconds: float) -> None:
    """Add to a row of a histogram."""
    row = rows.get(labels)
    if row is None:
        row = rows[labels] = [0.0] * (len(BUCKETS) + 2)
    row[bisect_left(BUCKETS, seconds)] += 1
    row[-1] += seconds


class Metrics:
    """Counts events.

    Args:
        tally: what they are counted in.
        countries: whether also by country: up to 250 times 3 rows.
    """

    def __init__(self, tally: Tally, *, countries: bool = False) -> None:
        self._tally = tally
        self._countries = tally.family(COUNTRIES) if countries else None
        self._decisions = tally.family(DECISIONS)
        self._durations = tally.family(DURATION)
        # There from the start, so that a rate can be told of the first.
        self._durations[()] = [0.0] * (len(BUCKETS) + 2)

    def record(self, event: Event) -> None:
        """Count an answered Check."""
        told = event.told
        labels = (told.policy, told.rule, told.reason, told.outcome, told.policy_verdict)
        if told.policy not in event.call.snapshot.policies.policies:
            # Whoever may call the service could otherwise make as many rows as it can make names.
            labels = ("", *labels[1:])
        add(self._decisions, labels)
        observe(self._durations, (), event.seconds)
        if self._countries is not None:
            add(self._countries, (told.country, told.outcome))
        if told.reason == "exempt" and told.outcome == Verdict.ALLOW:
            self._tally.count(EXEMPT, labels[:2])
        judged = event.judged
        if judged is None:
            return
        if told.outcome != Verdict.ALLOW and judged.key.status == "suspended":
            self._tally.count(SUSPENDED, (labels[0], told.rule))
        for rule, _ in judged.decision.failures:
            self._tally.count(CONDITIONS, (labels[0], rule))


@dataclass(frozen=True, slots=True)
class Gauge:
    """What something is now."""

    family: str
    labels: Labels
    value: float


def exported() -> dict[str, Any]:
    """Name every sample that may be exported, with the labels it has."""
    names = {f"{one.name}_total": one.labels for one in COUNTERS}
    names |= {one.name: one.labels for one in GAUGES}
    for one in HISTOGRAMS:
        names |= {f"{one.name}_bucket": (*one.labels, "le")}
        names |= {f"{one.name}_{end}": one.labels for end in ("sum", "count")}
    return names
