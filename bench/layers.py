"""What each part of a Check costs inside the process that answers it."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import uvloop

from bench.asking import Asked, asking, metadata, nobody
from bench.deployment import CLIENT, Size, configured, question
from bench.floor import allow
from bench.pairs import Turns, in_turns_within_a_loop
from bench.report import Section
from regiongate.extauthz import responses, wire
from regiongate.extauthz.responses import Told
from regiongate.facts import Key, Source
from regiongate.policy import Facts, decide
from regiongate.runtime.state import State
from regiongate.runtime.worker import Worker

CALLS = 500
CLIENTS, KEYS = 2_000, 1_000


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
            "decision, answer, metrics, and the line of the decision log.",
            f"Many clients are {CLIENTS:,} random addresses with {KEYS:,} keys; most are denied.",
        ],
    )


async def _measure() -> dict[str, Turns]:
    with tempfile.TemporaryDirectory(prefix="regiongate-") as folder, ExitStack() as closing:
        path = configured(Path(folder), Size(keys=10_000))
        async with asking(Worker(path, None, closing)) as asked:
            return await in_turns_within_a_loop(await _layers(path, asked), calls=CALLS)


async def _layers(path: Path, asked: Asked) -> dict[str, Callable[[], object]]:
    data, joined, one = question(), question(raw=False), metadata(CLIENT)
    policies = State(path).snapshot().policies
    facts = Facts(
        Source(address=CLIENT, status="located", country="US"),
        Key(found=True, presented=True, id="id-0", org="org-0", status="active"),
    )
    now = datetime.now(UTC)
    answer = responses.allow(Told(outcome="allow", reason="otherwise", country="US"))
    chance = random.Random(7)  # noqa: S311 the same every time
    clients = (IPv4Address(chance.randrange(1 << 24, 223 << 24)) for _ in range(CLIENTS))
    many = [(question(chance.randrange(KEYS)), metadata(str(client))) for client in clients]
    for each in [(data, one), *many]:
        await asked.first(*each)
    turn = iter(range(1 << 62))
    return {
        "always allow, called in process": lambda: allow(data, one, nobody),
        "wire: reading a CheckRequest": lambda: wire.read(data),
        "wire: reading one with encode_raw_headers off": lambda: wire.read(joined),
        "wire: an answer's bytes": lambda: answer.render("0" * 32),
        "bare decide, three rules": lambda: decide(policies, "default", facts, now),
        "a whole Check, one client": lambda: asked.at_once(data, one),
        "a whole Check, with encode_raw_headers off": lambda: asked.at_once(joined, one),
        "a whole Check, many clients": lambda: asked.at_once(*many[next(turn) % len(many)]),
    }
