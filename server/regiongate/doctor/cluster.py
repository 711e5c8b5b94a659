"""The cluster that Checks are sent to: that it speaks gRPC, and notices who is not there."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding
from regiongate.doctor.saying import careful, fine, unknown, warning, wrong
from regiongate.doctor.tree import Node

HEALTH_SERVICES: Final = ("envoy.service.auth.v3.Authorization", "")
"""The names under which RegionGate tells its health."""

_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_DISCOVERY: Final = ("STATIC", "STRICT_DNS", "LOGICAL_DNS", "EDS", "ORIGINAL_DST")


@careful
def examine(cluster: Node, expected: Expected) -> Iterator[Finding]:
    """Examine the cluster.

    Args:
        cluster: that Checks are sent to.
        expected: what is relied on.
    """
    yield from _protocol(cluster)
    yield from _panic(cluster)
    yield from _health(cluster)
    yield from _elsewhere(cluster, expected)
    yield from _endpoints(cluster, expected)
    if cluster["outlier_detection"]:
        yield warning(
            "outlier-detection",
            cluster["outlier_detection"],
            "a RegionGate that is slow for a moment is ejected, the last one too; health checks"
            " tell the same with less harm",
            "outlier_detection is left out",
        )


@careful
def _protocol(cluster: Node) -> Iterator[Finding]:
    options = cluster["typed_extension_protocol_options"].key(_OPTIONS)
    spoken = (
        cluster["http2_protocol_options"],
        options.at("explicit_http_config", "http2_protocol_options"),
        options.at("use_downstream_protocol_config", "http2_protocol_options"),
        options["auto_config"],
    )
    if any(spoken):
        yield fine("http2", cluster, "the cluster speaks HTTP/2")
    else:
        yield wrong(
            "http2",
            cluster,
            "the cluster speaks HTTP/1.1, and gRPC needs HTTP/2: no Check is answered",
            "typed_extension_protocol_options:\n"
            f"  {_OPTIONS}:\n"
            f'    "@type": type.googleapis.com/{_OPTIONS}\n'
            "    explicit_http_config: {http2_protocol_options: {}}",
        )


@careful
def _panic(cluster: Node) -> Iterator[Finding]:
    threshold = cluster.at("common_lb_config", "healthy_panic_threshold")
    # A dump leaves out a value of 0.
    if threshold and not threshold["value"].number:
        yield fine("panic-threshold", threshold, "Envoy does not call unhealthy endpoints")
    else:
        yield warning(
            "panic-threshold",
            threshold,
            "Envoy goes on calling unhealthy endpoints once half of them are",
            "common_lb_config:\n  healthy_panic_threshold: {value: 0}",
        )


@careful
def _health(cluster: Node) -> Iterator[Finding]:
    checks = cluster["health_checks"]
    instead = (
        "health_checks:\n  - timeout: 0.5s\n    interval: 1s\n    no_traffic_interval: 1s\n"
        "    unhealthy_threshold: 2\n    healthy_threshold: 1\n"
        f"    grpc_health_check: {{service_name: {HEALTH_SERVICES[0]}}}"
    )
    if not any(one["grpc_health_check"] for one in checks):
        yield warning(
            "health-check",
            checks,
            "Envoy does not learn that a RegionGate is about to stop",
            instead,
        )
    for one in checks:
        name = one.at("grpc_health_check", "service_name")
        if one["grpc_health_check"] and name.text not in HEALTH_SERVICES:
            yield wrong(
                "health-check-service",
                name,
                f"RegionGate knows no service {name.text}, and so is unhealthy to Envoy",
                instead,
            )
        elif one["grpc_health_check"]:
            yield fine("health-check", one, "Envoy asks for RegionGate's health")


@careful
def _endpoints(cluster: Node, expected: Expected) -> Iterator[Finding]:
    if cluster["type"].choice(*_DISCOVERY) != "STATIC":
        return
    localities = cluster.at("load_assignment", "endpoints")
    found = [one for locality in localities for one in locality["lb_endpoints"]]
    if 0 < len(found) < len(expected.listen):
        yield warning(
            "endpoints",
            localities,
            f"the cluster has {len(found)} of the {len(expected.listen)} addresses in listen.grpc:"
            " the other workers have nothing to do",
            f"an endpoint for each of {', '.join(expected.listen)}",
        )


@careful
def _elsewhere(cluster: Node, expected: Expected) -> Iterator[Finding]:
    """Hold where calls go against where RegionGate listens, where the two can be compared."""
    called, listen = list(dict.fromkeys(addresses(cluster))), expected.listen
    if listen and not called:
        yield uncompared(cluster, _where(cluster), expected)
    if not called or not listen or reaches(cluster, expected):
        return
    place = cluster.at("load_assignment", "endpoints")
    what = f"calls go to {', '.join(called)}, and RegionGate listens on {', '.join(listen)}"
    if _comparable([*called, *listen]):
        instead = f"an endpoint for each of {', '.join(listen)}"
        yield warning("cluster-elsewhere", place, f"{what}: it is not asked", instead)
    else:
        yield unknown("cluster-elsewhere", place, f"{what}: whether that is the same is not known")


def reaches(cluster: Node, expected: Expected) -> bool:
    """Say whether a cluster is known to call an address in listen.grpc, with nothing in between."""
    return any(_reaches(one, at) for one in addresses(cluster) for at in expected.listen)


def uncompared(node: Node, called: str, expected: Expected) -> Finding:
    """Say that where calls go could not be held against where RegionGate listens.

    Args:
        node: that says where they go, or does not.
        called: what is known of it, a sentence without its end.
        expected: what is relied on.
    """
    listen = ", ".join(expected.listen)
    what = f"{called}: it could not be compared with listen.grpc ({listen})"
    return unknown("endpoints-not-compared", node, what)


def _where(cluster: Node) -> str:
    name = cluster["name"].text
    if cluster["type"].choice(*_DISCOVERY) == "EDS":
        return f"the endpoints of the cluster {name} are discovered while Envoy runs (EDS)"
    return f"the cluster {name} has no endpoints in what was given"


def _reaches(called: str, listen: str) -> bool:
    """Say whether a call arrives at a listener of this machine's."""
    host, _, port = listen.rpartition(":")
    on_any = _machine(host) and _any(host) and not called.startswith("unix:")
    there, _, called_port = called.rpartition(":")
    return called == listen or (on_any and _machine(there) and port == called_port)


def _comparable(places: list[str]) -> bool:
    """Say whether all are of one machine, with ports that are known."""
    tcp = [one.rpartition(":") for one in places if not one.startswith("unix:")]
    hosts = {host for host, _, _ in tcp}
    literal = all(map(_machine, hosts)) or (len(hosts) == 1 and all(map(_literal, hosts)))
    return literal and all(port != "0" for _, _, port in tcp)


def _machine(host: str) -> bool:
    """Say whether a host is a literal address that every machine has for itself."""
    return _literal(host) and (_any(host) or ip_address(host.strip("[]")).is_loopback)


def _any(host: str) -> bool:
    return ip_address(host.strip("[]")).is_unspecified


def _literal(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def addresses(cluster: Node) -> Iterator[str]:
    """Yield where the endpoints are, written as in listen.grpc."""
    for locality in cluster.at("load_assignment", "endpoints"):
        for one in locality["lb_endpoints"]:
            address = one.at("endpoint", "address")
            port = address.at("socket_address", "port_value").number
            if port is not None:
                host = address.at("socket_address", "address").text
                yield f"[{host}]:{port:.0f}" if ":" in host else f"{host}:{port:.0f}"
            elif address["pipe"]:
                yield f"unix:{address.at('pipe', 'path').text}"
