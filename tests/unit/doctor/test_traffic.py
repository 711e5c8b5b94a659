"""What recent Checks say of the wiring: one broken wiring for each finding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from regiongate.doctor.diagnosis import diagnose
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding, Place, Severity
from regiongate.doctor.observation import Addresses, Observation
from tests.unit.doctor.wirings import Wiring, changed

WRONG, WARNING, FINE = Severity.WRONG, Severity.WARNING, Severity.FINE
PLACE = Place("127.0.0.1:9192/wiring")

ENVOY = Expected(key_headers=("x-api-key",), policies=frozenset({"default"}))
XFF = replace(ENVOY, source="xff", trusted_hops=1)
FORWARDED = replace(ENVOY, source="forwarded", trusted_hops=1)
PEER = replace(ENVOY, source="peer")


def addresses(kind: str, distinct: int, **most: int) -> Addresses:
    return Addresses(kinds={kind: 100}, distinct=distinct, most=most or {"10.0.0.7": 100})


def chain(entries: int) -> dict[str, int]:
    return {str(entries): 100}


WELL = Observation(
    source="",
    checks=1000,
    recent=100,
    peers=addresses("private", 2),
    clients=Addresses(kinds={"public": 100}, distinct=37, most={"8.8.8.8": 9}),
    entries=chain(2),
    appended=100,
    metadata={"1": 100},
    keys={"one": 60, "none": 40},
    p50=90,
    p99=400,
    longest=900,
)
NOBODY: dict[str, Any] = {"clients": Addresses(kinds={"none": 100}), "metadata": {"0": 100}}

SAID: dict[str, tuple[dict[str, Any], Expected, str, Severity, str]] = {
    "well wired": (
        {},
        ENVOY,
        "clients",
        FINE,
        "37 addresses of clients, public ones in 100 of 100 Checks",
    ),
    "keys": ({}, ENVOY, "keys", FINE, "a key came with 60 of 100 Checks"),
    "the load balancer for everybody": (
        {"clients": addresses("private", 1), "same": 100},
        ENVOY,
        "one-private-client",
        WRONG,
        (
            "every client is one private address (10.0.0.7): x-forwarded-for names who is behind"
            " it: a hop too few is trusted"
        ),
    ),
    "a load balancer that does not forward": (
        {"clients": addresses("private", 1), "same": 100, "entries": chain(1)},
        ENVOY,
        "one-private-client",
        WRONG,
        (
            "every client is one private address (10.0.0.7): a proxy that does not say who is"
            " behind it, or a hop too few"
        ),
    ),
    "load balancers for everybody, cut off": (
        {"clients": addresses("private", 3, **{"10.0.0.0": 100}), "shown": "truncated"},
        ENVOY,
        "private-clients",
        WRONG,
        (
            "every client is one of 3 private addresses (10.0.0.0, truncated):"
            " x-forwarded-for names who is behind it: a hop too few is trusted"
        ),
    ),
    "a network of one's own": (
        {"clients": addresses("private", 90), "entries": chain(1)},
        ENVOY,
        "private-clients",
        WARNING,
        (
            "every client is one of 90 private addresses (10.0.0.7): requests of your own"
            " network or machine"
        ),
    ),
    "curl on the same machine": (
        {"clients": addresses("loopback", 1, **{"127.0.0.1": 100}), "entries": chain(1)},
        ENVOY,
        "one-private-client",
        WARNING,
        "every client is one private address (127.0.0.1): requests of your own network or machine",
    ),
    "curl on the same machine, and some clients": (
        {
            "clients": Addresses(
                kinds={"loopback": 96, "public": 4},
                distinct=5,
                most={"127.0.0.1": 96, "8.8.8.8": 3, "81.2.69.160": 1},
            ),
            "entries": {"1": 96, "2": 4},
        },
        ENVOY,
        "private-clients",
        WARNING,
        (
            "96 of 100 Checks have a private address for client (127.0.0.1): requests of your own"
            " network or machine"
        ),
    ),
    "digests of addresses": (
        {
            "clients": Addresses(
                kinds={"loopback": 96, "public": 4}, distinct=2, most={"h1": 96, "h2": 4}
            ),
            "entries": {"1": 96, "2": 4},
            "shown": "hmac",
        },
        ENVOY,
        "private-clients",
        WARNING,
        (
            "96 of 100 Checks have a private address for client: requests of your own network or"
            " machine"
        ),
    ),
    "one public address": (
        {"clients": addresses("public", 1, **{"1.2.3.4": 100})},
        ENVOY,
        "one-client",
        WARNING,
        (
            "every client is 1.2.3.4: one busy client, or a proxy of yours that is taken for the"
            " client"
        ),
    ),
    "a public proxy for its clients": (
        {"same": 100, "peers": addresses("public", 3)},
        ENVOY,
        "hops-too-few",
        WRONG,
        (
            "the client is the peer in every Check, although x-forwarded-for names who is behind"
            " it: a hop too few is trusted, and your proxy's country decides"
        ),
    ),
    "few peers": (
        {"same": 100, "entries": chain(1)},
        ENVOY,
        "peer-never-differs",
        WARNING,
        (
            "the client is the peer in every Check, and there are only 2 of them (8.8.8.8): right"
            " if clients connect to Envoy directly, wrong if these are proxies"
        ),
    ),
    "clients that connect directly": (
        {"same": 100, "entries": chain(1), "peers": addresses("public", 80)},
        ENVOY,
        "peer-never-differs",
        FINE,
        "the client is the peer in every Check, 80 in all: clients connect to Envoy directly",
    ),
    "a peer that forwards": (
        {"same": 100, "entries": chain(1)},
        PEER,
        "peer-is-proxy",
        WARNING,
        (
            "client_address.source is peer, and nearly every request has an x-forwarded-for: a"
            " proxy stands in front of Envoy, and its country decides"
        ),
    ),
    "no metadata": (
        {**NOBODY, "problems": {"gRPC metadata must have one value (got 0)": 100}},
        ENVOY,
        "metadata-missing",
        WRONG,
        "nearly every client is unresolved: Envoy does not send x-regiongate-client-address",
    ),
    "no metadata from one of several Envoys": (
        {"metadata": {"0": 30, "1": 70}, "problems": {"gRPC metadata must have one value": 30}},
        ENVOY,
        "metadata-missing",
        WARNING,
        "30% of clients are unresolved: Envoy does not send x-regiongate-client-address",
    ),
    "metadata that is no address": (
        {**NOBODY, "metadata": {"1": 100}, "problems": {"it must be a bare IP address": 100}},
        ENVOY,
        "unresolved",
        WRONG,
        "nearly every client is unresolved: it must be a bare IP address",
    ),
    "no x-forwarded-for": (
        {**NOBODY, "entries": chain(0), "appended": 0, "problems": {"…": 100}},
        XFF,
        "header-missing",
        WRONG,
        "nearly every client is unresolved: x-forwarded-for does not arrive",
    ),
    "no forwarded": (
        {**NOBODY, "problems": {"…": 100}},
        FORWARDED,
        "header-missing",
        WRONG,
        "nearly every client is unresolved: forwarded does not arrive",
    ),
    "nothing appended": (
        {**NOBODY, "appended": 0, "problems": {"…": 100}},
        XFF,
        "envoy-appends",
        WRONG,
        (
            "nearly every client is unresolved: this Envoy does not append its peer to"
            " x-forwarded-for, and client_address.envoy_appends says that it does"
        ),
    ),
    "a hop too many": (
        {**NOBODY, "entries": chain(1), "problems": {"…": 100}},
        XFF,
        "hops-too-many",
        WRONG,
        (
            "nearly every client is unresolved: client_address.trusted_hops is 1, and"
            " x-forwarded-for has fewer entries than that needs"
        ),
    ),
    "no key": (
        {"keys": {"none": 100}},
        ENVOY,
        "no-key",
        WRONG,
        "no key has come in 100 Checks, in x-api-key",
    ),
    "joined keys": (
        {"keys": {"one": 50, "malformed": 50}},
        ENVOY,
        "malformed-keys",
        WARNING,
        (
            "50 of 100 Checks have a key header that is not one key: repeated, joined by commas, or"
            " with more than a key in it"
        ),
    ),
    "an unknown policy": (
        {"refused_policies": 3},
        ENVOY,
        "policy-unknown",
        WRONG,
        "3 of 100 Checks were refused since their route names a policy that there is not",
    ),
    "another configuration": (
        {"source": "peer"},
        ENVOY,
        "other-configuration",
        WARNING,
        (
            "the running service takes the client from source peer, and the configuration given"
            " says envoy: it has not been loaded, or is another's"
        ),
    ),
    "not read": (
        {"unjudged": {"overloaded": 7}},
        ENVOY,
        "not-judged",
        WARNING,
        "7 of 1000 Checks since the start were more than limits.calls at once",
    ),
    "too few": (
        {"recent": 3},
        ENVOY,
        "too-few-checks",
        Severity.UNKNOWN,
        "3 Checks have come so far, and it takes 20 to say more",
    ),
    "time": ({}, ENVOY, "time", FINE, "Checks take 0.09 ms; 1 in 100 takes 0.4 ms or more"),
}


def said(expected: Expected, **observed: Any) -> list[Finding]:
    findings = diagnose(expected, (replace(WELL, **observed), PLACE))
    return [one for one in findings if one.name != "envoy-not-given"]


@pytest.mark.parametrize(
    ("observed", "expected", "name", "severity", "what"), SAID.values(), ids=SAID
)
def test_what_checks_say(
    observed: dict[str, Any], expected: Expected, name: str, severity: Severity, what: str
) -> None:
    """In one sentence, and nothing else is wrong."""
    findings = said(expected, **observed)
    assert Finding(severity, name, what, findings[0].instead, PLACE) in [
        replace(one, instead=findings[0].instead) for one in findings
    ]
    others = {one.name for one in findings if one.severity in (WRONG, WARNING)} - {name}
    assert others == set()


INSTEAD = {
    "envoy": (ENVOY, "xff_num_trusted_hops: 2   # Envoy"),
    "xff": (XFF, "client_address: {source: xff, trusted_hops: 2}   # regiongate.yaml"),
    "peer": (PEER, "client_address: {source: envoy}   # regiongate.yaml"),
}


@pytest.mark.parametrize(("expected", "instead"), INSTEAD.values(), ids=INSTEAD)
def test_as_many_hops_are_proposed_as_the_chain_has(expected: Expected, instead: str) -> None:
    """The last entry is Envoy's own peer, and the others are proxies at most."""
    findings = said(expected, clients=addresses("private", 1), entries=chain(3))
    (finding,) = (one for one in findings if one.severity is WRONG)
    assert instead in finding.instead


