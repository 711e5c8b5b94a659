"""Through a real Envoy: what authorization costs a request, and how much of that is RegionGate's.

The Envoy is configured as shipped, but that it answers itself where a request would be passed on,
keeps no access log (which costs as much in each row), and asks a service on an address of its own.
"""

from __future__ import annotations

import copy
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bench.deployment import CLIENT, COMPILED, HEADERS, floor, key, ports, regiongate
from bench.load import Load, percentile
from bench.pairs import Turns, taking_turns
from bench.report import Section
from demo.address import Address, Tcp, Unix, reserved
from demo.bootstrap import PATIENCE, SHIPPED
from demo.client import ask
from demo.process import running

ALONE = "Envoy alone"
REQUESTS = 6_000
ROUNDS = 7
TRIES = 4
"""Turns at full load, of which the best tells where saturation is."""
SHARES = (0.1, 0.5)
"""Of the rate at full load, at which latencies are measured."""
SECONDS = 4
"""Of load at such a rate, each turn."""


@contextmanager
def envoy(folder: Path, services: Mapping[str, Sequence[Address]]) -> Iterator[dict[str, Load]]:
    """Run an Envoy with a listener for each service, and one that asks nobody.

    Args:
        folder: for its files.
        services: by name, the endpoints of each.

    Yields:
        What sends requests to each listener; ALONE is the one that asks nobody.
    """
    with ExitStack() as reservations:
        names = [ALONE, *services]
        ports = {name: reservations.enter_context(reserved()) for name in names}
        admin = reservations.enter_context(reserved())
        config = folder / "envoy.yaml"
        config.write_text(yaml.safe_dump(_bootstrap(admin, ports, services)))
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    with running(
        "envoy", [Path(sys.executable).parent / "envoy", "--config-path", config, *options], folder
    ) as process:
        process.wait_until(partial(_ready, admin, len(services)), "was not ready")
        yield {name: _requests(port) for name, port in ports.items()}


def rates(rounds: int = ROUNDS) -> Section:
    """Measure how many requests a second pass through Envoy."""
    with _everything() as loads:
        rows = taking_turns(
            {name: partial(one.rate, REQUESTS) for name, one in loads.items()}, rounds=rounds
        )
    return Section(
        title="Requests a second through one Envoy of one thread, at full load",
        unit="1/s",
        floor="native: always allow",
        rows=rows,
        goals={"native: RegionGate": "0.95 of the floor"},
        notes=["Everything shares the machine: h2load, Envoy, and the service that is asked."],
    )


def latencies(rounds: int = ROUNDS) -> list[Section]:
    """Measure what a request waits for, well below the rate that RegionGate saturates at."""
    with _everything() as loads:
        compared = {name: loads[name] for name in loads if not name.startswith("grpcio")}
        # The best of a few: what has just been started is not at its full rate.
        most = min(max(one.rate(REQUESTS) for _ in range(TRIES)) for one in compared.values())
        return [
            section
            for share in SHARES
            for section in _waiting(compared, most * share, share, rounds)
        ]


def _waiting(loads: Mapping[str, Load], rate: float, share: float, rounds: int) -> list[Section]:
    taken: dict[str, list[list[float]]] = {name: [] for name in loads}
    things: dict[str, Callable[[], float]] = {
        name: partial(_noted, taken[name], one, rate) for name, one in loads.items()
    }
    taking_turns(things, rounds=rounds)
    when = f"at {rate:,.0f} requests a second, {share:g} of saturation"
    return [_added(taken, part, goal, when) for part, goal in ((50, "0.5 ms"), (99, "3 ms"))]


def _noted(taken: list[list[float]], asked: Load, rate: float) -> float:
    taken.append(asked.latencies(rate, SECONDS))
    return 0.0


def _added(taken: Mapping[str, list[list[float]]], part: int, goal: str, when: str) -> Section:
    rows = {
        name: Turns(tuple(percentile(turn, part) for turn in turns[1:]))
        for name, turns in taken.items()
    }
    return Section(
        title=f"What {part} of 100 requests take less than, {when}",
        unit="ms",
        floor=ALONE,
        rows=rows,
        goals={"native: RegionGate": f"{goal} more than {ALONE}"},
        notes=[
            *(_more(name, rows[name], rows[ALONE]) for name in rows if name != ALONE),
            "bench.steady sends them, in a process of its own beside Envoy and the rest.",
        ],
    )


