"""RegionGate, a small upstream and a real Envoy in front of both, started and stopped together.

The demonstration, `make run` and the end-to-end tests use it alike. It knows how to start things
and how to ask whether they are ready, and nothing about what they decide.
"""

import http.client
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from demo import bootstrap
from demo.address import LOOPBACK, Address, Tcp, Unix, reserved
from demo.client import ask
from demo.process import Process, running

HERE = Path(__file__).parent
SERVICE = "envoy.service.auth.v3.Authorization"
ANSWERS_WITHIN = 1.0
"""Seconds that one question whether a process is ready may take."""


NO_PROXY = [("grpc.enable_http_proxy", 0)]
"""gRPC would take a proxy from the environment even for the loopback interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of a stack; 0 stands for any that is free."""

    proxy: int = 0
    admin: int = 0
    regiongate: int = 0
    upstream: int = 0


WELL_KNOWN = Ports(proxy=10000, admin=9901, regiongate=9191, upstream=8080)
"""Those of envoy/envoy.yaml, which `make run` uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a stack is made of.

    Attributes:
        database: the country database, an MMDB file.
        policy: RegionGate's policy file.
        keys: RegionGate's key file.
        engine: auto, native or grpcio.
        unix: whether Envoy and RegionGate talk over a Unix socket rather than TCP.
        notice: how long RegionGate goes on answering once it has said that it stops.
        ports: where to listen.
    """

    database: Path
    policy: Path = HERE / "policy.yaml"
    keys: Path = HERE / "keys.yaml"
    engine: str = "auto"
    unix: bool = False
    notice: str = "1s"
    ports: Ports = Ports()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What an Envoy listens on and connects to.

    Attributes:
        proxy: where it takes requests.
        admin: where its admin interface listens.
        regiongate: where Checks go.
        upstream: where allowed requests go.
    """

    proxy: Tcp
    admin: Tcp
    regiongate: Address
    upstream: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running stack.

    Attributes:
        proxy: where Envoy takes requests.
        admin: Envoy's admin interface.
        authorization: where RegionGate takes Checks.
        regiongate: RegionGate's process.
        upstream: the upstream's.
        envoy: Envoy's.
    """

    proxy: Tcp
    admin: Tcp
    authorization: Address
    regiongate: Process
    upstream: Process
    envoy: Process

    @property
    def access_log(self) -> Path:
        """Envoy's access log, a JSON object a line."""
        return self.envoy.stdout


@contextmanager
def started(settings: Settings) -> Iterator[Stack]:
    """Start everything, wait until it is ready, and stop it at the end of the with statement.

    Raises:
        DemoError: a port is in use, a program is missing, or a process failed to start.
    """
    with ExitStack() as cleanup:
        directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="regiongate-")))
        with ExitStack() as reservations:
            ports = settings.ports
            proxy, admin, authorization, upstream = (
                reservations.enter_context(reserved(port))
                for port in (ports.proxy, ports.admin, ports.regiongate, ports.upstream)
            )
            target = Unix(directory / "regiongate.sock") if settings.unix else authorization
            echo = cleanup.enter_context(_upstream(directory, upstream))
            regiongate = cleanup.enter_context(_regiongate(directory, settings, target))
            wiring = Wiring(proxy=proxy, admin=admin, regiongate=target, upstream=upstream)
            envoy = cleanup.enter_context(running_envoy(directory, wiring))
        yield Stack(
            proxy=proxy,
            admin=admin,
            authorization=target,
            regiongate=regiongate,
            upstream=echo,
            envoy=envoy,
        )


@contextmanager
def running_envoy(directory: Path, wiring: Wiring) -> Iterator[Process]:
    """Run Envoy with the shipped configuration until the end of the with statement.

    Its standard output is its access log. It is ready once RegionGate is healthy in its eyes.

    Args:
        directory: for its configuration and its output.
        wiring: the addresses to put into the shipped configuration.
    """
    config = directory / "envoy.yaml"
    config.write_text(
        bootstrap.render(
            admin=wiring.admin,
            listeners={"http": wiring.proxy},
            clusters={"regiongate": wiring.regiongate, "upstream": wiring.upstream},
        )
    )
    # One worker, no shared memory: many may run beside each other on one machine.
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    # The access log is read while Envoy runs, and by default it is written every 10 s.
    options += ["--file-flush-interval-msec", "50"]
    command: list[str | Path] = [
        Path(sys.executable).parent / "envoy",
        "--config-path",
        config,
        *options,
    ]
    with running("envoy", command, directory) as process:
        process.wait_until(lambda: _envoy_ready(wiring.admin), "was not ready")
        yield process


@contextmanager
def _regiongate(directory: Path, settings: Settings, target: Address) -> Iterator[Process]:
    config = yaml.safe_load((HERE / "regiongate.yaml").read_text())
    config["listen"]["grpc"] = [str(target)]
    config["engine"] = settings.engine
    config["geo"]["country"] = str(settings.database)
    config["keys"]["store"] = f"file:{settings.keys}"
    config["policy"] = str(settings.policy)
    config["shutdown"]["notice"] = settings.notice
    file = directory / "regiongate.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    # In the form for people, who read it below `make run`.
    options = ["--log", "text"]
    command: list[str | Path] = [sys.executable, "-m", "regiongate", "serve", "-c", file, *options]
    with running("regiongate", command, directory) as process:
        process.wait_until(lambda: serving(target), "was not SERVING")
        yield process


@contextmanager
def _upstream(directory: Path, address: Tcp) -> Iterator[Process]:
    command = [sys.executable, "-m", "demo.upstream", str(address.port)]
    with running("upstream", command, directory) as process:
        process.wait_until(lambda: _accepts(address), "did not listen")
        yield process


def serving(address: Address) -> bool:
    """Ask RegionGate's health service whether it takes Checks."""
    with grpc.insecure_channel(str(address), options=NO_PROXY) as channel:
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=ANSWERS_WITHIN)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _envoy_ready(admin: Tcp) -> bool:
    try:
        ready = ask(admin, "/ready").status == http.client.OK
        return ready and _healthy(ask(admin, "/clusters?format=json").json())
    except OSError:
        return False


def _healthy(clusters: dict[str, list[dict[str, object]]]) -> bool:
    # An unhealthy host has a flag for every reason why; a healthy one has only this.
    (hosts,) = (
        cluster["host_statuses"]
        for cluster in clusters["cluster_statuses"]
        if cluster["name"] == "regiongate"
    )
    assert isinstance(hosts, list)
    return all(host["health_status"] == {"eds_health_status": "HEALTHY"} for host in hosts)


def _accepts(address: Tcp) -> bool:
    try:
        socket.create_connection((LOOPBACK, address.port), timeout=ANSWERS_WITHIN).close()
    except OSError:
        return False
    return True
