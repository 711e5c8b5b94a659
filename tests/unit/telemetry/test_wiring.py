"""What is remembered of how Checks arrive, and what is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

import pytest

from regiongate.address import AddressSource, EnvoyMetadata, ForwardedFor, NamedHeader
from regiongate.doctor.observation import Observation
from regiongate.extauthz.judging import Snapshot
from regiongate.extauthz.service import Authorization
from regiongate.telemetry import privacy
from regiongate.telemetry.wiring import CAPACITY, EACH_SECOND, Wiring
from tests.unit.extauthz import fakes

POLICY = "version: 1\npolicies: {default: {rules: [], otherwise: allow}}\n"
METADATA = "x-regiongate-client-address"
PROXY, FRANCE, JAPAN = "10.0.0.7", fakes.FRANCE, fakes.JAPAN
KEY = "sk-never-to-be-shown"

Headers = Iterable[tuple[str, str]]


@dataclass(slots=True)
class Observed:
    """A service whose Checks are observed, and the time it goes by."""

    address: AddressSource = field(default_factory=EnvoyMetadata)
    show: privacy.Privacy = privacy.full
    now: float = 0.0
    snapshot: Snapshot = field(init=False)
    wiring: Wiring = field(init=False)
    authorization: Authorization = field(init=False)

    def __post_init__(self) -> None:
        self.snapshot = fakes.service(POLICY, {}, address=self.address).snapshot
        self.wiring = Wiring(self.show, "as shown", lambda: self.now)
        self.authorization = Authorization(
            lambda: self.snapshot, self.wiring.record, lambda: fakes.NOW
        )

    def reload(self, address: AddressSource) -> None:
        """Put another snapshot in force."""
        self.snapshot = replace(self.snapshot, address=address)

    def ask(self, peer: str = PROXY, headers: Headers = (), client: str = "", **more: Any) -> None:
        """Ask a Check as Envoy does."""
        metadata = [(METADATA, client)] if client else []
        self.send(fakes.check(peer, headers, **more), metadata)

    def send(self, data: bytes, metadata: Iterable[tuple[str, str]] = ()) -> None:
        """Send what may be a Check."""
        fakes.at_once(self.authorization.check(data, list(metadata)))

    def told(self) -> Observation:
        """Return the observation."""
        return self.wiring.observation("envoy", self.snapshot.address)


def forwarded(*chain: str) -> Headers:
    return [("x-forwarded-for", ", ".join(chain))]


def test_what_is_remembered_of_a_check() -> None:
    """Who connected, who was taken for the client, how, and whether a key came."""
    observed = Observed()
    observed.ask(PROXY, [*forwarded(FRANCE, PROXY), *fakes.bearer(KEY)], FRANCE)
    observed.ask("127.0.0.1", [("forwarded", "for=1.2.3.4")], JAPAN)
    observed.ask(FRANCE, [("authorization", "Bearer a,Bearer b")], FRANCE)
    observed.ask("", policy="unknown")
    told = observed.told()
    assert (told.source, told.shown, told.checks, told.recent) == ("envoy", "as shown", 4, 4)
    assert told.peers.kinds == {"private": 1, "loopback": 1, "public": 1, "none": 1}
    assert told.clients.kinds == {"public": 3, "none": 1}
    assert told.clients.most == {FRANCE: 2, JAPAN: 1}
    assert told.clients.distinct == 2
    assert told.same == 1
    assert told.entries == {"0": 3, "2": 1}
    assert (told.appended, told.forwarded) == (1, 1)
    assert told.metadata == {"0": 1, "1": 3}
    assert told.keys == {"malformed": 1, "none": 2, "one": 1}
    assert told.problems == {f"gRPC metadata {METADATA} must have one value (got 0)": 1}
    assert told.refused_policies == 1
    assert 0 < told.p50 <= told.p99 == told.longest


TRUSTED = (ip_network("10.0.0.0/8"),)
PROBLEMS: dict[str, tuple[AddressSource, Headers, str, str]] = {
    "metadata that is no address": (
        EnvoyMetadata(),
        (),
        "1.2.3.4:5",
        f"gRPC metadata {METADATA} must be a bare IP address",
    ),
    "metadata that is a proxy": (
        EnvoyMetadata(trusted_proxies=TRUSTED),
        (),
        "10.1.2.3",
        "Envoy knows no client beyond the trusted proxy …",
    ),
    "a chain that does not end with the peer": (
        ForwardedFor(trusted_hops=1),
        forwarded("203.0.113.9", "6.6.6.6"),
        "",
        (
            "x-forwarded-for must end with the peer that Envoy appends; see use_remote_address,"
            " skip_xff_append and envoy_appends"
        ),
    ),
    "a header that looks like a message": (
        NamedHeader("cf-connecting-ip", TRUSTED),
        [("cf-connecting-ip", "a) (got 6.6.6.6")],
        "",
        "header cf-connecting-ip must be a bare IP address",
    ),
}


@pytest.mark.parametrize(
    ("source", "headers", "client", "problem"), PROBLEMS.values(), ids=PROBLEMS
)
def test_why_there_is_no_address_is_told_without_what_was_sent(
    source: AddressSource, headers: Headers, client: str, problem: str
) -> None:
    """The sentence of the source itself; neither addresses nor what a client wrote are in it."""
    observed = Observed(source)
    observed.ask(PROXY, headers, client)
    assert observed.told().problems == {problem: 1}


def test_no_key_and_no_header_is_shown() -> None:
    """Nor where a key stands in the wrong place."""
    observed = Observed()
    sent = [*fakes.bearer(KEY), ("x-api-key", KEY), ("x-forwarded-for", KEY), ("forwarded", KEY)]
    observed.ask(PROXY, sent, KEY)
    assert KEY not in str(observed.told())


SHOWN: dict[str, tuple[privacy.Privacy, dict[str, int]]] = {
    "full": (privacy.full, {FRANCE: 1, fakes.FRANCE_TOO: 1}),
    "truncated": (privacy.truncated, {"212.27.48.0": 2}),
}


@pytest.mark.parametrize(("show", "most"), SHOWN.values(), ids=SHOWN)
def test_addresses_are_shown_as_is_asked_for(show: privacy.Privacy, most: dict[str, int]) -> None:
    """What kind they are, and how many, is told of the whole ones."""
    observed = Observed(show=show)
    for client in (FRANCE, fakes.FRANCE_TOO):
        observed.ask(client, (), client)
    told = observed.told()
    assert told.clients.most == most
    assert (told.clients.distinct, told.clients.kinds, told.same) == (2, {"public": 2}, 2)


def test_an_hmac_tells_no_address() -> None:
    """It is the decision log's own."""
    observed = Observed(show=privacy.keyed(b"a secret of 16 b"))
    observed.ask(PROXY, (), FRANCE)
    (shown,) = observed.told().clients.most
    assert shown.startswith("hmac:")


