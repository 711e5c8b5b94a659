"""What of an Envoy configuration matters here: listeners, filters, clusters and routes.

Read from a bootstrap file or from the answer of Envoy's /config_dump, whoever has written it:
Istio and Envoy Gateway too are seen as what they made of Envoy. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from regiongate.doctor.tree import Node

CONNECTION_MANAGER: Final = ".HttpConnectionManager"
AUTHORIZATION: Final = ".ExtAuthz"

_OUTDATED: Final = {"draining_state", "drainingState", "error_state", "errorState"}
"""What a dump has of listeners beside those that take requests."""
_CLUSTERS: Final = ("static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters")
_ROUTES: Final = ("static_route_configs", "dynamic_route_configs")


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """An HTTP filter; two that are written alike are two all the same.

    Attributes:
        name: by which routes configure it.
        entry: of it among the connection manager's http_filters.
        config: its own fields; absent where they were not given.
        type: the message that these are; empty where they were not given.
    """

    name: str
    entry: Node
    config: Node
    type: str

    @property
    def authorizes(self) -> bool:
        """Whether it is ext_authz."""
        return self.type.endswith(AUTHORIZATION)

    @property
    def calls(self) -> Node:
        """The gRPC service that it asks."""
        return self.config["grpc_service"]


@dataclass(frozen=True, slots=True)
class Manager:
    """An HTTP connection manager.

    Attributes:
        listener: the listener that it serves.
        config: its fields.
        filters: in their order.
        routes: its RouteConfiguration; absent where that was not given.
    """

    listener: Node
    config: Node
    filters: tuple[Filter, ...]
    routes: Node

    @property
    def authorizations(self) -> list[Filter]:
        """Its ext_authz filters."""
        return [one for one in self.filters if one.authorizes]

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.listener["name"].text or self.config["stat_prefix"].text or "unnamed"


@dataclass(frozen=True, slots=True)
class Configuration:
    """An Envoy configuration.

    Attributes:
        root: all that was given.
        network: the ext_authz filters for TCP.
        clusters: by name.
    """

    root: Node
    managers: Sequence[Manager]
    network: Sequence[Node]
    clusters: Mapping[str, Node]


def gather(root: Node) -> Configuration:
    """Find what matters.

    Args:
        root: a bootstrap, or the answer of /config_dump.
    """
    parts = _parts(root)
    routes = {
        one["name"].text: one for part in parts for one in _listed(part, _ROUTES, "route_config")
    }
    discovered = {
        one["name"].text: one["typed_config"]
        for part in parts
        for one in _listed(part, ("ecds_filters",), "ecds_filter")
    }
    managers: list[Manager] = []
    network: list[Node] = []
    for listener in (one for part in parts for one in _listeners(part)):
        for node in listener.everything():
            if node.type.endswith(CONNECTION_MANAGER):
                managers.append(_manager(listener, node.message, routes, discovered))
            elif node.type.endswith(AUTHORIZATION) and ".network." in node.type:
                network.append(node.message)
    clusters = {one["name"].text: one for part in parts for one in _clusters(part)}
    return Configuration(root, managers, network, clusters)


def target(calls: Node) -> str:
    """Return the cluster or the address that a gRPC service is called at."""
    return calls.at("envoy_grpc", "cluster_name").text or calls.at("google_grpc", "target_uri").text


def _parts(root: Node) -> list[Node]:
    """Split a dump, in which a static listener stands twice: in force and as written."""
    configs = [*root["configs"]]
    in_force = [one for one in configs if not one.type.endswith("BootstrapConfigDump")]
    listeners = any(one.type.endswith("ListenersConfigDump") for one in in_force)
    return (in_force if listeners else configs) or [root]


def _listeners(part: Node) -> Iterator[Node]:
    waiting = [part]
    while waiting:
        node = waiting.pop()
        if node["filter_chains"] or node["default_filter_chain"]:
            yield node
        elif node.name not in _OUTDATED:
            waiting.extend(reversed([*node]))


def _clusters(part: Node) -> Iterator[Node]:
    yield from part.at("static_resources", "clusters")
    yield from part.at("bootstrap", "static_resources", "clusters")
    yield from _listed(part, _CLUSTERS, "cluster")


def _listed(part: Node, lists: Sequence[str], name: str) -> Iterator[Node]:
    for one in lists:
        yield from (entry[name] for entry in part[one])


def _manager(
    listener: Node, config: Node, routes: Mapping[str, Node], discovered: Mapping[str, Node]
) -> Manager:
    filters = tuple(_filter(entry, discovered) for entry in config["http_filters"])
    named = config.at("rds", "route_config_name")
    return Manager(listener, config, filters, routes.get(named.text, config["route_config"]))


def _filter(entry: Node, discovered: Mapping[str, Node]) -> Filter:
    name, config = entry["name"].text, entry["typed_config"]
    if entry["config_discovery"]:
        config = discovered.get(name, entry.at("config_discovery", "default_config"))
    if config.type.endswith(".ExtensionWithMatcher"):
        config = config.message.at("extension_config", "typed_config")
    return Filter(name, entry, config.message, config.type)
