"""The connection manager: paths, forged headers, and what stands before and behind the filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regiongate.doctor import address, authorization, routes
from regiongate.doctor.envoy import AUTHORIZATION, Configuration, Filter, Manager
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding
from regiongate.doctor.observation import Observation
from regiongate.doctor.saying import careful, fine, unknown, warning, wrong
from regiongate.doctor.tree import Node

_OURS: Final = "x-regiongate-"
_SLASHES: Final = (
    *("IMPLEMENTATION_SPECIFIC_DEFAULT", "KEEP_UNCHANGED", "REJECT_REQUEST"),
    *("UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"),
)
_UNCHANGED: Final = _SLASHES[:2]
_UNDERSCORES: Final = ("ALLOW", "REJECT_REQUEST", "DROP_HEADER")

_ANSWERING: Final = {
    ".CacheConfig": "answers from its cache, which holds what others were allowed",
    ".CacheV2Config": "answers from its cache, which holds what others were allowed",
    ".HealthCheck": "answers health checks itself",
    ".Router": "sends the request on",
}
"""Filters that, placed before ext_authz, answer a request that is then not checked."""

_PASSING_ON: Final = (
    *(AUTHORIZATION, ".JwtAuthentication", ".RBAC", ".Cors", ".CsrfPolicy", ".Buffer"),
    *(".HeaderMutation", ".header_to_metadata.v3.Config", ".peer_metadata.Config"),
    *(".LocalRateLimit", ".RateLimit", ".BandwidthLimit", ".AdmissionControl", ".HTTPFault"),
    *(".Compressor", ".Decompressor", ".GrpcWeb", ".IPTagging", ".grpc_stats.v3.FilterConfig"),
)
"""Filters that send a request on or refuse it, and have no answer of an upstream's."""

_REROUTING: Final = (
    *(".Lua", ".Wasm", ".ExternalProcessor", ".IPTagging", ".GrpcJsonTranscoder"),
    *(".DynamicModuleFilter", ".golang.v3alpha.Config"),
)
"""Filters that may, placed behind ext_authz, have the route chosen anew."""


@careful
def examine(
    manager: Manager,
    asked: list[Filter],
    given: Configuration,
    expected: Expected,
    observed: Observation | None,
) -> Iterator[Finding]:
    """Examine a connection manager that has the filter.

    Args:
        manager: the connection manager.
        asked: its filters that ask RegionGate.
        given: the configuration that it is in.
        expected: what is relied on.
        observed: what the running service tells; None where it was not asked.
    """
    yield from address.examine(manager, expected, observed)
    for one in asked:
        yield from authorization.examine(one, given, expected, observed)
        yield from _before(manager, one)
        yield from _behind(manager, one, expected)
    yield from routes.examine(manager, asked, given, expected, observed)
    yield from _paths(manager, asked, expected)
    yield from _forged(manager)
    yield from _underscores(manager)


@careful
def _before(manager: Manager, asked: Filter) -> Iterator[Finding]:
    for one in manager.filters[: manager.filters.index(asked)]:
        known = next((kind for kind in _ANSWERING if one.type.endswith(kind)), None)
        first = f"{one.name} stands before {asked.name} and"
        instead = f"{asked.name} before {one.name}"
        if known is None and not one.type.endswith(_PASSING_ON):
            what = f"{first} may answer requests itself, which are then not checked"
            yield unknown("filter-before", one.entry, what, instead)
        elif known is not None and not one.config["pass_through_mode"].on:
            yield (warning if known == ".HealthCheck" else wrong)(
                "filter-order",
                one.entry,
                f"{first} {_ANSWERING[known]}: such requests are not checked",
                instead,
            )


@careful
def _behind(manager: Manager, asked: Filter, expected: Expected) -> Iterator[Finding]:
    position = manager.filters.index(asked)
    for namespace in expected.key_namespaces:
        behind = [one for one in manager.filters[position:] if one.name == namespace]
        for one in behind:
            yield wrong(
                "filter-order",
                one.entry,
                f"{one.name} stands behind {asked.name}: the identity that it verifies is not"
                " there yet when RegionGate is asked",
                f"{one.name} before {asked.name}",
            )
    if routes.differ(manager, [asked]):
        for one in manager.filters[position:]:
            if one.type.endswith(_REROUTING):
                yield warning(
                    "route-may-change",
                    one.entry,
                    f"{one.name} stands behind {asked.name} and may have the route chosen anew: a"
                    " request can be judged by one route's policy and take another route",
                    f"{one.name} before {asked.name}",
                )


@careful
def _paths(manager: Manager, asked: list[Filter], expected: Expected) -> Iterator[Finding]:
    if "path" not in expected.reads and not routes.differ(manager, asked):
        return
    config = manager.config
    because = (
        "a condition reads request.path"
        if "path" in expected.reads
        else "the policy depends on the route"
    )
    unnormalised = [
        (wrong, config["normalize_path"], "/a/../b", "true"),
        (warning, config["merge_slashes"], "//b", "true"),
    ]
    found = [
        say(
            node.name.replace("_", "-"),
            node,
            f"{because}, and {path} is judged as it is written: the upstream may read it as"
            " another path",
            f"{node.name}: {instead}",
        )
        for say, node, path, instead in unnormalised
        if not node.on
    ]
    slashes = config["path_with_escaped_slashes_action"]
    if slashes.choice(*_SLASHES) in _UNCHANGED:
        found.append(
            warning(
                "escaped-slashes",
                slashes,
                f"{because}, and /a%2fb is judged as it is written: the upstream may read it as"
                " another path",
                "path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT",
            )
        )
    yield from found or [fine("paths", config["normalize_path"], "paths are normalised")]


@careful
def _forged(manager: Manager) -> Iterator[Finding]:
    extensions = manager.config["early_header_mutation_extensions"]
    if any(_removes(one) for one in [*extensions, *(one.entry for one in manager.filters)]):
        yield fine("forged-headers", extensions, f"{_OURS}* of clients is taken off every request")
    else:
        yield warning(
            "forged-headers",
            extensions,
            f"{_OURS}* of clients reaches the upstream with requests that RegionGate does not see",
            "early_header_mutation_extensions:\n"
            "  - name: envoy.http.early_header_mutation.header_mutation\n    typed_config:\n"
            '      "@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.'
            "header_mutation.v3.HeaderMutation\n      mutations:\n"
            f"        - remove_on_match: {{key_matcher: {{prefix: {_OURS}}}}}",
        )


@careful
def _underscores(manager: Manager) -> Iterator[Finding]:
    underscores = manager.config.at(
        "common_http_protocol_options", "headers_with_underscores_action"
    )
    if underscores.choice(*_UNDERSCORES) == "ALLOW":
        yield warning(
            "underscores",
            underscores,
            "clients can send x_regiongate_country, which many upstreams (CGI, WSGI, Rack) take for"
            f" {_OURS}country",
            "common_http_protocol_options:\n  headers_with_underscores_action: DROP_HEADER",
        )
    else:
        yield fine("underscores", underscores, "headers with underscores do not reach the upstream")


def _removes(extension: Node) -> bool:
    typed = extension["typed_config"]
    if not typed.type.endswith(".HeaderMutation"):
        return False
    # The one for early mutation has a list where the HTTP filter has one for each direction.
    written = typed.message["mutations"]
    mutations = written["request_mutations"] if written.has_fields else written
    return any(
        bool(prefix) and _OURS.startswith(prefix)
        for one in mutations
        for prefix in (one.at("remove_on_match", "key_matcher", "prefix").text,)
    )
