"""Ways past the filter, wherever a configuration of Envoy's can have them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Severity
from tests.unit.doctor.wirings import EXPECTED, Change, Wiring, bad, changed, found

WRONG, WARNING, UNKNOWN, FINE = Severity

TYPES = "type.googleapis.com"
HTTP = f"{TYPES}/envoy.extensions.filters.http"
PER_ROUTE = f"{HTTP}.ext_authz.v3.ExtAuthzPerRoute"
WRAPPING = f"{TYPES}/envoy.config.route.v3.FilterConfig"
ROUTE = f"{TYPES}/envoy.config.route.v3"
WITH_MATCHER = f"{TYPES}/envoy.extensions.common.matching.v3.ExtensionWithMatcher"
SKIP = f"{TYPES}/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"
CACHE = f"{HTTP}.cache_v2.v3.CacheV2Config"
TUNNEL = f"{TYPES}/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
NETWORK = f"{TYPES}/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz"
DETECTION = f"{TYPES}/envoy.extensions.http.original_ip_detection"

FILTER = "envoy.filters.http.ext_authz"
OFF: Mapping[str, Any] = {FILTER: {"@type": PER_ROUTE, "disabled": True}}
ANY: Mapping[str, Any] = {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}

XFF = replace(EXPECTED, source="xff", trusted_hops=1)
PEER = replace(EXPECTED, source="peer")

# --------------------------------------------------------------------------- what a filter is for


def upgraded(*filters: int, upgrade: str = "websocket") -> Change:
    """Give an upgrade a chain of its own, of the filters at these places."""

    def change(wiring: Wiring) -> None:
        chain = [copy.deepcopy(wiring.filters[one]) for one in filters]
        wiring.manager["upgrade_configs"] = [{"upgrade_type": upgrade, "filters": chain}]

    return change


def upgraded_open(wiring: Wiring) -> None:
    upgraded(0, 1)(wiring)
    (upgrade,) = wiring.manager["upgrade_configs"]
    upgrade["filters"][0]["typed_config"]["failure_mode_allow"] = True


def matched(action: str) -> Change:
    def change(wiring: Wiring) -> None:
        entry = wiring.filters[0]
        picked = {"action": {"name": "a", "typed_config": {"@type": action}}}
        entry["typed_config"] = {
            "@type": WITH_MATCHER,
            "extension_config": {"name": FILTER, "typed_config": entry["typed_config"]},
            "xds_matcher": {"matcher_tree": {"exact_match_map": {"map": {"1": picked}}}},
        }

    return change


def first(kind: str) -> Change:
    entry = {"name": "first", "typed_config": {"@type": kind}}
    return lambda wiring: wiring.filters.insert(0, entry)


def enabled(numerator: int, denominator: Any, key: str = "", **layer: Any) -> Change:
    """Have a share of requests checked, of which a layer of the runtime may say another."""

    def change(wiring: Wiring) -> None:
        share = {"numerator": numerator, "denominator": denominator}
        setting = {"default_value": share, **({"runtime_key": key} if key else {})}
        wiring.authorization["filter_enabled"] = setting
        if layer:
            layers = [{"name": "static", "static_layer": layer}]
            wiring.bootstrap["layered_runtime"] = {"layers": layers}

    return change


# ------------------------------------------------------------------------------------------ routes


def by_another_name(entry: Mapping[str, Any]) -> Change:
    """Call the filter regiongate, and give the last route settings for it."""

    def change(wiring: Wiring) -> None:
        wiring.filters[0]["name"] = "regiongate"
        for owner in (wiring.host, wiring.host["routes"][0]):
            owner["typed_per_filter_config"] = {
                "regiongate": owner["typed_per_filter_config"][FILTER]
            }
        wiring.host["routes"][1]["typed_per_filter_config"] = {"regiongate": dict(entry)}

    return change


def in_matcher(kind: str, **fields: Any) -> Change:
    """Have a matcher in place of routes."""

    def change(wiring: Wiring) -> None:
        del wiring.host["routes"]
        action = {"name": "a", "typed_config": {"@type": kind, **fields}}
        wiring.host["matcher"] = {
            "matcher_tree": {"prefix_match_map": {"map": {"/": {"action": action}}}}
        }

    return change


def weighted(wiring: Wiring) -> None:
    clusters = [{"name": "upstream", "weight": 1, "typed_per_filter_config": OFF}]
    wiring.host["routes"][1]["route"] = {"weighted_clusters": {"clusters": clusters}}


def asking(**service: Any) -> Change:
    settings = {FILTER: {"@type": PER_ROUTE, "check_settings": service}}
    return lambda wiring: wiring.host["routes"][1].update(typed_per_filter_config=settings)


def elsewhere(wiring: Wiring) -> None:
    asking(grpc_service=copy.deepcopy(wiring.calls))(wiring)
    own = wiring.host["routes"][1]["typed_per_filter_config"][FILTER]
    own["check_settings"]["grpc_service"]["envoy_grpc"]["cluster_name"] = "upstream"


# ----------------------------------------------------------------------------------------- others


def tunnelled(*before: str, cluster: str = "upstream") -> Change:
    """Add a listener for TCP."""

    def change(wiring: Wiring) -> None:
        filters = [{"name": kind, "typed_config": {"@type": kind}} for kind in before]
        proxy = {"@type": TUNNEL, "stat_prefix": "raw", "cluster": cluster}
        filters.append({"name": "tcp", "typed_config": proxy})
        listeners = wiring.bootstrap["static_resources"]["listeners"]
        listeners.append({"name": "raw", "filter_chains": [{"filters": filters}]})

    return change


def same_place(wiring: Wiring) -> None:
    """Reach the upstream's address under another name."""
    clusters = wiring.bootstrap["static_resources"]["clusters"]
    clusters.append({**copy.deepcopy(clusters[1]), "name": "other"})
    tunnelled(cluster="other")(wiring)