ANY_POLICY = replace(ENVOY, policies=None)
MIXED = replace(
    WELL,
    clients=Addresses(
        kinds={"loopback": 96, "public": 4}, distinct=3, most={"127.0.0.1": 96, "8.8.8.8": 4}
    ),
    entries={"1": 96, "2": 4},
)
STRANGERS = replace(MIXED, clients=Addresses(kinds={"public": 100}, distinct=40))


def test_what_there_is_already_is_not_proposed() -> None:
    """Where some requests come past the proxy, no other number of hops is proposed either."""
    findings = diagnose(ANY_POLICY, (MIXED, PLACE), Wiring().yaml())
    assert {one.name for one in findings if one.severity is WRONG} == set()
    assert [one.name for one in findings if "xff_num_trusted_hops:" in one.instead] == []
    (hops,) = (one for one in findings if one.name == "hops-passed-by")
    assert hops.severity is WARNING
    assert "has no more entries than that in 96 of 100 Checks" in hops.what


def test_strangers_that_come_past_the_proxy_show_a_hop_too_many() -> None:
    """The finding counts the Checks that it is about."""
    findings = diagnose(ANY_POLICY, (STRANGERS, PLACE), Wiring().yaml())
    (wrong,) = (one for one in findings if one.severity is WRONG)
    assert wrong.name == "hops-too-many"
    assert "has no more entries than that in 96 of 100 Checks: Envoy" in wrong.what


