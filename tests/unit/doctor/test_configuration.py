"""What is found in Envoy's configuration: one broken wiring for each finding."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from regiongate.doctor.envoy import is_envoys
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Severity
from regiongate.doctor.observation import Observation
from regiongate.doctor.tree import read
from tests.unit.doctor.wirings import EXPECTED, Change, Wiring, bad, changed, found

WRONG, WARNING = Severity.WRONG, Severity.WARNING

XFF = replace(EXPECTED, source="xff", trusted_hops=1)
PEER = replace(EXPECTED, source="peer")
HEADER = replace(EXPECTED, source="header", header="cf-connecting-ip")
VERIFIED = replace(EXPECTED, key_namespaces=("envoy.filters.http.jwt_authn",))
READS_PATH = replace(EXPECTED, policies=None, reads=frozenset({"path"}))
READS_SNI = replace(EXPECTED, reads=frozenset({"sni"}))
REMOTE_KEYS = replace(EXPECTED, key_deadline=0.3)
TWO_WORKERS = replace(EXPECTED, listen=("127.0.0.1:9191", "127.0.0.1:9193"))

EXTENSION = "type.googleapis.com/envoy.extensions.http.original_ip_detection"
HTTP = "type.googleapis.com/envoy.extensions.filters.http"


def test_the_shipped_configuration_is_fine() -> None:
    """In each of its forms; what is not measured is said to be unknown, and not to be fine."""
    for given in Wiring().forms():
        findings = found(given)
        assert bad(findings) == {}
        unknown = {one.name for one in findings if one.severity is Severity.UNKNOWN}
        assert unknown == {"hops-unmeasured", "timeout-unmeasured"}


def metadata(value: str) -> Change:
    return lambda wiring: wiring.calls["initial_metadata"][0].update(value=value)


def detection(kind: str, **config: Any) -> Change:
    """Have an extension say who the client is, instead of use_remote_address."""

    def change(wiring: Wiring) -> None:
        typed = {"@type": f"{EXTENSION}.{kind}", **config}
        wiring.manager["original_ip_detection_extensions"] = [{"name": "x", "typed_config": typed}]
        del wiring.manager["use_remote_address"], wiring.manager["xff_num_trusted_hops"]

    return change


def before(name: str, kind: str, **config: Any) -> Change:
    typed = {"@type": f"{HTTP}.{kind}", **config}
    return lambda wiring: wiring.filters.insert(0, {"name": name, "typed_config": typed})


def behind(name: str, kind: str) -> Change:
    typed = {"@type": f"{HTTP}.{kind}"}
    return lambda wiring: wiring.filters.insert(1, {"name": name, "typed_config": typed})


def per_route(**config: Any) -> Change:
    typed = {"@type": f"{HTTP}.ext_authz.v3.ExtAuthzPerRoute", **config}

    def change(wiring: Wiring) -> None:
        settings = {"envoy.filters.http.ext_authz": typed}
        wiring.host["routes"][1]["typed_per_filter_config"] = settings

    return change


def filtered(**headers: Any) -> Change:
    return lambda wiring: wiring.authorization.update(headers)


def listener_filter(wiring: Wiring) -> None:
    kind = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
    typed = {"@type": kind, "allow_requests_without_proxy_protocol": True}
    wiring.listener["listener_filters"] = [{"name": "proxy", "typed_config": typed}]


def another_listener(wiring: Wiring) -> None:
    other = Wiring()
    other.listener["name"] = "inside"
    del other.filters[0]
    wiring.bootstrap["static_resources"]["listeners"].append(other.listener)


def tcp(wiring: Wiring) -> None:
    kind = "type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz"
    (chain,) = wiring.listener["filter_chains"]
    chain["filters"].insert(0, {"name": "tcp", "typed_config": {"@type": kind}})


def removed(of: str, *names: str) -> Change:
    def change(wiring: Wiring) -> None:
        for name in names:
            del getattr(wiring, of)[name]

    return change


def put(of: str, **values: Any) -> Change:
    return lambda wiring: getattr(wiring, of).update(values)


def renamed(wiring: Wiring) -> None:
    wiring.filters[0]["name"] = "regiongate"


def misplaced_retry(wiring: Wiring) -> None:
    wiring.calls["envoy_grpc"]["retry_policy"] = wiring.calls.pop("retry_policy")


def listed(*names: str) -> dict[str, Any]:
    return {"patterns": [{"exact": name} for name in names]}


KEYS = ("authorization", "x-api-key")
REST: dict[str, Any] = {"prefix": "x-regiongate-"}
ALL_BUT_ONE = {"patterns": [*listed(KEYS[0], "content-type")["patterns"], REST]}

BROKEN: dict[str, tuple[Change, Expected, dict[str, Severity]]] = {
    # Without an answer.
    "fails open": (
        put("authorization", failure_mode_allow=True),
        EXPECTED,
        {"failure-mode-allow": WRONG},
    ),
    "errors are 403": (
        removed("authorization", "status_on_error"),
        EXPECTED,
        {"status-on-error": WARNING},
    ),
    "errors are 200": (
        put("authorization", status_on_error={"code": "OK"}),
        EXPECTED,
        {"status-on-error": WRONG},
    ),
    "errors are 204": (
        put("authorization", status_on_error={"code": 204}),
        EXPECTED,
        {"status-on-error": WRONG},
    ),
    "no timeout": (removed("calls", "timeout"), EXPECTED, {"timeout-missing": WARNING}),
    "timeout 0": (put("calls", timeout="0s"), EXPECTED, {"timeout-none": WRONG}),
    "timeout of microseconds": (
        put("calls", timeout="0.0005s"),
        EXPECTED,
        {"timeout-none": WRONG},
    ),
    "timeout of Istio": (put("calls", timeout="600s"), EXPECTED, {"timeout-long": WARNING}),
    "timeout below the key store's": (
        put("calls", timeout="0.25s"),
        REMOTE_KEYS,
        {"timeout-key-store": WARNING},
    ),
    "no retries": (removed("calls", "retry_policy"), EXPECTED, {"retry-missing": WARNING}),
    "retries in the wrong place": (misplaced_retry, EXPECTED, {"retry-misplaced": WARNING}),
    # The client's address, as Envoy derives it.
    "no metadata": (
        removed("calls", "initial_metadata"),
        EXPECTED,
        {"metadata-missing": WRONG},
    ),
    "metadata of another name": (
        put("calls", initial_metadata=[{"key": "x-client-ip", "value": "%X%"}]),
        EXPECTED,
        {"metadata-missing": WRONG},
    ),
    "metadata twice": (
        lambda wiring: wiring.calls["initial_metadata"].append(wiring.calls["initial_metadata"][0]),
        EXPECTED,
        {"metadata-repeated": WRONG},
    ),
    "metadata with the port": (
        metadata("%DOWNSTREAM_REMOTE_ADDRESS%"),
        EXPECTED,
        {"metadata-value": WRONG},
    ),
    "metadata of the peer": (
        metadata("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
        EXPECTED,
        {"metadata-peer": WARNING},
    ),
    "metadata of a header": (
        metadata("%REQ(x-forwarded-for)%"),
        EXPECTED,
        {"metadata-forgeable": WRONG},
    ),
    "not the remote address": (
        removed("manager", "use_remote_address"),
        EXPECTED,
        {"use-remote-address": WRONG},
    ),
    "any client's header": (
        detection("custom_header.v3.CustomHeaderConfig", header_name="x-forwarded-for"),
        EXPECTED,
        {"address-from-header": WRONG},
    ),
    "every range trusted": (
        detection(
            "xff.v3.XffConfig",
            xff_trusted_cidrs={"cidrs": [{"address_prefix": "0.0.0.0"}]},
        ),
        EXPECTED,
        {"trusts-everybody": WRONG, "address-by-ranges": WARNING},
    ),
    "hops of the extension": (
        detection("xff.v3.XffConfig", xff_num_trusted_hops=1),
        EXPECTED,
        {"address-by-hops": WARNING},
    ),
    "PROXY protocol at will": (listener_filter, EXPECTED, {"proxy-protocol-optional": WRONG}),
    # The client's address from elsewhere.
    "not appended": (
        put("manager", skip_xff_append=True),
        XFF,
        {"envoy-appends": WRONG},
    ),
    "appended after all": (
        put("manager"),
        replace(XFF, envoy_appends=False),
        {"envoy-appends": WRONG},
    ),
    "hops differ": (
        put("manager", xff_num_trusted_hops=2),
        XFF,
        {"trusted-hops": WRONG},
    ),
    "hops only in one file": (
        removed("manager", "xff_num_trusted_hops"),
        XFF,
        {"trusted-hops": WARNING},
    ),
    "x-forwarded-for kept out": (
        filtered(disallowed_headers=listed("x-forwarded-for")),
        XFF,
        {"disallowed-headers": WRONG},
    ),
    "the named header kept out": (
        filtered(disallowed_headers=listed("cf-connecting-ip")),
        HEADER,
        {"disallowed-headers": WRONG},
    ),
    "a peer that is a proxy": (put("manager"), PEER, {"peer-is-proxy": WRONG}),
    # What arrives.
    "one key header kept out": (
        filtered(allowed_headers=ALL_BUT_ONE),
        EXPECTED,
        {"allowed-headers": WRONG},
    ),
    "only keys arrive": (
        filtered(allowed_headers=listed(*KEYS)),
        EXPECTED,
        {"allowed-headers": WARNING},
    ),
    "metadata is not sent": (put("manager"), VERIFIED, {"metadata-namespace": WRONG}),
    "SNI is not sent": (
        removed("authorization", "include_tls_session"),
        READS_SNI,
        {"tls-session": WRONG},
    ),
    "headers joined": (
        removed("authorization", "encode_raw_headers"),
        EXPECTED,
        {"raw-headers": WARNING},
    ),
    "mutations unchecked": (
        removed("authorization", "validate_mutations"),
        EXPECTED,
        {"validate-mutations": WARNING},
    ),
    "bodies": (
        put("authorization", with_request_body={"max_request_bytes": 8192}),
        EXPECTED,
        {"request-body": WARNING},
    ),
    # Which requests are checked, and by what.
    "over HTTP": (removed("authorization", "grpc_service"), EXPECTED, {"not-grpc": WRONG}),
    "no filter": (lambda wiring: wiring.filters.pop(0), EXPECTED, {"filter-missing": WRONG}),
    "a listener without": (another_listener, EXPECTED, {"listener-not-checked": WARNING}),
    "half of all": (
        put("authorization", filter_enabled={"default_value": {"numerator": 50}}),
        EXPECTED,
        {"filter-enabled": WRONG},
    ),
    "some by metadata": (
        put("authorization", filter_enabled_metadata={"filter": "envoy.filters.http.rbac"}),
        EXPECTED,
        {"filter-enabled-metadata": WARNING},
    ),
    "off": (
        lambda wiring: wiring.filters[0].update(disabled=True),
        EXPECTED,
        {"filter-disabled": WARNING},
    ),
    "in shadow": (put("authorization", shadow_mode=True), EXPECTED, {"shadow-mode": WARNING}),
    "a cache before it": (
        before("cache", "cache.v3.CacheConfig"),
        EXPECTED,
        {"filter-order": WRONG},
    ),
    "a health check before it": (
        before("health", "health_check.v3.HealthCheck", pass_through_mode=False),
        EXPECTED,
        {"filter-order": WARNING},
    ),
    "an identity verified too late": (
        lambda wiring: (
            behind("envoy.filters.http.jwt_authn", "jwt_authn.v3.JwtAuthentication")(wiring),
            wiring.authorization.update(metadata_context_namespaces=[*VERIFIED.key_namespaces]),
        ),
        VERIFIED,
        {"filter-order": WRONG},
    ),
    "the route may change": (
        behind("lua", "lua.v3.Lua"),
        EXPECTED,
        {"route-may-change": WARNING},
    ),
    "the route is chosen anew": (
        put("authorization", clear_route_cache=True),
        EXPECTED,
        {"clear-route-cache": WARNING},
    ),
    "a route that is not checked": (
        per_route(disabled=True),
        EXPECTED,
        {"route-not-checked": WARNING},
    ),
    "an unknown policy": (
        per_route(check_settings={"context_extensions": {"regiongate.policy": "interal"}}),
        EXPECTED,
        {"policy-unknown": WRONG},
    ),
    "a route with calls of its own": (
        per_route(
            check_settings={
                "grpc_service": {
                    "timeout": "0.25s",
                    "retry_policy": {},
                    "envoy_grpc": {"cluster_name": "regiongate"},
                }
            }
        ),
        EXPECTED,
        {"metadata-missing": WRONG},
    ),
    "settings for no filter": (renamed, EXPECTED, {"route-other-filter": WARNING}),
    # Paths and headers.
    "paths as written": (
        removed("manager", "normalize_path"),
        EXPECTED,
        {"normalize-path": WRONG},
    ),
    "slashes as written": (
        removed("manager", "merge_slashes", "path_with_escaped_slashes_action"),
        EXPECTED,
        {"merge-slashes": WARNING, "escaped-slashes": WARNING},
    ),
    "paths that a condition reads": (
        lambda wiring: (
            wiring.manager.pop("normalize_path"),
            wiring.host.pop("typed_per_filter_config"),
            wiring.host["routes"].pop(0),
        ),
        READS_PATH,
        {"normalize-path": WRONG},
    ),
    "forged headers": (
        removed("manager", "early_header_mutation_extensions"),
        EXPECTED,
        {"forged-headers": WARNING},
    ),
    "underscores": (
        removed("manager", "common_http_protocol_options"),
        EXPECTED,
        {"underscores": WARNING},
    ),
    # The cluster.
    "HTTP/1.1": (
        removed("cluster", "typed_extension_protocol_options"),
        EXPECTED,
        {"http2": WRONG},
    ),
    "panic": (removed("cluster", "common_lb_config"), EXPECTED, {"panic-threshold": WARNING}),
    "no health checks": (removed("cluster", "health_checks"), EXPECTED, {"health-check": WARNING}),
    "health of another service": (
        lambda wiring: wiring.cluster["health_checks"][0].update(
            grpc_health_check={"service_name": "regiongate"}
        ),
        EXPECTED,
        {"health-check-service": WRONG},
    ),
    "ejection": (put("cluster", outlier_detection={}), EXPECTED, {"outlier-detection": WARNING}),
    "idle workers": (put("cluster"), TWO_WORKERS, {"endpoints": WARNING}),
    "TCP": (tcp, EXPECTED, {"tcp-unresolved": WARNING}),
}


@pytest.mark.parametrize(("change", "expected", "wanted"), BROKEN.values(), ids=BROKEN)
def test_a_broken_wiring_is_found(
    change: Change, expected: Expected, wanted: dict[str, Severity]
) -> None:
    """That and nothing else, in each form that Envoy's configuration has."""
    for given in changed(change).forms():
        findings = found(given, expected)
        assert bad(findings) == wanted, given.file
        told = [one for one in findings if one.name in wanted]
        assert all(one.what and one.place and one.place.path for one in told)


