"""A real Envoy with the shipped configuration in front of two workers, under load."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from demo import bootstrap
from demo.address import LOOPBACK, Tcp, reserved
from demo.client import ask
from demo.process import Process, running
from tests.integration.deployment import FRANCE, GERMANY
from tests.integration.process import PATIENCE, until
from tests.integration.workers.fleet import Fleet, fleet

CALLERS = 4

EXPECTED = {FRANCE: 200, GERMANY: 451}
"""Clients, and how they are answered when all is well."""


@dataclass(slots=True)
class Load:
    """What became of requests.

    Attributes:
        answered: how many had each status, by client.
        slowest: seconds that the slowest answer took.
    """

    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def total(self) -> int:
        """How many requests were answered."""
        return self.answered.total()

    @property
    def lost(self) -> int:
        """How many were answered, and not decided: Envoy's 503, or no answer at all."""
        return sum(count for (_, status), count in self.answered.items() if status in {0, 503})

    @property
    def wrong(self) -> int:
        """How many were decided otherwise than they should have been."""
        return sum(
            count
            for (client, status), count in self.answered.items()
            if status not in {0, 503, EXPECTED[client]}
        )


@dataclass(frozen=True, slots=True)
class Proxied:
    """Envoy and the workers behind it."""

    workers: Fleet
    envoy: Process
    proxy: Tcp
    admin: Tcp

    @contextmanager
    def load(self) -> Iterator[Load]:
        """Send requests, without a pause, until the end of the with statement."""
        load, ended, lock = Load(), threading.Event(), threading.Lock()
        threads = [
            threading.Thread(target=self._send, args=(load, ended, lock)) for _ in range(CALLERS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            ended.set()
            for thread in threads:
                thread.join(PATIENCE)

    def healthy(self) -> int:
        """Count the workers that Envoy takes for healthy."""
        hosts = self._hosts()
        return sum(one["health_status"] == {"eds_health_status": "HEALTHY"} for one in hosts)

    def _hosts(self) -> list[dict[str, Any]]:
        clusters = json.loads(ask(self.admin, "/clusters?format=json").body)["cluster_statuses"]
        (hosts,) = (one["host_statuses"] for one in clusters if one["name"] == "regiongate")
        found: list[dict[str, Any]] = hosts
        return found

    def _send(self, load: Load, ended: threading.Event, lock: threading.Lock) -> None:
        connection = http.client.HTTPConnection(LOOPBACK, self.proxy.port, timeout=PATIENCE)
        while not ended.is_set():
            for client in EXPECTED:
                started = time.monotonic()
                status = _status(connection, client)
                with lock:
                    load.answered[client, status] += 1
                    load.slowest = max(load.slowest, time.monotonic() - started)
        connection.close()


@contextmanager
def proxied(folder: Path, engine: str) -> Iterator[Proxied]:
    """Run Envoy in front of two workers until the end of the with statement."""
    with ExitStack() as closing:
        workers = closing.enter_context(
            fleet(
                folder,
                engine=engine,
                client_address={"source": "envoy"},
                shutdown={"notice": "2s", "grace": "5s"},
                decision_log={"path": "d.jsonl"},
            )
        )
        with ExitStack() as reservations:
            proxy, admin = (reservations.enter_context(reserved(0)) for _ in range(2))
        config = folder / "envoy.yaml"
        addresses = [one["address"] for one in workers.page("/info").json()["workers"]]
        config.write_text(_configuration(proxy, admin, addresses))
        command: list[str | Path] = [Path(sys.executable).parent / "envoy", "--config-path", config]
        command += ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        envoy = closing.enter_context(running("envoy", command, folder))
        found = Proxied(workers, envoy, proxy, admin)
        until(lambda: _healthy(found) == len(addresses), "Envoy finds all workers healthy")
        yield found


def _configuration(proxy: Tcp, admin: Tcp, addresses: list[str]) -> str:
    """Return the shipped configuration with an endpoint for each worker, and no upstream.

    Envoy itself answers what is allowed: an upstream's own failures would be counted as ours.
    """
    shipped = yaml.safe_load(
        bootstrap.render(
            admin=admin,
            listeners={"http": proxy},
            clusters={"regiongate": proxy, "upstream": proxy},
        )
    )
    resources = shipped["static_resources"]
    (cluster,) = (one for one in resources["clusters"] if one["name"] == "regiongate")
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"] = [
        {"endpoint": {"address": Tcp(int(one.rpartition(":")[2])).for_envoy()}} for one in addresses
    ]
    (manager,) = resources["listeners"][0]["filter_chains"][0]["filters"]
    for route in manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]:
        del route["route"]
        route["direct_response"] = {"status": 200}
    return yaml.safe_dump(shipped, sort_keys=False)


def _healthy(found: Proxied) -> int:
    try:
        return found.healthy()
    except (OSError, ValueError):
        return 0


def _status(connection: http.client.HTTPConnection, client: str) -> int:
    try:
        connection.request("GET", "/v1/models", headers={"x-forwarded-for": client})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0
    return answer.status