def detected(*kinds: str, **config: Any) -> Change:
    def change(wiring: Wiring) -> None:
        extensions = [{"@type": f"{DETECTION}.{kind}", **config} for kind in kinds]
        wiring.manager["original_ip_detection_extensions"] = [
            {"name": str(number), "typed_config": one} for number, one in enumerate(extensions)
        ]
        del wiring.manager["use_remote_address"], wiring.manager["xff_num_trusted_hops"]

    return change


RANGES = {"cidrs": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}

PLACES: dict[str, tuple[Change, Expected, dict[str, Severity]]] = {
    # Chains of filters.
    "an upgrade without": (upgraded(1), EXPECTED, {"upgrade-not-checked": WRONG}),
    "an upgrade with": (upgraded(0, 1), EXPECTED, {}),
    "an upgrade that fails open": (upgraded_open, EXPECTED, {"failure-mode-allow": WRONG}),
    "an upgrade without filters of its own": (upgraded(), EXPECTED, {}),
    "a matcher that skips": (matched(SKIP), EXPECTED, {"filter-skipped": WRONG}),
    "a newer cache before it": (first(CACHE), EXPECTED, {"filter-order": WRONG}),
    # The share of requests, by name and by number.
    "all by number": (enabled(10_000, 1), EXPECTED, {}),
    "a hundredth by number": (enabled(100, 1), EXPECTED, {"filter-enabled": WRONG}),
    "all in quotes": (enabled(100, "0"), EXPECTED, {}),
    "none by runtime": (
        enabled(100, "HUNDRED", "rg.enabled", **{"rg.enabled": 0}),
        EXPECTED,
        {"filter-enabled": WRONG},
    ),
    "none by runtime, nested": (
        enabled(100, "HUNDRED", "rg.enabled", rg={"enabled": {"numerator": 0}}),
        EXPECTED,
        {"filter-enabled": WRONG},
    ),
    # Routes.
    "off by the filter's name alone": (
        by_another_name({"@type": WRAPPING, "disabled": True}),
        EXPECTED,
        {"route-not-checked": WARNING},
    ),
    "off by the filter's name": (
        by_another_name({"@type": PER_ROUTE, "disabled": True}),
        EXPECTED,
        {"route-not-checked": WARNING},
    ),
    "off in a matcher": (
        in_matcher(f"{ROUTE}.Route", **ANY, typed_per_filter_config=OFF),
        EXPECTED,
        {"route-not-checked": WARNING},
    ),
    "off in a list in a matcher": (
        in_matcher(f"{ROUTE}.RouteList", routes=[{**ANY, "typed_per_filter_config": OFF}]),
        EXPECTED,
        {"route-not-checked": WARNING},
    ),
    "off for a weighted cluster": (weighted, EXPECTED, {"route-not-checked": WARNING}),
    "asks another": (elsewhere, EXPECTED, {"route-asks-another": WRONG}),
    "asks over HTTP": (
        asking(http_service={"server_uri": {"uri": "http://x", "cluster": "upstream"}}),
        EXPECTED,
        {"route-asks-another": WRONG},
    ),
    # TCP.
    "a tunnel to the same cluster": (tunnelled(), EXPECTED, {"tcp-not-checked": WARNING}),
    "a tunnel to the same place": (same_place, EXPECTED, {"tcp-not-checked": WARNING}),
    "a tunnel to another": (tunnelled(cluster="regiongate"), EXPECTED, {}),
    "a tunnel that is checked": (tunnelled(NETWORK), PEER, {"peer-is-proxy": WRONG}),
    # Who the client is.
    "a second detection by a header": (
        detected(
            "xff.v3.XffConfig",
            "custom_header.v3.CustomHeaderConfig",
            xff_trusted_cidrs=RANGES,
            header_name="x-real-ip",
        ),
        EXPECTED,
        {"address-by-ranges": WARNING, "address-from-header": WRONG},
    ),
}


