"""One Envoy with a listener for each wiring, and a RegionGate behind each listener.

The listeners are the shipped one with another idea of addresses, and without what it does against
forged headers before RegionGate sees them: RegionGate alone must hold. Each answers itself, and
says which country was decided, and which one an upstream would have been told.
"""

from __future__ import annotations

import asyncio
import copy
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import yaml

from demo import bootstrap
from demo.address import Tcp, Unix, reserved
from demo.client import ask
from demo.process import running
from regiongate.documents import check, parse
from regiongate.extauthz.judging import Snapshot
from regiongate.extauthz.service import Authorization
from regiongate.runtime import engines
from regiongate.runtime.config import Settings
from regiongate.runtime.engines.handler import Handler
from regiongate.runtime.state import State
from tests import databases
from tests.e2e.clients import records
from tests.e2e.forgeries.attempts import Attempt, Lines
from tests.e2e.forgeries.sending import send
from tests.e2e.forgeries.wirings import COUNTRIES, FORGER_BEHIND, Wiring

ENVOY: Final = Path(sys.executable).parent / "envoy"
OPTIONS: Final = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning")

POLICY: Final = "version: 1\npolicies: {default: {rules: [], otherwise: allow}}\n"

DECIDED: Final = "x-decided"
TOLD: Final = "x-told"
_TYPES: Final = "type.googleapis.com/envoy.extensions.filters"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    Attributes:
        status: the HTTP status; 0 where there was no answer.
        decided: the country; "" where there is none, or no decision.
        told: the country that an upstream would have been told.
    """

    status: int
    decided: str
    told: str


@dataclass(frozen=True, slots=True)
class Edge:
    """The running Envoy: where each wiring's listener is."""

    listeners: Mapping[str, Tcp]

    def outcome(self, name: str, wiring: Wiring, attempt: Attempt) -> Outcome:
        """Send a request as the proxies of a wiring would, and return what became of it."""
        stated = (
            f"PROXY TCP4 {FORGER_BEHIND} 127.0.0.1 4711 80\r\n" if wiring.proxy_protocol else ""
        )
        passed = replace(attempt, lines=through(wiring, attempt))
        answer = send(self.listeners[name], passed, source=wiring.peer, before=stated.encode())
        return Outcome(answer.status, answer.headers.get(DECIDED, ""), answer.headers.get(TOLD, ""))


def through(wiring: Wiring, attempt: Attempt) -> Lines:
    """Return the header lines of a request as they leave the last proxy of a wiring."""
    lines = attempt.lines
    name = wiring.reads.encode()
    vouched = [value.encode() for value in wiring.vouched]
    if not vouched or not (wiring.joined or wiring.replacing):
        return [*lines, *((name, value) for value in vouched)]
    if attempt.protocol != "HTTP/2":
        lines = list(_as_read(lines))
    others = [line for line in lines if line[0].lower() != name]
    if wiring.replacing:
        return [*others, *((name, value) for value in vouched)]
    sent = [value for known, value in lines if known.lower() == name]
    return [*others, (name, b", ".join([*sent, *vouched]))]


def _as_read(lines: Lines) -> Iterator[tuple[bytes, bytes]]:
    """Yield header lines as a proxy reads them, to which a line feed is the end of a line.

    Envoy reads them so, too. A proxy that let one pass inside a value and wrote something behind it
    would hand its clients the pen: what it wrote would become part of a line of theirs.
    """
    for name, value in lines:
        first, *more = re.split(rb"\r?\n(?![ \t])", value)
        yield name, first
        for line in more:
            other, _, text = line.partition(b":")
            yield other, text.strip()


@contextmanager
def running_edge(directory: Path, wirings: Mapping[str, Wiring]) -> Iterator[Edge]:
    """Run Envoy and the RegionGates until the end of the with statement."""
    with ExitStack() as cleanup:
        sockets = {name: Unix(directory / f"{n}.sock") for n, name in enumerate(wirings)}
        cleanup.enter_context(_serving(_snapshots(directory, wirings), sockets))
        with ExitStack() as reservations:
            admin = reservations.enter_context(reserved())
            listeners = {name: reservations.enter_context(reserved()) for name in wirings}
            config = directory / "envoy.yaml"
            config.write_text(_configuration(admin, wirings, listeners, sockets))
            command: list[str | Path] = [ENVOY, "--config-path", config, *OPTIONS]
            envoy = cleanup.enter_context(running("envoy", command, directory))
            envoy.wait_until(lambda: _ready(admin), "was not ready")
        yield Edge(listeners)


# ---------------------------------------------------------------------------------- RegionGate


