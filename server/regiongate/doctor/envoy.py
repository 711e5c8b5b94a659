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
TUNNEL: Final = ".TcpProxy"

_OUTDATED: Final = {"draining_state", "drainingState", "error_state", "errorState"}
"""What a dump has of listeners beside those that take requests."""
_TOP: Final = (
    *("static_resources", "dynamic_resources", "bootstrap", "configs", "resources", "listeners"),
    *("static_listeners", "dynamic_listeners", "clusters", "layered_runtime", "admin", "node"),
)
_CHAINS: Final = ("filter_chains", "filterChains", "default_filter_chain", "defaultFilterChain")
"""What makes a listener, wherever it stands."""
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
        matched: the ExtensionWithMatcher around it; None where it is for all requests.
    """

    name: str
    entry: Node
    config: Node
    type: str
    matched: Node | None = None

    @property
    def authorizes(self) -> bool:
        """Whether it is ext_authz."""
        return self.type.endswith(AUTHORIZATION)

    @property
    def calls(self) -> Node:
        """The gRPC service that it asks."""
        return self.config["grpc_service"]

    @property
    def provisional(self) -> bool:
        """Whether its fields are those until others are discovered."""
        until = self.entry.at("config_discovery", "default_config").path
        return self.config.path[: len(until)] == until


@dataclass(frozen=True, slots=True, eq=False)
class Manager:
    """An HTTP connection manager with one of its chains of filters.

    Attributes:
        listener: the listener that it serves.
        config: its fields.
        chain: where the filters are written.
        filters: in their order.
        routes: its RouteConfiguration; absent where that was not given.
        upgrade: the upgrade (websocket) whose requests take this chain; empty for all others.
    """

    listener: Node
    config: Node
    chain: Node
    filters: tuple[Filter, ...]
    routes: Node
    upgrade: str = ""

    @property
    def authorizations(self) -> list[Filter]:
        """Its ext_authz filters."""
        return [one for one in self.filters if one.authorizes]

    @property
    def name(self) -> str:
        """What messages call it."""
        name = self.listener["name"].text or self.config["stat_prefix"].text or "unnamed"
        return f"{name} ({self.upgrade})" if self.upgrade else name


@dataclass(frozen=True, slots=True)
class Configuration:
    """An Envoy configuration.

    Attributes:
        root: all that was given.
        managers: each as often as it has chains of filters.
        network: the ext_authz filters for TCP.
        tunnels: the TCP proxies that have none before them.
        hidden: filters of listeners of which only the name was given.
        clusters: by name.
        runtime: what static layers of the runtime set, by key.
    """

    root: Node
    managers: Sequence[Manager]
    network: Sequence[Node]
    tunnels: Sequence[Node]
    hidden: Sequence[Node]
    clusters: Mapping[str, Node]
    runtime: Mapping[str, Node]


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
    listeners = [one for part in parts for one in _listeners(part)]
    chains = [[*chain["filters"]] for listener in listeners for chain in _chains(listener)]
    return Configuration(
        root,
        managers=[
            manager
            for listener in listeners
            for node in _messages(listener, CONNECTION_MANAGER)
            for manager in _managers(listener, node, routes, discovered)
        ],
        network=[one for listener in listeners for one in _network(listener)],
        tunnels=[one for chain in chains for one in _tunnels(chain)],
        hidden=[one for chain in chains for one in chain if one["config_discovery"]],
        clusters={one["name"].text: one for part in parts for one in _clusters(part)},
        runtime=dict(_runtime(root)),
    )


def is_envoys(root: Node) -> bool:
    """Say whether something is a configuration of Envoy's at all, or an answer of /config_dump."""
    parts = [root] if root.has_fields else [*root]
    top = any(one.has_fields and any(one[name] for name in _TOP) for one in parts)
    return top or any(one.name in _CHAINS for one in root.everything())


def target(calls: Node) -> str:
    """Return the cluster or the address that a gRPC service is called at."""
    return calls.at("envoy_grpc", "cluster_name").text or calls.at("google_grpc", "target_uri").text


def _parts(root: Node) -> list[Node]:
    """Split a dump, in which a static listener stands twice: in force and as written."""
    configs = _configs(root)
    in_force = [one for one in configs if not one.type.endswith("BootstrapConfigDump")]
    listeners = any(one.type.endswith("ListenersConfigDump") for one in in_force)
    return in_force if listeners else configs


def _listeners(part: Node) -> Iterator[Node]:
    waiting = [part]
    while waiting:
        node = waiting.pop()
        if node.has_fields and (node["filter_chains"] or node["default_filter_chain"]):
            yield node
        elif node.name not in _OUTDATED and isinstance(node.value, dict | list):
            waiting.extend(reversed([*node]))


def _clusters(part: Node) -> Iterator[Node]:
    yield from part.at("static_resources", "clusters")
    yield from part.at("bootstrap", "static_resources", "clusters")
    yield from _listed(part, _CLUSTERS, "cluster")


def _listed(part: Node, lists: Sequence[str], name: str) -> Iterator[Node]:
    for one in lists:
        yield from (entry[name] for entry in part[one])


def _configs(root: Node) -> list[Node]:
    if root.has_fields and not root["configs"]:
        return [root]
    return [*(root["configs"] if root.has_fields else root)]


def _runtime(root: Node) -> Iterator[tuple[str, Node]]:
    """Yield what layers set, the last word last, under keys as Envoy joins them."""
    for part in _configs(root):
        for holder in (part, part["bootstrap"]):
            for layer in holder.at("layered_runtime", "layers"):
                start = layer["static_layer"]
                for one in start.everything():
                    yield ".".join(map(str, one.path[len(start.path) :])), one


def _chains(listener: Node) -> list[Node]:
    other = listener["default_filter_chain"]
    return [*listener["filter_chains"], *([other] if other else [])]


def _messages(within: Node, kind: str) -> Iterator[Node]:
    return (one.message for one in within.everything() if one.type.endswith(kind))


def _network(listener: Node) -> list[Node]:
    return [
        one.message
        for one in listener.everything()
        if one.type.endswith(AUTHORIZATION) and ".network." in one.type
    ]


def _tunnels(chain: list[Node]) -> list[Node]:
    checked = any(_network(one) for one in chain)
    return [] if checked else [one for entry in chain for one in _messages(entry, TUNNEL)]


def _managers(
    listener: Node, config: Node, routes: Mapping[str, Node], discovered: Mapping[str, Node]
) -> Iterator[Manager]:
    named = config.at("rds", "route_config_name").text
    own = routes.get(named, config["route_config"]) if named else config["route_config"]
    chains = [("", config["http_filters"])]
    chains += [(one["upgrade_type"].text, one["filters"]) for one in config["upgrade_configs"]]
    for upgrade, chain in chains:
        filters = tuple(_filter(entry, discovered) for entry in chain)
        if filters or not upgrade:
            yield Manager(listener, config, chain, filters, own, upgrade)


def _filter(entry: Node, discovered: Mapping[str, Node]) -> Filter:
    name, config = entry["name"].text, entry["typed_config"]
    if entry["config_discovery"]:
        config = discovered.get(name, entry.at("config_discovery", "default_config"))
    matched = config.message if config.type.endswith(".ExtensionWithMatcher") else None
    if matched:
        config = matched.at("extension_config", "typed_config")
    return Filter(name, entry, config.message, config.type, matched)