def test_what_is_wrong_is_told_with_what_to_write_instead() -> None:
    """In words, with the line, and as YAML."""
    given = changed(put("authorization", failure_mode_allow=True)).yaml()
    (finding,) = (one for one in found(given) if one.severity is WRONG)
    assert finding.what == (
        "failure_mode_allow: true lets requests pass when there is no answer in time, and a burst"
        " of requests can see to that"
    )
    assert finding.instead == "failure_mode_allow: false"
    place = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config"
    assert finding.place is not None
    assert finding.place.path == f"{place}.http_filters[0].typed_config.failure_mode_allow"
    assert finding.place.line > 1
    assert str(finding.place) == f"envoy.yaml:{finding.place.line}: {finding.place.path}"


# --------------------------------------------------------------- with what the service tells

TIMES = {
    "slower than the timeout": (300_000, {"timeout-short": WRONG}),
    "faster": (3_000, {}),
}


@pytest.mark.parametrize(("p99", "wanted"), TIMES.values(), ids=TIMES)
def test_the_timeout_is_held_against_what_checks_take(
    p99: int, wanted: dict[str, Severity]
) -> None:
    """Against the time that one Check in a hundred takes."""
    observed = Observation(recent=1, p99=p99, entries={"2": 1})
    assert bad(found(Wiring().yaml(), observed=observed)) == wanted


