"""The shipped envoy.yaml with one thing changed, in each form that Envoy's configuration has."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from regiongate.doctor.diagnosis import diagnose
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding, Place, Severity
from regiongate.doctor.observation import Observation
from regiongate.doctor.tree import Node, read
from tests.documentation import block

ROOT = Path(__file__).parents[3]
SHIPPED: Mapping[str, Any] = yaml.safe_load((ROOT / "envoy" / "envoy.yaml").read_text())

EXPECTED = Expected(
    key_headers=("authorization", "x-api-key"), policies=frozenset({"default", "internal"})
)

MUTUAL = replace(EXPECTED, listen=("127.0.0.1:9191",), tls=True, client_certificate=True)
"""A RegionGate that asks for mutual TLS."""

SOCKET: Mapping[str, Any] = yaml.safe_load(block("envoy.md", "envoy.yaml, in the cluster"))[
    "transport_socket"
]
"""What Envoy's cluster needs for it, as documented."""

PLACE = Place("127.0.0.1:9192/wiring")

Change = Callable[["Wiring"], object]


class Wiring:
    """A copy of the shipped configuration, with short ways to what tests change."""

    def __init__(self) -> None:
        self.bootstrap: dict[str, Any] = copy.deepcopy(dict(SHIPPED))
        resources = self.bootstrap["static_resources"]
        (self.listener,) = resources["listeners"]
        (chain,) = self.listener["filter_chains"]
        self.manager: dict[str, Any] = chain["filters"][0]["typed_config"]
        self.filters: list[dict[str, Any]] = self.manager["http_filters"]
        self.authorization: dict[str, Any] = self.filters[0]["typed_config"]
        self.calls: dict[str, Any] = self.authorization["grpc_service"]
        self.cluster: dict[str, Any] = resources["clusters"][0]
        (self.host,) = self.manager["route_config"]["virtual_hosts"]

    def yaml(self) -> Node:
        """Return it as a file."""
        return read("envoy.yaml", yaml.safe_dump(self.bootstrap, sort_keys=False))

    def camel(self) -> Node:
        """Return it in the other spelling, as JSON."""
        return read("envoy.json", json.dumps(_camel(self.bootstrap)))

    def dump(self) -> Node:
        """Return it as /config_dump shows what came over xDS: by kinds, routes on their own."""
        wiring = copy.deepcopy(self)
        routes = wiring.manager.pop("route_config")
        wiring.manager["rds"] = {"config_source": {"ads": {}}, "route_config_name": routes["name"]}
        filters = [
            {"ecds_filter": {"name": one["name"], "typed_config": one.pop("typed_config")}}
            for one in wiring.filters
        ]
        for one in wiring.filters:
            one["config_discovery"] = {"config_source": {"ads": {}}}
        clusters = wiring.bootstrap["static_resources"].pop("clusters")
        active = [
            {"name": one["name"], "active_state": {"listener": one}}
            for one in wiring.bootstrap["static_resources"]["listeners"]
        ]
        old = Wiring()
        old.authorization["failure_mode_allow"] = True
        draining = {"name": "old", "draining_state": {"listener": old.listener}}
        parts: dict[str, dict[str, Any]] = {
            "BootstrapConfigDump": {"bootstrap": {**self.bootstrap, **SHIPPED}},
            "ClustersConfigDump": {
                "dynamic_active_clusters": [{"cluster": one} for one in clusters]
            },
            "ListenersConfigDump": {"dynamic_listeners": [*active, draining]},
            "RoutesConfigDump": {"dynamic_route_configs": [{"route_config": routes}]},
            "EcdsConfigDump": {"ecds_filters": filters},
        }
        typed = [
            {"@type": f"type.googleapis.com/envoy.admin.v3.{kind}", **part}
            for kind, part in parts.items()
        ]
        return read("dump.json", json.dumps({"configs": typed}))

    def forms(self) -> Iterator[Node]:
        """Yield it in every form."""
        yield from (self.yaml(), self.camel(), self.dump())


def _camel(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {_spelled(name): _camel(one) for name, one in value.items()}


def _spelled(name: str) -> str:
    if "." in name:  # a key of a map, which is nobody's but the operator's
        return name
    first, *others = name.split("_")
    return first + "".join(one.title() for one in others)


def changed(change: Change) -> Wiring:
    """Return the shipped configuration with a change."""
    wiring = Wiring()
    change(wiring)
    return wiring


def protected(wiring: Wiring) -> None:
    """Have the cluster speak mutual TLS."""
    wiring.cluster["transport_socket"] = copy.deepcopy(dict(SOCKET))


def found(
    given: Node, expected: Expected = EXPECTED, observed: Observation | None = None
) -> list[Finding]:
    """Return what is found of Envoy's configuration."""
    place = None if observed is None else (observed, PLACE)
    return [one for one in diagnose(expected, place, given) if one.name != "service-not-asked"]


def bad(findings: list[Finding]) -> dict[str, Severity]:
    """Return what is wrong, or may be, by name."""
    return {
        one.name: one.severity
        for one in findings
        if one.severity in (Severity.WRONG, Severity.WARNING)
    }