def nets(*ranges: str) -> EnvoyMetadata:
    return EnvoyMetadata(trusted_proxies=tuple(map(ip_network, ranges)))


RELOADED: dict[str, tuple[AddressSource, AddressSource, int]] = {
    "another source": (NamedHeader("cf-connecting-ip", TRUSTED), EnvoyMetadata(), 0),
    "other hops": (ForwardedFor(trusted_hops=1), ForwardedFor(trusted_hops=2), 0),
    "other ranges": (nets("10.0.0.0/8"), nets("10.0.0.0/9"), 0),
    "something else of the configuration": (nets("10.0.0.0/8"), nets("10.0.0.0/8"), 1),
}


@pytest.mark.parametrize(("before", "after", "left"), RELOADED.values(), ids=RELOADED)
def test_another_source_of_the_address_is_observed_from_the_start(
    before: AddressSource, after: AddressSource, left: int
) -> None:
    """At once, before any other Check comes; what was answered since the start is counted on."""
    observed = Observed(before)
    observed.ask(PROXY)
    observed.reload(after)
    assert (observed.told().recent, observed.told().checks) == (left, 1)
    observed.ask(PROXY, (), FRANCE)
    assert (observed.told().recent, observed.told().checks) == (left + 1, 2)


def test_what_cannot_be_judged_is_counted() -> None:
    """By the reason that the decision log has."""
    observed = Observed()
    observed.send(b"\xff")
    told = observed.told()
    assert (told.checks, told.recent, told.unjudged) == (1, 0, {"malformed_check": 1})


def test_a_busy_service_looks_at_some_of_each_second() -> None:
    """And counts them all; the next second has its own share."""
    observed = Observed()
    for _ in range(EACH_SECOND + 10):
        observed.ask(PROXY, (), FRANCE)
    assert (observed.told().checks, observed.told().recent) == (EACH_SECOND + 10, EACH_SECOND)
    observed.now = 1.0
    observed.ask(PROXY, (), FRANCE)
    assert observed.told().recent == EACH_SECOND + 1


def test_the_latest_are_remembered() -> None:
    """So many and no more."""
    observed = Observed()
    for second in range(CAPACITY // EACH_SECOND + 1):
        observed.now = float(second)
        for _ in range(EACH_SECOND):
            observed.ask(PROXY, (), FRANCE if second else JAPAN)
    told = observed.told()
    assert told.recent == CAPACITY
    assert told.clients.most == {FRANCE: CAPACITY}
