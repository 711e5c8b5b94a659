"""Times things in turns, A B A B …, so that a machine whose speed drifts treats them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

ROUNDS = 15
"""How often each thing takes its turn; one more round before them warms up and is not counted."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What the turns of one thing took.

    Attributes:
        turns: seconds for one call, a figure for each turn.
    """

    turns: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle turn's seconds for one call."""
        return statistics.median(self.turns)

    def ratio(self, floor: Timing) -> tuple[float, float, float]:
        """Return the least, the middle and the largest ratio to another thing, turn by turn."""
        ratios = sorted(a / b for a, b in zip(self.turns, floor.turns, strict=True))
        return ratios[0], statistics.median(ratios), ratios[-1]


def in_turns(things: Mapping[str, Callable[[], object]], *, calls: int) -> dict[str, Timing]:
    """Time things in turns.

    Args:
        things: by name; each is one call.
        calls: in one turn.
    """
    turns: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(ROUNDS + 1):
        for name, call in things.items():
            started = time.perf_counter()
            for _ in range(calls):
                call()
            turns[name].append((time.perf_counter() - started) / calls)
    return {name: Timing(tuple(figures[1:])) for name, figures in turns.items()}
