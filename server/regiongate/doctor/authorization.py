"""The ext_authz filter: what it sends, what it does without an answer, whom it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from regiongate.doctor import calls, enabled
from regiongate.doctor.envoy import Configuration, Filter
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding
from regiongate.doctor.matching import lists
from regiongate.doctor.observation import Observation
from regiongate.doctor.saying import careful, doubted, fine, unknown, warning, wrong
from regiongate.doctor.status import refuses
from regiongate.doctor.tree import Node


@careful
def examine(
    authorization: Filter,
    given: Configuration,
    expected: Expected,
    observed: Observation | None,
) -> Iterator[Finding]:
    """Examine a filter that asks RegionGate, or is meant to.

    Args:
        authorization: an ext_authz filter.
        given: the configuration that it is in.
        expected: what is relied on.
        observed: what the running service tells; None where it was not asked.
    """
    found = _examine(authorization, expected, observed)
    yield from doubted(found) if authorization.provisional else found
    yield from enabled.examine(authorization, given.runtime)
    if authorization.provisional:
        yield unknown(
            "filter-not-given",
            authorization.entry["config_discovery"],
            f"{authorization.name} is discovered while Envoy runs, and what was given has only what"
            " it is until then",
            "the answer of Envoy's /config_dump, which has it",
        )


def _examine(
    authorization: Filter, expected: Expected, observed: Observation | None
) -> Iterator[Finding]:
    config = authorization.config
    if not authorization.calls:
        yield wrong(
            "not-grpc",
            config,
            "the filter asks over HTTP, or nobody: RegionGate answers gRPC",
            "grpc_service:\n  envoy_grpc: {cluster_name: regiongate}",
        )
        return
    yield from calls.examine(authorization.calls, expected, observed)
    for check in _CHECKS:
        yield from check(config)
    yield from _headers(config, expected)
    yield from _sent(config, expected)


@careful
def fails_open(config: Node) -> Iterator[Finding]:
    """Say what happens to a request for which there is no answer; for TCP filters too."""
    node = config["failure_mode_allow"]
    if node.on:
        yield wrong(
            "failure-mode-allow",
            node,
            "failure_mode_allow: true lets requests pass when there is no answer in time, and a"
            " burst of requests can see to that",
            "failure_mode_allow: false",
        )
    else:
        yield fine("failure-mode-allow", node, "without an answer Envoy refuses")


@careful
def _status(config: Node) -> Iterator[Finding]:
    node = config["status_on_error"]
    code, instead = node["code"], "status_on_error: {code: ServiceUnavailable}"
    if not code:
        yield warning(
            "status-on-error",
            node,
            "without an answer clients get 403, as if they had been refused",
            instead,
        )
    elif not refuses(code):
        yield wrong(
            "status-on-error",
            node,
            f"without an answer clients get {code.value}, which reads as a success",
            instead,
        )
    else:
        yield fine("status-on-error", node, f"without an answer clients get {code.value}")


def _switch(name: str, field: str, loss: str, gain: str) -> Callable[[Node], Iterator[Finding]]:
    @careful
    def check(config: Node) -> Iterator[Finding]:
        if config[field].on:
            yield fine(name, config[field], gain)
        else:
            yield warning(name, config[field], f"without {field} {loss}", f"{field}: true")

    return check


def _body(config: Node) -> Iterator[Finding]:
    node = config["with_request_body"]
    if node:
        yield warning(
            "request-body",
            node,
            "RegionGate reads no bodies; sending them costs time, refuses what is longer than"
            " max_request_bytes, and gives clients a way to make calls slow",
            "with_request_body is left out",
        )


@careful
def _route_cache(config: Node) -> Iterator[Finding]:
    node = config["clear_route_cache"]
    if node.on:
        yield warning(
            "clear-route-cache",
            node,
            "the route is chosen once more after the Check: a request can be judged by one route's"
            " policy and take another route",
            "clear_route_cache: false",
        )


@careful
def _shadow(config: Node) -> Iterator[Finding]:
    node = config["shadow_mode"]
    if node.on:
        yield warning(
            "shadow-mode",
            node,
            "shadow_mode: true, so that nothing is refused",
            "shadow_mode: false",
        )


_CHECKS: Final = (
    fails_open,
    _status,
    _switch(
        "validate-mutations",
        "validate_mutations",
        "Envoy writes whatever bytes it is told to into headers",
        "Envoy checks the headers that it is told to write",
    ),
    _switch(
        "raw-headers",
        "encode_raw_headers",
        "repeated headers arrive joined by a comma, and other bytes than ASCII as !",
        "headers arrive as they were sent",
    ),
    _body,
    _route_cache,
    _shadow,
)


# --------------------------------------------------------------------- what arrives of a request


@careful
def _headers(config: Node, expected: Expected) -> Iterator[Finding]:
    found = [
        *_kept_out(config, expected.needed_headers, wrong),
        *_kept_out(config, _useful(expected), warning),
    ]
    if found:
        yield from found
    elif config["allowed_headers"] or config["disallowed_headers"]:
        yield fine("headers", config["allowed_headers"], "every header that is needed arrives")
    else:
        yield fine("headers", config, "every header arrives")
    if "headers" in expected.reads and config["allowed_headers"]:
        yield unknown(
            "headers-of-policies",
            config["allowed_headers"],
            "a condition reads request.headers, and not all of them arrive: whether those do that"
            " it reads is for you to see",
        )


def _useful(expected: Expected) -> Mapping[str, str]:
    useful = {
        "content-type": "an answer that gRPC clients understand",
        "x-regiongate-country": "taking off headers that a client has forged (list the prefix"
        " x-regiongate-)",
    }
    return {name: use for name, use in useful.items() if name not in expected.needed_headers}


def _kept_out(
    config: Node, needed: Mapping[str, str], say: Callable[[str, Node, str, str], Finding]
) -> Iterator[Finding]:
    allowed, disallowed = config["allowed_headers"], config["disallowed_headers"]
    for name, use in needed.items():
        kept = lists(disallowed, name) if disallowed else False
        let = lists(allowed, name) if allowed else True
        if kept:
            what = f"disallowed_headers keeps out {name}, which is needed for {use}"
            yield say("disallowed-headers", disallowed, what, "")
        elif let is False:
            what = f"allowed_headers keeps out {name}, which is needed for {use}"
            yield say("allowed-headers", allowed, what, _allowing(name))
        elif kept is None or let is None:
            what = f"whether {name} arrives, which is needed for {use}, cannot be told"
            yield unknown("headers-by-pattern", disallowed if kept is None else allowed, what)


def _allowing(name: str) -> str:
    pattern = "prefix: x-regiongate-" if name.startswith("x-regiongate-") else f"exact: {name}"
    return f"allowed_headers:\n  patterns:\n    - {{{pattern}}}"


@careful
def _sent(config: Node, expected: Expected) -> Iterator[Finding]:
    """Look for what else has to be sent."""
    namespaces = config["metadata_context_namespaces"]
    listed = {one.text for one in namespaces}
    for namespace in expected.key_namespaces:
        if namespace not in listed:
            yield wrong(
                "metadata-namespace",
                namespaces,
                f"keys.extract looks into the metadata of {namespace}, which is not sent",
                f"metadata_context_namespaces: [{namespace}]",
            )
    if "sni" in expected.reads and not config["include_tls_session"].on:
        yield wrong(
            "tls-session",
            config["include_tls_session"],
            "a condition reads request.sni, which is not sent",
            "include_tls_session: true",
        )
