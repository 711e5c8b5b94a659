"""The connection manager: paths, forged headers, and what stands before and behind the filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regiongate.doctor import address, authorization, routes
from regiongate.doctor.envoy import Filter, Manager
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding
from regiongate.doctor.observation import Observation
from regiongate.doctor.saying import fine, warning, wrong
from regiongate.doctor.tree import Node

_OURS: Final = "x-regiongate-"
_UNCHANGED: Final = {"", "IMPLEMENTATION_SPECIFIC_DEFAULT", "KEEP_UNCHANGED"}

_ANSWERING: Final = {
    ".CacheConfig": "answers from its cache, which holds what others were allowed",
    ".HealthCheck": "answers health checks itself",
    ".Router": "sends the request on",
}
"""Filters that, placed before ext_authz, answer a request that is then not checked."""

_REROUTING: Final = (
    *(".Lua", ".Wasm", ".ExternalProcessor", ".IPTagging", ".GrpcJsonTranscoder"),
    *(".DynamicModuleFilter", ".golang.v3alpha.Config"),
)
"""Filters that may, placed behind ext_authz, have the route chosen anew."""


def examine(
    manager: Manager,
    asked: list[Filter],
    expected: Expected,
    observed: Observation | None,
) -> Iterator[Finding]:
    """Examine a connection manager that has the filter.

    Args:
        manager: the connection manager.
        asked: its filters that ask RegionGate.
        expected: what is relied on.
        observed: what the running service tells; None where it was not asked.
    """
    yield from address.examine(manager, expected, observed)
    for one in asked:
        yield from authorization.examine(one, expected, observed)
        yield from _order(manager, one, expected)
    yield from routes.examine(manager, expected, observed)
    yield from _paths(manager, expected)
    yield from _forged(manager)


def _order(manager: Manager, asked: Filter, expected: Expected) -> Iterator[Finding]:
    position = manager.filters.index(asked)
    for one in manager.filters[:position]:
        for kind, does in _ANSWERING.items():
            if one.type.endswith(kind) and not one.config["pass_through_mode"].on:
                yield (warning if kind == ".HealthCheck" else wrong)(
                    "filter-order",
                    one.entry,
                    f"{one.name} stands before {asked.name} and {does}: such requests are not"
                    " checked",
                    f"{asked.name} before {one.name}",
                )
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
    if routes.differ(manager):
        for one in manager.filters[position:]:
            if one.type.endswith(_REROUTING):
                yield warning(
                    "route-may-change",
                    one.entry,
                    f"{one.name} stands behind {asked.name} and may have the route chosen anew: a"
                    " request can be judged by one route's policy and take another route",
                    f"{one.name} before {asked.name}",
                )


def _paths(manager: Manager, expected: Expected) -> Iterator[Finding]:
    if "path" not in expected.reads and not routes.differ(manager):
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
    if slashes.text in _UNCHANGED:
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
    underscores = manager.config.at(
        "common_http_protocol_options", "headers_with_underscores_action"
    )
    if underscores.text in ("", "ALLOW"):
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
    config = extension["typed_config"].message
    mutations = [*config["mutations"], *config.at("mutations", "request_mutations")]
    return any(
        matcher.text.startswith(_OURS)
        for one in mutations
        for matcher in (one.at("remove_on_match", "key_matcher", "prefix"), one["remove"])
    )