@pytest.mark.parametrize(("change", "expected", "wanted"), PLACES.values(), ids=PLACES)
def test_a_way_past_the_filter_is_found(
    change: Change, expected: Expected, wanted: dict[str, Severity]
) -> None:
    """That and nothing else; routes that turn the filter off are not fine."""
    for given in changed(change).forms():
        findings = found(given, expected)
        assert bad(findings) == wanted, given.file
        fine = {one.name for one in findings if one.severity is FINE}
        assert ("routes" in fine) is ("route-not-checked" not in wanted)


UNKNOWNS: dict[str, tuple[Change, Expected, str, set[str]]] = {
    "a matcher with another action": (
        matched(f"{TYPES}/x.Action"),
        EXPECTED,
        "filter-matched",
        set(),
    ),
    "a runtime key": (enabled(100, "HUNDRED", "rg.enabled"), EXPECTED, "runtime-key", set()),
    "an unknown filter before it": (first(f"{TYPES}/x.Y"), EXPECTED, "filter-before", set()),
    "settings of an unknown kind": (
        by_another_name({"@type": f"{TYPES}/x.PerRoute"}),
        EXPECTED,
        "route-settings",
        {"routes"},
    ),
    "an unknown action in place of routes": (
        in_matcher(f"{TYPES}/x.Action"),
        EXPECTED,
        "routes-matched",
        {"routes"},
    ),
    "virtual hosts on demand": (
        lambda wiring: wiring.manager["route_config"].update(vhds={"config_source": {"ads": {}}}),
        EXPECTED,
        "routes-not-given",
        {"routes"},
    ),
    "several detections": (
        detected("xff.v3.XffConfig", "xff.v3.XffConfig", skip_xff_append=False),
        XFF,
        "several-detections",
        {"envoy-appends", "trusted-hops"},
    ),
    "a network filter that is discovered": (
        lambda wiring: wiring.listener["filter_chains"][0]["filters"].insert(
            0, {"name": "later", "config_discovery": {"config_source": {"ads": {}}}}
        ),
        EXPECTED,
        "filter-not-given",
        set(),
    ),
}


@pytest.mark.parametrize(
    ("change", "expected", "name", "not_fine"), UNKNOWNS.values(), ids=UNKNOWNS
)
def test_what_cannot_be_told_is_unknown(
    change: Change, expected: Expected, name: str, not_fine: set[str]
) -> None:
    """And what rests on it is not fine."""
    findings = found(changed(change).camel(), expected)
    assert [one.severity for one in findings if one.name == name] == [UNKNOWN]
    assert {one.name for one in findings if one.severity is FINE} & not_fine == set()


def test_a_filter_with_a_default_until_it_is_discovered_is_not_fine() -> None:
    """What it will be is not in a bootstrap."""

    def change(wiring: Wiring) -> None:
        entry = wiring.filters[0]
        default = entry.pop("typed_config")
        entry["config_discovery"] = {"config_source": {"ads": {}}, "default_config": default}

    findings = found(changed(change).yaml())
    assert "filter-not-given" in {one.name for one in findings if one.severity is UNKNOWN}
    fine = {one.name for one in findings if one.severity is FINE}
    assert fine & {"failure-mode-allow", "status-on-error", "metadata"} == set()


def test_routes_of_no_name_are_those_of_their_own_manager() -> None:
    """A dump may have others without a name."""
    wiring = Wiring()
    del wiring.manager["route_config"]["name"]
    other = {"virtual_hosts": [{"name": "other", "domains": ["*"], "routes": [{**ANY}]}]}
    wiring.host["routes"][1]["typed_per_filter_config"] = dict(OFF)
    wiring.bootstrap["static_route_configs"] = [{"route_config": other}]
    assert bad(found(wiring.yaml())) == {"route-not-checked": WARNING}


FORGED = {
    "the prefix": ({"remove_on_match": {"key_matcher": {"prefix": "x-regiongate-"}}}, {}),
    "a longer prefix": (
        {"remove_on_match": {"key_matcher": {"prefix": "x-regiongate-country"}}},
        {"forged-headers": WARNING},
    ),
    "one of them": ({"remove": "x-regiongate-country"}, {"forged-headers": WARNING}),
}


@pytest.mark.parametrize(("mutation", "wanted"), FORGED.values(), ids=FORGED)
def test_all_that_clients_may_forge_is_taken_off(
    mutation: dict[str, Any], wanted: dict[str, Severity]
) -> None:
    """Not one header of several."""
    wiring = Wiring()
    (extension,) = wiring.manager["early_header_mutation_extensions"]
    extension["typed_config"]["mutations"] = [mutation]
    assert bad(found(wiring.yaml())) == wanted
