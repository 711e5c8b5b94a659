"""gRPC: RegionGate on each engine, beside what allows everything on the same engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import load
from bench.deployment import CLIENT, COMPILED, floor, ports, question, regiongate
from bench.floor import SERVICER
from bench.load import GRPC, Load
from bench.pairs import Turns, taking_turns
from bench.report import Section
from demo.address import Tcp
from demo.stack import SERVICE
from regiongate.address import CLIENT_ADDRESS_METADATA
from regiongate.extauthz.service import METHOD

ENGINES = ("native", "grpcio")
REQUESTS = {"native": 20_000, "grpcio": 4_000}
ROUNDS = 9


def checks(address: Tcp) -> Load:
    """Return the load of Checks, all of one client and one key."""
    return Load(
        url=f"http://{address}/{SERVICE}/{METHOD}",
        headers={**GRPC, CLIENT_ADDRESS_METADATA: CLIENT},
        message=question(),
    )


def measure(rounds: int = ROUNDS) -> Section:
    """Measure how many Checks a second each answers."""
    with tempfile.TemporaryDirectory(prefix="regiongate-") as folder, ExitStack() as running:
        things: dict[str, Callable[[], float]] = {}
        place = Path(folder)
        for engine in ENGINES:
            allowing, gate = ports(2)
            running.enter_context(floor(place, allowing, engine=engine))
            running.enter_context(regiongate(place, [gate], engine=engine))
            for name, address in (("always allow", allowing), ("RegionGate", gate)):
                things[f"{engine}: {name}"] = partial(checks(address).rate, REQUESTS[engine])
        (servicer,) = ports(1)
        running.enter_context(floor(place, servicer, engine=SERVICER))
        things[SERVICER] = partial(checks(servicer).rate, REQUESTS["native"])
        if COMPILED.exists():
            (gate,) = ports(1)
            running.enter_context(regiongate(place, [gate], engine="native", compiled=True))
            things["native: RegionGate, compiled"] = partial(checks(gate).rate, REQUESTS["native"])
        rows = taking_turns(things, rounds=rounds)
    return Section(
        title="Checks a second over gRPC, at full load",
        unit="1/s",
        floor="native: always allow",
        rows=rows,
        goals={
            "native: RegionGate": "0.85 of the floor; 5 times grpcio: always allow",
        },
        notes=[
            f"h2load -c {load.CONNECTIONS} -m {load.STREAMS} -t 1 beside the server, not pinned",
            *_against("grpcio: always allow", rows),
            *_against(SERVICER, rows),
        ],
    )


def _against(other: str, rows: Mapping[str, Turns]) -> Iterator[str]:
    """Say how RegionGate does against what somebody else would write."""
    for name in rows:
        if "RegionGate" in name:
            least, median, most = rows[name].ratio(rows[other])
            yield f"{name}: {median:.2f} times {other} ({least:.2f} to {most:.2f})"
