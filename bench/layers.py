"""What each part of a Check costs inside the process that answers it."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench.deployment import CLIENT, Size, configured, question
from bench.floor import allow
from bench.pairs import Turns, awaited_in_turns
from bench.report import Section
from regiongate.address import CLIENT_ADDRESS_METADATA
from regiongate.extauthz import responses, wire
from regiongate.extauthz.responses import Told
from regiongate.facts import Key, Source
from regiongate.policy import Facts, decide
from regiongate.runtime.state import State
from regiongate.runtime.worker import Worker

CALLS = 500
CLIENTS, KEYS = 2_000, 1_000


class Context:
    """The call of one client's Check, as far as it is looked at."""

    def __init__(self, client: str) -> None:
        self._metadata = (
            (CLIENT_ADDRESS_METADATA, client),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", "envoy"),
        )

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        """Return the metadata of the call."""
        return self._metadata


def measure() -> Section:
    """Measure each layer."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(_measure())
    return Section(
        title="The layers of a Check, in process",
        unit="µs",
        floor="always allow, called in process",
        rows=rows,
        goals={"a whole Check, one client": "under 25 µs"},
        notes=[
            "A whole Check is all but the engine: limits, reading, address, country, key,",
            "decision, answer, metrics, and the event for the decision log's own thread.",
            f"Many clients are {CLIENTS:,} addresses with {KEYS:,} keys, in random order.",
        ],
    )


async def _measure() -> dict[str, Turns]:
    with tempfile.TemporaryDirectory(prefix="regiongate-") as folder, ExitStack() as closing:
        path = configured(Path(folder), Size(keys=10_000))
        worker = Worker(path, None, closing)
        ready = asyncio.Event()
        serving = asyncio.create_task(worker.serve(ready.set))
        await ready.wait()
        try:
            return await awaited_in_turns(_layers(path, worker), calls=CALLS)
        finally:
            serving.cancel()


def _layers(path: Path, worker: Worker) -> dict[str, Callable[[], Awaitable[object]]]:
    data, one = question(), Context(CLIENT)
    policies = State(path).snapshot().policies
    facts = Facts(
        Source(address=CLIENT, status="located", country="US"),
        Key(found=True, presented=True, id="id-0", org="org-0", status="active"),
    )
    now = datetime.now(UTC)
    answer = responses.allow(Told(outcome="allow", reason="otherwise", country="US"))
    answered: Any = worker.calls.check
    chance = random.Random(7)  # noqa: S311 the same every time
    many = [
        (question(chance.randrange(KEYS)), Context(f"8.8.{number // 250}.{number % 250}"))
        for number in range(CLIENTS)
    ]
    chance.shuffle(many)
    turn = iter(range(1 << 62))

    async def check_many() -> object:
        return await answered(*many[next(turn) % len(many)])

    return {
        "always allow, called in process": lambda: allow(data, one),
        "wire: reading a CheckRequest": _called(lambda: wire.read(data)),
        "wire: an answer's bytes": _called(lambda: answer.render("0" * 32)),
        "bare decide, three rules": _called(lambda: decide(policies, "default", facts, now)),
        "a whole Check, one client": lambda: answered(data, one),
        "a whole Check, many clients": check_many,
    }


def _called(function: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def call() -> object:
        return function()

    return call