def _snapshots(directory: Path, wirings: Mapping[str, Wiring]) -> dict[str, Snapshot]:
    """Return what is in force for each wiring: the same but for the source of the address."""
    databases.write(directory / "country.mmdb", records(COUNTRIES))
    (directory / "policy.yaml").write_text(POLICY)
    config = directory / "regiongate.yaml"
    common = {"geo": {"country": "country.mmdb"}, "policy": "policy.yaml"}
    config.write_text(yaml.safe_dump(common))
    snapshot = State(config).snapshot()
    snapshots = {}
    for name, wiring in wirings.items():
        written = yaml.safe_dump({**common, "client_address": dict(wiring.settings)})
        settings = check(parse(name, written), Settings).client_address
        address = settings.resolver(settings.proxies(lambda _: ()))
        snapshots[name] = replace(snapshot, address=address)
    return snapshots


@contextmanager
def _serving(snapshots: Mapping[str, Snapshot], sockets: Mapping[str, Unix]) -> Iterator[None]:
    """Answer Checks in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    servers = []
    try:
        for name, snapshot in snapshots.items():
            server = engines.Server("grpcio", _handler(snapshot))
            run(server.start([str(sockets[name])]))
            servers.append(server)
        yield
    finally:
        for server in servers:
            run(server.stop(0))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _handler(snapshot: Snapshot) -> Handler:
    authorization = Authorization(lambda: snapshot)
    return lambda data, metadata, _: authorization.check(data, metadata)


# --------------------------------------------------------------------------------------- Envoy


def _configuration(
    admin: Tcp,
    wirings: Mapping[str, Wiring],
    listeners: Mapping[str, Tcp],
    sockets: Mapping[str, Unix],
) -> str:
    shipped = yaml.safe_load(bootstrap.SHIPPED.read_text())
    shipped["admin"]["address"] = admin.for_envoy()
    resources = shipped["static_resources"]
    (listener,) = resources["listeners"]
    (cluster,) = (one for one in resources["clusters"] if one["name"] == "regiongate")
    del cluster["health_checks"]
    resources["listeners"] = [
        _listener(listener, name, wiring, listeners[name]) for name, wiring in wirings.items()
    ]
    resources["clusters"] = [_cluster(cluster, name, at) for name, at in sockets.items()]
    return yaml.safe_dump(shipped, sort_keys=False)


def _ready(admin: Tcp) -> bool:
    try:
        return ask(admin, "/ready").status == HTTPStatus.OK
    except OSError:
        return False


def _cluster(shipped: Any, name: str, address: Unix) -> Any:
    cluster = copy.deepcopy(shipped)
    cluster["name"] = cluster["load_assignment"]["cluster_name"] = name
    (locality,) = cluster["load_assignment"]["endpoints"]
    locality["lb_endpoints"][0]["endpoint"]["address"] = address.for_envoy()
    return cluster


def _listener(shipped: Any, name: str, wiring: Wiring, address: Tcp) -> Any:
    listener = copy.deepcopy(shipped)
    listener["name"] = name
    listener["address"] = address.for_envoy()
    if wiring.proxy_protocol:
        proxy_protocol = f"{_TYPES}.listener.proxy_protocol.v3.ProxyProtocol"
        listener["listener_filters"] = [
            {"name": "proxy_protocol", "typed_config": {"@type": proxy_protocol}}
        ]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    _loosen(manager)
    manager.pop("xff_num_trusted_hops")
    manager.update(wiring.manager)
    authorization = manager["http_filters"][0]["typed_config"]
    authorization["encode_raw_headers"] = wiring.raw
    authorization["grpc_service"]["timeout"] = bootstrap.PATIENCE
    del authorization["grpc_service"]["retry_policy"]  # it has less patience for each try
    authorization["grpc_service"]["envoy_grpc"]["cluster_name"] = name
    return listener


def _loosen(manager: Any) -> None:
    """Let as much through to RegionGate as Envoy can be made to, and answer what is allowed."""
    del manager["early_header_mutation_extensions"]
    del manager["access_log"]
    manager["common_http_protocol_options"] = {"max_headers_count": 5000}
    manager["max_request_headers_kb"] = 2048
    manager["delayed_close_timeout"] = "0.01s"  # else every request that is refused takes a second
    manager["http_protocol_options"] = {
        "accept_http_10": True,
        "default_host_for_http_10": "api.example",
        "enable_trailers": True,
    }
    host = manager["route_config"]["virtual_hosts"][0]
    host["routes"] = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
    country = "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:country)%"
    host["response_headers_to_add"] = [
        {"header": {"key": DECIDED, "value": country}},
        {"header": {"key": TOLD, "value": "%REQ(x-regiongate-country)%"}},
    ]