def test_hops_are_held_against_the_chain() -> None:
    """One hop, and nothing in x-forwarded-for but what Envoy appends: Envoy falls back."""
    observed = Observation(recent=100, entries={"1": 100}, p99=1)
    (finding,) = (one for one in found(Wiring().yaml(), observed=observed) if one.severity is WRONG)
    assert finding.name == "hops-too-many"
    assert finding.instead.startswith("xff_num_trusted_hops: 0 ")


# ----------------------------------------------------------------------- what cannot be known

UNKNOWN: dict[str, tuple[Any, str]] = {
    "no listener": ({"admin": {}}, "no-listener"),
    "a list of nothing": ([], "no-listener"),
}


@pytest.mark.parametrize(("content", "name"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_was_not_given_is_not_fine(content: Any, name: str) -> None:
    """It is unknown, and says so."""
    given = read("envoy.json", json.dumps(content))
    (finding,) = found(given)
    assert (finding.severity, finding.name) == (Severity.UNKNOWN, name)


def test_a_filter_that_is_discovered_elsewhere_is_unknown() -> None:
    """Where the dump does not have what it is."""

    def change(wiring: Wiring) -> None:
        del wiring.filters[0]["typed_config"]
        wiring.filters[0]["config_discovery"] = {"config_source": {"ads": {}}}

    (finding,) = found(changed(change).yaml())
    assert (finding.severity, finding.name) == (Severity.UNKNOWN, "filter-not-given")


def test_routes_that_are_discovered_elsewhere_are_unknown() -> None:
    """A bootstrap does not have them."""

    def change(wiring: Wiring) -> None:
        del wiring.manager["route_config"]
        wiring.manager["rds"] = {"route_config_name": "elsewhere"}

    assert "routes-not-given" in {one.name for one in found(changed(change).yaml())}


def test_policies_that_a_dump_hides_are_unknown() -> None:
    """Envoy writes [redacted] for them; that several are hidden is enough to care about paths."""

    def change(wiring: Wiring) -> None:
        for owner in (wiring.host, wiring.host["routes"][0]):
            own = owner["typed_per_filter_config"]["envoy.filters.http.ext_authz"]
            own["check_settings"]["context_extensions"] = {"regiongate.policy": "[redacted]"}
        del wiring.manager["normalize_path"]

    findings = found(changed(change).dump())
    assert [one.severity for one in findings if one.name == "policy-redacted"] == [
        Severity.UNKNOWN,
        Severity.UNKNOWN,
    ]
    assert bad(findings) == {"normalize-path": WRONG}


def test_a_cluster_that_was_not_given_is_unknown() -> None:
    """What it is like is not known then."""

    def change(wiring: Wiring) -> None:
        del wiring.bootstrap["static_resources"]["clusters"]

    assert "cluster-not-given" in {one.name for one in found(changed(change).yaml())}


def test_another_filter_that_asks_somebody_else_is_left_alone() -> None:
    """Of several ext_authz filters, the one that asks RegionGate is examined."""
    other = {
        "@type": f"{HTTP}.ext_authz.v3.ExtAuthz",
        "failure_mode_allow": True,
        "grpc_service": {"envoy_grpc": {"cluster_name": "sessions"}},
    }
    wiring = Wiring()
    wiring.filters.insert(0, {"name": "sessions", "typed_config": other})
    assert bad(found(wiring.yaml())) == {}


def called(kind: str, *places: tuple[str, int]) -> Change:
    """Have Checks sent to a cluster with these endpoints."""
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
        for host, port in places
    ]

    def change(wiring: Wiring) -> None:
        wiring.cluster["type"] = kind
        wiring.cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]

    return change


