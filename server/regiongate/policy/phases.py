"""From which moment a rule observes, warns and enforces.

Pure: the time is always an argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Phase(StrEnum):
    """How far a rule has come."""

    OBSERVE = "observe"
    """Recorded only."""
    WARN = "warn"
    """Recorded, and the client is told."""
    ENFORCE = "enforce"
    """The rule does what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The moments at which a rule's phases begin; None leaves a phase out.

    A schedule without any moment is in force always. One with moments is absent before the first.
    """

    observe: datetime | None = None
    warn: datetime | None = None
    enforce: datetime | None = None

    def __post_init__(self) -> None:
        for phase, begin in self.phases():
            if begin.tzinfo is None:
                raise ValueError(f"expected {phase} to have an offset from UTC, or phases a zone")
            # Two local times of one zone would be compared by their clocks, not as moments.
            object.__setattr__(self, phase, begin.astimezone(UTC))
        begins = [begin for _, begin in self.phases()]
        if begins != sorted(begins):
            got = ", ".join(f"{phase} {begin.isoformat()}" for phase, begin in self.phases())
            raise ValueError(f"expected observe before warn before enforce (got {got})")

    def phases(self) -> Iterator[tuple[Phase, datetime]]:
        """Yield the phases there are, in their order, with the moments they begin."""
        for phase, begin in (
            (Phase.OBSERVE, self.observe),
            (Phase.WARN, self.warn),
            (Phase.ENFORCE, self.enforce),
        ):
            if begin is not None:
                yield phase, begin

    def phase(self, now: datetime) -> Phase | None:
        """Return the phase in force at a moment; None before the first."""
        current: Phase | None = None
        undated = True
        for phase, begin in self.phases():
            undated = False
            if now >= begin:
                current = phase
        return Phase.ENFORCE if undated else current

    def next_change(self, now: datetime) -> datetime | None:
        """Return the next moment at which another phase begins."""
        return next((begin for _, begin in self.phases() if begin > now), None)


ALWAYS = Schedule()
"""The schedule of a rule without dates."""
