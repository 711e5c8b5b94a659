"""The ext_authz filter: what it sends, what it does without an answer, whom it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from regiongate.doctor import calls
from regiongate.doctor.envoy import Filter
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding
from regiongate.doctor.matching import lists
from regiongate.doctor.observation import Observation
from regiongate.doctor.saying import fine, unknown, warning, wrong
from regiongate.doctor.tree import Node

_SUCCESS: Final = {"Continue", "OK", "Created", "Accepted", "NoContent", "ResetContent"}
"""Names of envoy.type.v3.StatusCode below 300."""
_FIRST_REFUSAL: Final = 400
_HUNDRED: Final = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}


def examine(
    authorization: Filter, expected: Expected, observed: Observation | None
) -> Iterator[Finding]:
    """Examine a filter that asks RegionGate, or is meant to.

    Args:
        authorization: an ext_authz filter.
        expected: what is relied on.
        observed: what the running service tells; None where it was not asked.
    """
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
    yield from _enabled(authorization)


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


def _status(config: Node) -> Iterator[Finding]:
    node = config["status_on_error"]
    code, instead = node["code"], "status_on_error: {code: ServiceUnavailable}"
    number = code.number
    if not code:
        yield warning(
            "status-on-error",
            node,
            "without an answer clients get 403, as if they had been refused",
            instead,
        )
    elif code.text in _SUCCESS or (number is not None and number < _FIRST_REFUSAL):
        yield wrong(
            "status-on-error",
            node,
            f"without an answer clients get {code.value}, which reads as a success",
            instead,
        )
    else:
        yield fine("status-on-error", node, f"without an answer clients get {code.value}")


def _switch(name: str, field: str, loss: str, gain: str) -> Callable[[Node], Iterator[Finding]]:
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
        if disallowed and lists(disallowed, name):
            what = f"disallowed_headers keeps out {name}, which is needed for {use}"
            yield say("disallowed-headers", disallowed, what, "")
        elif allowed and lists(allowed, name) is False:
            what = f"allowed_headers keeps out {name}, which is needed for {use}"
            yield say("allowed-headers", allowed, what, _allowing(name))


def _allowing(name: str) -> str:
    pattern = "prefix: x-regiongate-" if name.startswith("x-regiongate-") else f"exact: {name}"
    return f"allowed_headers:\n  patterns:\n    - {{{pattern}}}"


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


# ----------------------------------------------------------------------------- whether it is asked


def _enabled(authorization: Filter) -> Iterator[Finding]:
    config = authorization.config
    share = _share(config.at("filter_enabled", "default_value"))
    if (
        config["filter_enabled"]
        and share < 1
        and not config.at("deny_at_disable", "default_value").on
    ):
        yield wrong(
            "filter-enabled",
            config["filter_enabled"],
            f"{share:.3g} of all requests are checked, and the others pass",
            "filter_enabled is left out",
        )
    if config["filter_enabled_metadata"]:
        yield warning(
            "filter-enabled-metadata",
            config["filter_enabled_metadata"],
            "only requests with certain metadata are checked (Istio: those that the rules of the"
            " AuthorizationPolicy match); the others pass",
        )
    if authorization.entry["disabled"].on:
        yield warning(
            "filter-disabled",
            authorization.entry["disabled"],
            "the filter is off but for routes that turn it on",
            "disabled: false",
        )


def _share(percent: Node) -> float:
    return (percent["numerator"].number or 0.0) / _HUNDRED.get(percent["denominator"].text, 100)