def piped(wiring: Wiring) -> None:
    address = {"pipe": {"path": "/run/other.sock"}}
    endpoints = [{"endpoint": {"address": address}}]
    wiring.cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]


OURS = "127.0.0.1:9191"
ELSEWHERE: dict[str, tuple[Change, str, Severity | None]] = {
    "the same": (called("STATIC", ("127.0.0.1", 9191)), OURS, None),
    "another port": (called("STATIC", ("127.0.0.1", 19999)), OURS, WARNING),
    "one of two": (called("STATIC", ("127.0.0.1", 19999), ("127.0.0.1", 9191)), OURS, None),
    "any address": (called("STATIC", ("127.0.0.1", 9191)), "0.0.0.0:9191", None),
    "any address, another port": (called("STATIC", ("127.0.0.1", 1)), "0.0.0.0:9191", WARNING),
    "IPv6": (called("STATIC", ("::1", 9191)), "[::1]:9191", None),
    "one host, another port": (called("STATIC", ("10.0.0.7", 1)), "10.0.0.7:9191", WARNING),
    "another host": (called("STATIC", ("10.0.0.7", 9191)), OURS, Severity.UNKNOWN),
    "a name": (called("STRICT_DNS", ("regiongate", 9191)), OURS, Severity.UNKNOWN),
    "a port of the day": (called("STATIC", ("127.0.0.1", 9191)), "127.0.0.1:0", Severity.UNKNOWN),
    "a socket": (piped, "unix:/run/other.sock", None),
    "another socket": (piped, "unix:/run/regiongate.sock", WARNING),
    "a socket, and a port": (piped, OURS, WARNING),
}


