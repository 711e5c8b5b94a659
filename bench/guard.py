"""Fails when a Check has become slower, against a yardstick timed in the same run.

`python -m bench.guard`: exit 1 when a Check takes 25 % more, in terms of the yardstick, than when
`EXPECTED` was measured. The yardstick is what an always-allow service written with the usual
message classes does: it parses the CheckRequest and serialises an OK. It runs in the same thread in
turns with the Check, so that a slow machine slows both; of each the best turn counts, as whatever
else happens on a machine makes a turn longer and never shorter. Never an absolute time; and not
part of `make test`, as on a machine with more to do than cores the two may still meet different
conditions.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import uvloop
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from bench.asking import asking, metadata
from bench.deployment import CLIENT, Size, configured, question
from bench.pairs import in_turns_within_a_loop
from regiongate.runtime.worker import Worker

EXPECTED = 14.7
"""A whole Check in yardsticks: change it when a Check has become faster, or slower for a reason."""
ALLOWED = 1.25
YARDSTICKS = 15
TURNS = 60


def main() -> int:
    """Measure, say what was found, and return the exit code."""
    argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__).parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ratio = runner.run(_ratio())
    sys.stdout.write(
        f"a Check takes {ratio:.1f} yardsticks; "
        f"expected {EXPECTED:.1f}, at most {EXPECTED * ALLOWED:.1f}\n"
    )
    return int(ratio > EXPECTED * ALLOWED)


async def _ratio() -> float:
    with tempfile.TemporaryDirectory(prefix="regiongate-") as folder, ExitStack() as closing:
        worker = Worker(configured(Path(folder), Size(keys=1_000)), None, closing)
        data, sent = question(), metadata(CLIENT)

        def yardsticks() -> None:
            # As many as take about as long as a Check.
            for _ in range(YARDSTICKS):
                request, answer = CheckRequest.FromString(data), CheckResponse()
                answer.status.code = 0 if request.HasField("attributes") else 7
                answer.SerializeToString()

        async with asking(worker) as asked:
            await asked.first(data, sent)
            things = {"yardsticks": yardsticks, "check": lambda: asked.at_once(data, sent)}
            turns = await in_turns_within_a_loop(things, calls=200, rounds=TURNS)
    check, yardstick = (min(turns[name].figures) for name in ("check", "yardsticks"))
    return YARDSTICKS * check / yardstick


if __name__ == "__main__":
    sys.exit(main())
