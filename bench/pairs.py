"""Times things in turns, A B A B …, so that a machine whose speed drifts treats them alike."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

ROUNDS = 15
"""How often each thing takes its turn; one more round before them warms up and is not counted."""


@dataclass(frozen=True, slots=True)
class Turns:
    """What was measured of one thing, a figure for each of its turns.

    Attributes:
        figures: seconds for one call, or whatever else was measured.
    """

    figures: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle turn's figure."""
        return statistics.median(self.figures)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the largest figure."""
        return min(self.figures), max(self.figures)

    def ratio(self, floor: Turns) -> tuple[float, float, float]:
        """Return the least, the middle and the largest ratio to another thing, turn by turn."""
        ratios = sorted(a / b for a, b in zip(self.figures, floor.figures, strict=True))
        return ratios[0], statistics.median(ratios), ratios[-1]


def taking_turns(
    things: Mapping[str, Callable[[], float]], *, rounds: int = ROUNDS
) -> dict[str, Turns]:
    """Measure things in turns.

    Args:
        things: by name; each takes one turn and returns its figure.
        rounds: how many turns each has, after one that warms up.
    """
    figures: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(rounds + 1):
        for name, measure in things.items():
            figures[name].append(measure())
    return {name: Turns(tuple(found[1:])) for name, found in figures.items()}


def in_turns(things: Mapping[str, Callable[[], object]], *, calls: int) -> dict[str, Turns]:
    """Time things in turns.

    Args:
        things: by name; each is one call.
        calls: in one turn.
    """
    return taking_turns({name: partial(_timed, call, calls) for name, call in things.items()})


async def in_turns_within_a_loop(
    things: Mapping[str, Callable[[], object]], *, calls: int, rounds: int = ROUNDS
) -> dict[str, Turns]:
    """Time things in turns, and let the event loop work between them.

    Args:
        things: by name; each is one call.
        calls: in one turn.
        rounds: how many turns each has, after one that warms up.
    """
    figures: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(rounds + 1):
        for name, call in things.items():
            figures[name].append(_timed(call, calls))
            # What was put off (the decision log, the key store's changes) is not the next one's.
            await asyncio.sleep(0.05)
    return {name: Turns(tuple(found[1:])) for name, found in figures.items()}


def _timed(call: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - started) / calls