def _more(name: str, row: Turns, alone: Turns) -> str:
    """Say how much longer than without it a request waits, turn by turn."""
    added = Turns(tuple(a - b for a, b in zip(row.figures, alone.figures, strict=True)))
    median, low, high = (1e3 * seconds for seconds in (added.median, *added.spread))
    return f"{name}: {median:.2f} ms more ({low:.2f} to {high:.2f})"


@contextmanager
def _everything() -> Iterator[dict[str, Load]]:
    """Run RegionGate and the floor on each engine, and an Envoy before them."""
    with tempfile.TemporaryDirectory(prefix="regiongate-") as folder, ExitStack() as cleanup:
        place = Path(folder)
        services: dict[str, list[Address]] = {}
        for engine in ("native", "grpcio"):
            allowing, gate = ports(2)
            cleanup.enter_context(floor(place, allowing, engine=engine))
            cleanup.enter_context(regiongate(place, [gate], engine=engine))
            services |= {f"{engine}: always allow": [allowing], f"{engine}: RegionGate": [gate]}
        if COMPILED.exists():
            (gate,) = ports(1)
            cleanup.enter_context(regiongate(place, [gate], engine="native", compiled=True))
            services["native: RegionGate, compiled"] = [gate]
            socket = Unix(place / "regiongate.sock")
            cleanup.enter_context(regiongate(place, [socket], engine="native", compiled=True))
            services["native: RegionGate, compiled, Unix socket"] = [socket]
        yield cleanup.enter_context(envoy(place, services))


def _requests(port: Tcp) -> Load:
    sent = {name: value for name, value in HEADERS.items() if not name.startswith((":", "x-envoy"))}
    del sent["content-length"]
    return Load(
        url=f"http://{port}/v1/chat/completions",
        headers={**sent, "authorization": f"Bearer {key(0)}", "x-forwarded-for": f"{CLIENT}"},
    )


def _bootstrap(
    admin: Tcp, ports: Mapping[str, Tcp], services: Mapping[str, Sequence[Address]]
) -> dict[str, Any]:
    shipped = yaml.safe_load(SHIPPED.read_text())
    shipped["admin"]["address"] = admin.for_envoy()
    resources = shipped["static_resources"]
    (listener,) = resources["listeners"]
    cluster = next(one for one in resources["clusters"] if one["name"] == "regiongate")
    resources["listeners"] = [
        _listener(listener, name, port, asks=name in services) for name, port in ports.items()
    ]
    resources["clusters"] = [_cluster(cluster, *service) for service in services.items()]
    return dict(shipped)


def _listener(shipped: dict[str, Any], name: str, port: Tcp, *, asks: bool) -> dict[str, Any]:
    listener = copy.deepcopy(shipped)
    listener |= {"name": name, "address": port.for_envoy()}
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["access_log"]
    authorization, *rest = manager["http_filters"]
    service = authorization["typed_config"]["grpc_service"]
    service["timeout"] = PATIENCE
    # Its limit on each try is for a machine that has nothing else to do, as the timeout is.
    del service["retry_policy"]
    service["envoy_grpc"]["cluster_name"] = _authority(name)
    manager["http_filters"] = [authorization, *rest] if asks else rest
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager["route_config"] = {
        "name": name,
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}],
    }
    return listener


def _cluster(shipped: dict[str, Any], name: str, endpoints: Sequence[Address]) -> dict[str, Any]:
    cluster = copy.deepcopy(shipped)
    found = [{"endpoint": {"address": one.for_envoy()}} for one in endpoints]
    named = cluster["name"] = _authority(name)
    cluster["load_assignment"] = {"cluster_name": named, "endpoints": [{"lb_endpoints": found}]}
    return cluster


def _authority(name: str) -> str:
    """Return a cluster's name, which Envoy sends as the authority of its calls."""
    return re.sub("[^a-zA-Z0-9]+", "-", name)


def _ready(admin: Tcp, services: int) -> bool:
    try:
        clusters = ask(admin, "/clusters?format=json").json()["cluster_statuses"]
    except OSError:
        return False
    hosts = [host for one in clusters for host in one.get("host_statuses", ())]
    healthy = {"eds_health_status": "HEALTHY"}
    return len(clusters) == services and all(one["health_status"] == healthy for one in hosts)
