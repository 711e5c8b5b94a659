"""The cluster that Checks are sent to: that it speaks gRPC, and notices who is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding
from regiongate.doctor.saying import careful, fine, warning, wrong
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


def addresses(cluster: Node) -> Iterator[str]:
    """Yield where the endpoints are, written as in listen.grpc."""
    for locality in cluster.at("load_assignment", "endpoints"):
        for one in locality["lb_endpoints"]:
            address = one.at("endpoint", "address")
            port = address.at("socket_address", "port_value").number
            if port is not None:
                yield f"{address.at('socket_address', 'address').text}:{port:.0f}"
            elif address["pipe"]:
                yield f"unix:{address.at('pipe', 'path').text}"
