"""Who Envoy 1.40.0 itself took for the client, held against who we take for it.

Each vector is a request sent to a real Envoy from 127.0.0.1: how Envoy was configured, what
X-Forwarded-For it received, what its Check carried to us, and the address that Envoy derived.
"""

import json
from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from regiongate.address import (
    AddressSource,
    Evidence,
    ForwardedFor,
    GivenEvidence,
    NamedHeader,
    parse,
)

Vector = dict[str, Any]

VECTORS: list[Vector] = json.loads(
    (Path(__file__).parents[1] / "data" / "xff_vectors.json").read_text(encoding="utf-8")
)

LOOPBACK = ip_network("127.0.0.0/8")
CUSTOM_HEADER = "x-custom-client"

SOURCES: dict[str, AddressSource] = {
    "ura=true hops0": ForwardedFor(trusted_hops=0),
    "ura=true hops1": ForwardedFor(trusted_hops=1),
    "ura=true hops2": ForwardedFor(trusted_hops=2),
    "ura=false hops0": ForwardedFor(trusted_hops=0, envoy_appends=False),
    "ura=false hops1": ForwardedFor(trusted_hops=1, envoy_appends=False),
    "ura=false hops2": ForwardedFor(trusted_hops=2, envoy_appends=False),
    "ext xff hops0": ForwardedFor(trusted_hops=0, envoy_appends=False),
    "ext xff hops1": ForwardedFor(trusted_hops=1, envoy_appends=False),
    "ext xff cidr peer+3.3.3.0/24": ForwardedFor(
        trusted_proxies=(LOOPBACK, ip_network("3.3.3.0/24")), envoy_appends=False
    ),
    "ext xff cidr all": ForwardedFor(
        trusted_proxies=(ip_network("0.0.0.0/0"), ip_network("::/0")), envoy_appends=False
    ),
    "ext xff cidr v6": ForwardedFor(
        trusted_proxies=(LOOPBACK, ip_network("2001:db8::/32")), envoy_appends=False
    ),
    # Envoy appends here, since the extension gives way when the peer is not trusted.
    "ext xff cidr peer not trusted": ForwardedFor(trusted_proxies=(ip_network("10.0.0.0/8"),)),
    "ext custom_header": NamedHeader(CUSTOM_HEADER, (LOOPBACK,)),
}

# The cases in which the peer is the right answer, whatever the header says...
PEER_IS_CLIENT = {"ura=true hops0", "ext xff cidr peer not trusted"}
# ...and those in which the header says 127.0.0.1 in the place that decides. In all others an answer
# of 127.0.0.1 is Envoy's way of saying that it does not know.
PEER_IS_NAMED = {"ura=true hops1", "ext xff cidr all", "ext xff cidr v6", "ext custom_header"}

ENVOY_GIVES_UP_AFTER = 20  # entries, in CIDR mode

# How our answer relates to Envoy's: each vector falls under exactly one of these rules.
SAME = "the same address"
NEVER_THE_PEER = "Envoy falls back to the peer, we leave the client unresolved"
NO_LIMIT = "Envoy falls back to the peer after 20 entries, we go on"
UNWRAPPED = "Envoy keeps an IPv4-mapped address as it is, we unwrap it"

COUNTS = {SAME: 91, NEVER_THE_PEER: 85, NO_LIMIT: 2, UNWRAPPED: 4}


def rule(vector: Vector) -> str:
    """Say how our answer to a vector relates to Envoy's, from the vector alone."""
    if vector["envoy_client"].startswith("::ffff:"):
        return UNWRAPPED
    if vector["envoy_client"] != vector["direct"] or vector["case"] in PEER_IS_CLIENT:
        return SAME
    if vector["xff"] == [vector["direct"]] and vector["case"] in PEER_IS_NAMED:
        return SAME
    if "cidr" in vector["case"] and len(entries(vector)) > ENVOY_GIVES_UP_AFTER:
        return NO_LIMIT
    return NEVER_THE_PEER


def entries(vector: Vector) -> list[str]:
    """Return what the Check carried in X-Forwarded-For, from left to right."""
    return [entry.strip() for entry in (vector["check_xff"] or "").split(",")]


def evidence(vector: Vector) -> Evidence:
    """Return what the vector's Check carried."""
    headers = {}
    if vector["check_xff"] is not None:
        headers["x-forwarded-for"] = [vector["check_xff"]]
    if vector["case"] == "ext custom_header":
        headers[CUSTOM_HEADER] = vector["xff"]
    return GivenEvidence(peer=vector["check_source"], headers=headers, metadata={})


def answer(vector: Vector) -> IPv4Address | IPv6Address | None:
    """Return the address that we decide on."""
    return SOURCES[vector["case"]].resolve(evidence(vector)).address


def under(name: str) -> list[Any]:
    """Return the vectors that fall under a rule, each with a readable id."""
    return [
        pytest.param(vector, id=f"{vector['case']} {str(vector['xff'])[:40]}")
        for vector in VECTORS
        if rule(vector) == name
    ]


def test_every_vector_falls_under_one_rule() -> None:
    """All 182 vectors are held, and a new one cannot change sides unnoticed."""
    assert Counter(rule(vector) for vector in VECTORS) == COUNTS
    assert sum(COUNTS.values()) == 182
    assert {vector["case"] for vector in VECTORS} == set(SOURCES)


@pytest.mark.parametrize("vector", under(SAME))
def test_same_as_envoy(vector: Vector) -> None:
    """Our answer is Envoy's own."""
    assert answer(vector) == ip_address(vector["envoy_client"])


@pytest.mark.parametrize("vector", under(NEVER_THE_PEER))
def test_never_the_peer(vector: Vector) -> None:
    """Where Envoy falls back to the peer for want of a better answer, the client is unresolved."""
    resolved = SOURCES[vector["case"]].resolve(evidence(vector))
    assert (vector["envoy_client"], resolved.address) == ("127.0.0.1", None)
    assert resolved.problem


@pytest.mark.parametrize("vector", under(NO_LIMIT))
def test_no_limit_of_entries(vector: Vector) -> None:
    """Twenty entries of junk do not turn the client into the proxy: the nearest untrusted is it."""
    assert vector["envoy_client"] == "127.0.0.1"
    assert answer(vector) == ip_address("7.7.7.39") == ip_address(entries(vector)[-1])


@pytest.mark.parametrize("vector", under(UNWRAPPED))
def test_mapped_addresses_are_unwrapped(vector: Vector) -> None:
    """An IPv4-mapped address is the IPv4 address that it stands for."""
    assert vector["envoy_client"] == "::ffff:5.5.5.5"
    assert answer(vector) == IPv4Address("5.5.5.5")


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if "hops" in v["case"] and v["case"] != "ura=true hops0"]
)
def test_hops_count_from_the_right_of_what_the_check_carries(vector: Vector) -> None:
    """With N hops it is the (N+1)th entry from the right, whether Envoy appended one or not."""
    hops = int(vector["case"][-1])
    carried = entries(vector)
    assert answer(vector) == (parse(carried[-1 - hops]) if len(carried) > hops else None)


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["case"] == "ura=true hops0"])
def test_a_loopback_peer_is_the_peer_and_not_what_envoy_appends_for_it(vector: Vector) -> None:
    """Envoy appends its own 192.0.2.2 for a peer on loopback, and means the peer; so do we."""
    assert entries(vector)[-1] == "192.0.2.2"
    assert answer(vector) == IPv4Address("127.0.0.1")