@pytest.mark.parametrize(("change", "listen", "severity"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_calls_go_to_where_regiongate_listens(
    change: Change, listen: str, severity: Severity | None
) -> None:
    """Where addresses can be compared; what names stand for is unknown."""
    findings = found(changed(change).yaml(), replace(EXPECTED, listen=(listen,)))
    told = [one for one in findings if one.name == "cluster-elsewhere"]
    assert [one.severity for one in told] == ([severity] if severity else [])


def test_calls_that_go_elsewhere_are_told_with_both_addresses() -> None:
    """Whatever the cluster is called."""

    def change(wiring: Wiring) -> None:
        called("STATIC", ("127.0.0.1", 19999))(wiring)
        wiring.cluster["name"] = wiring.calls["envoy_grpc"]["cluster_name"] = "authz"

    findings = found(changed(change).yaml(), replace(EXPECTED, listen=("127.0.0.1:19191",)))
    (one,) = (one for one in findings if one.name == "cluster-elsewhere")
    assert one.what.startswith(
        "calls go to 127.0.0.1:19999, and RegionGate listens on 127.0.0.1:19191"
    )


def google(uri: str) -> Change:
    """Have Envoy call with Google's gRPC library, which knows no clusters."""

    def change(wiring: Wiring) -> None:
        del wiring.calls["envoy_grpc"]
        wiring.calls["google_grpc"] = {"target_uri": uri, "stat_prefix": "ext_authz"}

    return change


def endless(kind: str) -> Change:
    """Take the endpoints out of the cluster."""

    def change(wiring: Wiring) -> None:
        wiring.cluster.pop("load_assignment")
        wiring.cluster["type"] = kind

    return change


NOT_COMPARED: dict[str, tuple[Change, str]] = {
    "google_grpc": (
        google("dns:///regiongate:9191"),
        "calls go to dns:///regiongate:9191 over google_grpc",
    ),
    "EDS": (
        endless("EDS"),
        "the endpoints of the cluster regiongate are discovered while Envoy runs (EDS)",
    ),
    "no endpoints": (
        endless("ORIGINAL_DST"),
        "the cluster regiongate has no endpoints in what was given",
    ),
}


@pytest.mark.parametrize(("change", "called"), NOT_COMPARED.values(), ids=NOT_COMPARED)
def test_what_cannot_be_compared_is_said(change: Change, called: str) -> None:
    """Silence would be taken for: it fits. Without listen.grpc there is nothing to compare."""
    expected = replace(EXPECTED, listen=("127.0.0.1:9191", "127.0.0.1:9192"))
    told = "it could not be compared with listen.grpc (127.0.0.1:9191, 127.0.0.1:9192)"
    for form in changed(change).forms():
        findings = [one for one in found(form, expected) if one.name == "endpoints-not-compared"]
        assert [(one.severity, one.what) for one in findings] == [
            (Severity.UNKNOWN, f"{called}: {told}")
        ]
        assert "endpoints-not-compared" not in {one.name for one in found(form, EXPECTED)}


NO_CONFIGURATIONS: tuple[Any, ...] = (
    {"version": 1, "policies": {"default": {}}},
    {"listen": {"admin": "x:1"}},
    [],
)


@pytest.mark.parametrize("content", NO_CONFIGURATIONS)
def test_a_file_that_is_no_configuration_of_envoys_is_told_apart(content: Any) -> None:
    """By its fields: policy.yaml has none of Envoy's."""
    assert not is_envoys(read("policy.yaml", json.dumps(content)))


def test_every_form_of_a_configuration_is_one() -> None:
    """A bootstrap, in either spelling, a dump, and a listener on its own."""
    wiring = Wiring()
    listener = read("listener.json", json.dumps([{"any": wiring.listener}]))
    assert all(is_envoys(one) for one in (*wiring.forms(), listener))
