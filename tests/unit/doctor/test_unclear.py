"""What is not understood is never fine: not a word, a number or a spelling of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding, Severity
from regiongate.doctor.tree import read
from tests.unit.doctor.wirings import (
    EXPECTED,
    MUTUAL,
    Change,
    Wiring,
    bad,
    changed,
    found,
    protected,
)

WRONG, WARNING, UNKNOWN, FINE = Severity

XFF = replace(EXPECTED, source="xff", trusted_hops=1)
READS = replace(EXPECTED, reads=frozenset({"path", "headers", "sni"}))

TYPES = "type.googleapis.com/envoy"
FILTER = "envoy.filters.http.ext_authz"


def put(of: str, field: str, value: Any) -> Change:
    return lambda wiring: getattr(wiring, of).update({field: value})


def per_route(value: Any) -> Change:
    kind = f"{TYPES}.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
    entry = {"@type": kind, "disabled": value}
    return lambda wiring: wiring.host["routes"][1].update(typed_per_filter_config={FILTER: entry})


def wrapped(value: Any) -> Change:
    entry = {"@type": f"{TYPES}.config.route.v3.FilterConfig", "disabled": value}
    return lambda wiring: wiring.host["routes"][1].update(typed_per_filter_config={FILTER: entry})


def proxy_protocol(value: Any) -> Change:
    kind = f"{TYPES}.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
    typed = {"@type": kind, "allow_requests_without_proxy_protocol": value}
    return put("listener", "listener_filters", [{"name": "proxy", "typed_config": typed}])


def filter_off(value: Any) -> Change:
    return lambda wiring: wiring.filters[0].update(disabled=value)


def switch(of: str, field: str) -> Any:
    return lambda value: put(of, field, value)


SWITCHES: dict[str, tuple[Any, Expected, str, Severity]] = {
    "failure_mode_allow": (
        switch("authorization", "failure_mode_allow"),
        EXPECTED,
        "failure-mode-allow",
        WRONG,
    ),
    "shadow_mode": (switch("authorization", "shadow_mode"), EXPECTED, "shadow-mode", WARNING),
    "clear_route_cache": (
        switch("authorization", "clear_route_cache"),
        EXPECTED,
        "clear-route-cache",
        WARNING,
    ),
    "skip_xff_append": (switch("manager", "skip_xff_append"), XFF, "envoy-appends", WRONG),
    "disabled of a filter": (filter_off, EXPECTED, "filter-disabled", WARNING),
    "disabled of a route": (per_route, EXPECTED, "route-not-checked", WARNING),
    "disabled around a route's": (wrapped, EXPECTED, "route-not-checked", WARNING),
    "PROXY protocol": (proxy_protocol, EXPECTED, "proxy-protocol-optional", WRONG),
}


@pytest.mark.parametrize("word", ["yes", "Y", "ON", "True", "t"])
@pytest.mark.parametrize(("put_on", "expected", "name", "how"), SWITCHES.values(), ids=SWITCHES)
def test_a_switch_is_on_in_each_word_that_envoy_takes(
    word: str, put_on: Any, expected: Expected, name: str, how: Severity
) -> None:
    """YAML 1.1 has several, protobuf has more."""
    assert bad(found(changed(put_on(word)).camel(), expected)) == {name: how}


@pytest.mark.parametrize("value", ["maybe", 1, {"value": True}, [True], ""])
@pytest.mark.parametrize(("put_on", "expected", "name", "how"), SWITCHES.values(), ids=SWITCHES)
def test_a_switch_that_is_none_is_not_understood(
    value: Any, put_on: Any, expected: Expected, name: str, how: Severity
) -> None:
    """Neither of it nor of all routes anything fine is said then."""
    findings = found(changed(put_on(value)).camel(), expected)
    (told,) = (one for one in findings if one.name == "not-understood")
    assert told.severity is UNKNOWN
    assert "is not understood: expected true or false (got " in told.what
    assert told.place is not None
    assert told.place.path.endswith(told.what.split()[0])
    fine = {one.name for one in findings if one.severity is FINE}
    assert name not in fine
    assert how is not WARNING or name != "route-not-checked" or "routes" not in fine


def test_two_spellings_of_a_field_are_not_understood() -> None:
    """Envoy takes the one or the other."""
    wiring = Wiring()
    wiring.authorization["failureModeAllow"] = True
    findings = found(wiring.yaml())
    assert bad(findings) == {}
    (told,) = (one for one in findings if one.name == "not-understood")
    assert told.what == (
        "failure_mode_allow is not understood: expected true or false (got two spellings of it);"
        " what follows from it is not known"
    )
    assert "failure-mode-allow" not in {one.name for one in findings}


CODES: dict[str, tuple[Any, dict[str, Severity]]] = {
    "200 in quotes": ("200", {"status-on-error": WRONG}),
    "302 by name": ("Found", {"status-on-error": WRONG}),
    "429 by name": ("TooManyRequests", {}),
    "503": (503, {}),
}


@pytest.mark.parametrize(("code", "wanted"), CODES.values(), ids=CODES)
def test_a_status_is_known_by_name_and_by_number(code: Any, wanted: dict[str, Severity]) -> None:
    """Below 400 is no refusal."""
    change = put("authorization", "status_on_error", {"code": code})
    assert bad(found(changed(change).yaml())) == wanted


NUMBERS: dict[str, tuple[Change, str]] = {
    "hops .nan": (put("manager", "xff_num_trusted_hops", float("nan")), "hops"),
    "hops .inf": (put("manager", "xff_num_trusted_hops", float("inf")), "hops"),
    "hops in words": (put("manager", "xff_num_trusted_hops", "one"), "hops"),
    "half a hop": (put("manager", "xff_num_trusted_hops", 0.5), "hops"),
    "status of no name": (
        put("authorization", "status_on_error", {"code": "Fine"}),
        "status-on-error",
    ),
    "panic .nan": (
        put("cluster", "common_lb_config", {"healthy_panic_threshold": {"value": float("nan")}}),
        "panic-threshold",
    ),
    "underscores by a number of none": (
        put("manager", "common_http_protocol_options", {"headers_with_underscores_action": 7}),
        "underscores",
    ),
    "slashes by no name": (
        put("manager", "path_with_escaped_slashes_action", "UNESCAPE"),
        "paths",
    ),
    "a timeout of parts": (put("calls", "timeout", {"seconds": 1}), "timeout"),
}


@pytest.mark.parametrize(("change", "name"), NUMBERS.values(), ids=NUMBERS)
def test_a_number_that_is_none_is_not_understood(change: Change, name: str) -> None:
    """And ends in no traceback."""
    findings = found(changed(change).yaml())
    assert bad(findings) == {}
    assert "not-understood" in {one.name for one in findings if one.severity is UNKNOWN}
    assert name not in {one.name for one in findings if one.severity is FINE}


def test_hops_in_quotes_are_hops() -> None:
    """Envoy reads them."""
    wiring = changed(put("manager", "xff_num_trusted_hops", "5"))
    told = [one.what for one in found(wiring.yaml()) if one.name == "hops-unmeasured"]
    assert told[0].startswith("xff_num_trusted_hops is 5;")


PATTERNS: dict[str, tuple[dict[str, Any], dict[str, Severity]]] = {
    "a name": ({"regex": "x-api-key"}, {}),
    "how it begins": ({"regex": "x-.*"}, {}),
    "everything": ({"regex": ".*"}, {}),
    "one that takes for ever": ({"regex": "(([a-z-]+)+)+!"}, {"headers-by-pattern": UNKNOWN}),
    "one of several": ({"regex": "x-(api|my)-key"}, {"headers-by-pattern": UNKNOWN}),
    "nothing": ({}, {"headers-by-pattern": UNKNOWN}),
}


@pytest.mark.parametrize(("pattern", "wanted"), PATTERNS.values(), ids=PATTERNS)
def test_a_pattern_is_understood_where_it_is_plain(
    pattern: dict[str, Any], wanted: dict[str, Severity]
) -> None:
    """No regular expression of a configuration is run."""
    plain = ({"exact": one} for one in ("authorization", "content-type", "x-regiongate-country"))
    patterns = [*plain, {"safe_regex": pattern}]
    wiring = changed(put("authorization", "allowed_headers", {"patterns": patterns}))
    findings = found(wiring.yaml())
    told = {one.name: one.severity for one in findings if "headers" in one.name}
    assert {name: how for name, how in told.items() if how is UNKNOWN} == wanted
    assert bad(findings) == {}
    assert ("headers" in {one.name for one in findings}) is (not wanted)


def test_what_is_very_deep_is_not_understood() -> None:
    """It ends in no traceback either, wherever it stands."""
    for field in ("failure_mode_allow", "grpc_service", "status_on_error", "filter_enabled"):
        wiring = changed(put("authorization", field, "HERE"))
        text = json.dumps(wiring.bootstrap).replace('"HERE"', '{"a":' * 900 + "1" + "}" * 900)
        assert found(read("envoy.json", text))


# ------------------------------------------------------------------------------------- as a law


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for part, inner in parts:
        yield (*path, part)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, part))


SHIPPED = Wiring().bootstrap
PLACES = list(places(SHIPPED))
WELL = read("envoy.json", json.dumps(SHIPPED))
ODD: tuple[Any, ...] = ({"x": 1}, ["maybe"], "maybe", -3, 5.5, [[]], {"value": {}})


PROTECTED = changed(protected).bootstrap
OF_TLS = [place for place in places(PROTECTED) if "transport_socket" in place]


def fine(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(one.name, one.what) for one in findings if one.severity is FINE}


def _with(bootstrap: Any, place: tuple[Any, ...], odd: Any) -> Any:
    """Return a configuration with something else in a place."""
    changed_ = inner = copy.deepcopy(bootstrap)
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = odd
    return changed_


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(PLACES), st.sampled_from(ODD), st.sampled_from([EXPECTED, XFF, READS]))
def test_nothing_becomes_fine_by_what_is_not_understood(
    place: tuple[Any, ...], odd: Any, expected: Expected
) -> None:
    """Whatever stands wherever, it ends in findings, and none of them is a new fine one."""
    before = found(WELL, expected)
    after = found(read("envoy.json", json.dumps(_with(SHIPPED, place, odd))), expected)
    assert fine(after) <= fine(before)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(OF_TLS), st.sampled_from(ODD))
def test_nothing_of_tls_becomes_fine_by_what_is_not_understood(
    place: tuple[Any, ...], odd: Any
) -> None:
    """Likewise: what is put in place of a part of the documented transport_socket adds nothing."""
    before = found(read("envoy.json", json.dumps(PROTECTED)), MUTUAL)
    after = found(read("envoy.json", json.dumps(_with(PROTECTED, place, odd))), MUTUAL)
    assert fine(after) <= fine(before)
