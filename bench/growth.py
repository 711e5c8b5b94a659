"""How the cost of a Check grows with what there is to know; where the goal is that it does not."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.asking import asking, metadata
from bench.deployment import CLIENT, Size, configured, question
from bench.pairs import in_turns_within_a_loop
from bench.report import Section
from regiongate.runtime.worker import Worker

ASKED = 1000
"""Different keys that are asked about."""
ROUNDS = 30
FLAT = "within 10 %, best to best"


@dataclass(frozen=True, slots=True)
class Question:
    """What grows.

    Attributes:
        sizes: by name, the smallest first.
    """

    title: str
    sizes: dict[str, Size]


def questions(most_keys: int) -> Sequence[Question]:
    """Return what is measured.

    Args:
        most_keys: in the largest store.
    """
    return (
        Question(
            "keys in the store",
            {f"{keys:,}": Size(keys=keys) for keys in (1_000, most_keys)},
        ),
        Question(
            "entries of the region list",
            {f"{size:,}": Size(keys=1_000, regions=size) for size in (10, 5_000)},
        ),
        Question(
            "organisations",
            {f"{size:,}": Size(keys=1_000, organisations=size) for size in (1, 1_000)},
        ),
    )


def measure(question_: Question) -> Section:
    """Measure a whole Check in process at each size, one of a thousand keys each time."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(question_))


async def _measure(asked: Question) -> Section:
    async with AsyncExitStack() as cleanup:
        things = {name: await _checks(cleanup, size) for name, size in asked.sizes.items()}
        rows = await in_turns_within_a_loop(things, calls=ASKED, rounds=ROUNDS)
    names = list(rows)
    return Section(
        title=f"A whole Check in process, by {asked.title}",
        unit="µs",
        floor=names[0],
        rows=rows,
        goals=dict.fromkeys(names[1:], FLAT),
    )


async def _checks(cleanup: AsyncExitStack, size: Size) -> Callable[[], object]:
    """Start a worker that knows so much, and return what asks it one question after another."""
    folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="regiongate-")))
    worker = Worker(configured(folder, size), None, cleanup.enter_context(ExitStack()))
    asked = await cleanup.enter_async_context(asking(worker))
    chance = random.Random(7)  # noqa: S311 the same every time
    messages = [question(chance.randrange(size.keys)) for _ in range(ASKED)]
    sent, turn = metadata(CLIENT), iter(range(1 << 62))
    for message in messages:
        await asked.first(message, sent)
    return lambda: asked.at_once(messages[next(turn) % ASKED], sent)