def test_hops_that_envoy_trusts_already_are_not_too_few() -> None:
    """A chain of two with one hop trusted is used up, wherever its clients are."""
    observed = replace(WELL, clients=addresses("private", 90))
    findings = diagnose(ENVOY, (observed, PLACE), Wiring().yaml())
    (one,) = (one for one in findings if one.name == "private-clients")
    assert (one.severity, one.instead) == (WARNING, "")


def test_hops_are_not_too_many_and_too_few_at_once() -> None:
    """Of a hop that the chain does not have, nothing says that it is one too few."""
    observed = replace(WELL, clients=addresses("private", 1), entries=chain(1))
    findings = diagnose(ANY_POLICY, (observed, PLACE), Wiring().yaml())
    wrong = {one.name: one.what for one in findings if one.severity is WRONG}
    assert set(wrong) == {"hops-too-many", "one-private-client"}
    assert wrong["one-private-client"].endswith(": a proxy that does not say who is behind it")


def test_an_unanswered_question_was_asked() -> None:
    """Nothing says that it was not, and nothing says to ask."""
    findings = diagnose(ENVOY, given=Wiring().yaml(), unanswered=True)
    assert "service-not-asked" not in {one.name for one in findings}
    assert [one for one in findings if "--admin" in one.instead] == []


def test_the_address_that_is_configured_is_proposed() -> None:
    """None is made up."""
    expected = replace(ENVOY, admin="127.0.0.1:9292")
    findings = diagnose(expected, given=Wiring().yaml())
    (hops,) = (one for one in findings if one.name == "hops-unmeasured")
    assert hops.instead == "ask the running service: --admin http://127.0.0.1:9292"


def test_only_policies_that_are_known_are_named() -> None:
    """The service counts the refusals, and does not tell which name it was."""
    observed = replace(WELL, refused_policies=3), PLACE
    for policies, told in ((frozenset({"b", "a"}), "one of a, b"), (None, "one that policy.yaml")):
        found = diagnose(replace(ENVOY, policies=policies), observed)
        (one,) = (one for one in found if one.name == "policy-unknown")
        assert told in one.instead


def test_keys_that_envoy_lets_through_are_not_sent_by_clients() -> None:
    """With Envoy's configuration it is known whose doing it is that no key comes."""
    observed = replace(WELL, keys={"none": 100}), PLACE
    fine = {one.name: one for one in diagnose(ENVOY, observed, Wiring().yaml())}
    assert fine["no-key"].severity is WARNING
    kept_out = changed(
        lambda wiring: wiring.authorization.update(
            disallowed_headers={"patterns": [{"suffix": "key"}]}
        )
    )
    wrong = {one.name: one for one in diagnose(ENVOY, observed, kept_out.yaml())}
    assert wrong["no-key"].severity is WRONG


def test_nothing_that_was_not_looked_at_is_fine() -> None:
    """Neither the service nor Envoy was asked."""
    findings = diagnose(ENVOY)
    assert {one.severity for one in findings} == {Severity.UNKNOWN}
    assert {one.name for one in findings} == {"service-not-asked", "envoy-not-given"}
