"""The ways to wire an Envoy and a RegionGate, who the client is in each, and one forger for all.

The forger really is in one country, every address it claims is in another, and every proxy is in a
third: taking the forger for a proxy would be a wrong answer, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.e2e.clients import IRAN, UNITED_STATES, UNITED_STATES_IPV6

REAL, CLAIMED, OF_PROXIES = "IR", "US", "DE"

FORGER: Final = "127.0.0.66"
"""Where the forger connects from when nothing is in front of Envoy."""
FORGER_BEHIND: Final = IRAN
"""Where it connects from to the first proxy."""
BALANCER: Final = "127.0.0.5"
"""The proxy that Envoy's connections come from. Envoy appends it to X-Forwarded-For as it is; of
the addresses of the loopback interface it replaces 127.0.0.1 alone."""
INNER: Final = "10.0.0.6"
"""A proxy in front of that."""
WANTED: Final = UNITED_STATES
WANTED_IPV6: Final = UNITED_STATES_IPV6

COUNTRIES: Final[Mapping[str, str]] = {
    FORGER: REAL,
    FORGER_BEHIND: REAL,
    BALANCER: OF_PROXIES,
    INNER: OF_PROXIES,
    WANTED: CLAIMED,
    WANTED_IPV6: CLAIMED,
}

PROXIES: Final = [f"{BALANCER}/32", "10.0.0.0/8"]
EDGE: Final[Mapping[str, Any]] = {"use_remote_address": True}
SKIPPING: Final[Mapping[str, Any]] = {"use_remote_address": True, "skip_xff_append": True}
CDN_HEADER: Final = "cf-connecting-ip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """How the forger's requests reach a RegionGate.

    Attributes:
        settings: the section client_address.
        manager: what Envoy's connection manager is told about addresses.
        peer: where Envoy's connections come from.
        reads: the header that is forged before all others.
        vouched: what the proxies add to that header.
        joined: whether they add it to the client's last line, or a line of their own.
        replacing: whether they take off what the client sent under that name.
        raw: encode_raw_headers.
        proxy_protocol: whether the peer states the client's address before the request.
        honest: the country that is decided when nothing is forged; "" where there is none.
        strict: whether a forgery may leave the client unresolved rather than where it is.
    """

    settings: Mapping[str, Any]
    manager: Mapping[str, Any] = field(default_factory=lambda: EDGE)
    peer: str = FORGER
    reads: str = "x-forwarded-for"
    vouched: Sequence[str] = ()
    joined: bool = False
    replacing: bool = False
    raw: bool = True
    proxy_protocol: bool = False
    honest: str = REAL
    strict: bool = False


def xff(**options: Any) -> Mapping[str, Any]:
    """Return the section for X-Forwarded-For."""
    return {"source": "xff", **options}


def forwarded(**options: Any) -> Mapping[str, Any]:
    """Return the section for Forwarded."""
    return {"source": "forwarded", **options}


HEADER: Final = {"source": "header", "header": CDN_HEADER, "trusted_proxies": PROXIES}

WIRINGS: Final[Mapping[str, Wiring]] = {
    # Envoy tells.
    "envoy, edge": Wiring(settings={"source": "envoy"}),
    "envoy, one hop": Wiring(
        settings={"source": "envoy"},
        manager={**EDGE, "xff_num_trusted_hops": 1},
        peer=BALANCER,
        vouched=[FORGER_BEHIND],
    ),
    "envoy, one hop, joined": Wiring(
        settings={"source": "envoy", "trusted_proxies": PROXIES},
        manager={**EDGE, "xff_num_trusted_hops": 1},
        peer=BALANCER,
        vouched=[FORGER_BEHIND],
        joined=True,
        raw=False,
    ),
    # X-Forwarded-For by hops.
    "xff, no hop": Wiring(settings=xff(trusted_hops=0)),
    "xff, no hop, joined headers": Wiring(settings=xff(trusted_hops=0), raw=False),
    "xff, one hop": Wiring(settings=xff(trusted_hops=1), peer=BALANCER, vouched=[FORGER_BEHIND]),
    "xff, one hop, joined": Wiring(
        settings=xff(trusted_hops=1), peer=BALANCER, vouched=[FORGER_BEHIND], joined=True
    ),
    "xff, one hop, ports": Wiring(
        settings=xff(trusted_hops=1, accept=["port", "brackets", "zone"]),
        peer=BALANCER,
        vouched=[f"{FORGER_BEHIND}:4711"],
        raw=False,
    ),
    "xff, two hops": Wiring(
        settings=xff(trusted_hops=2), peer=BALANCER, vouched=[FORGER_BEHIND, INNER]
    ),
    "xff, not appending": Wiring(
        settings=xff(trusted_hops=0, envoy_appends=False),
        manager=SKIPPING,
        peer=BALANCER,
        vouched=[FORGER_BEHIND],
    ),
    # X-Forwarded-For by ranges.
    "xff, ranges": Wiring(
        settings=xff(trusted_proxies=PROXIES), peer=BALANCER, vouched=[FORGER_BEHIND, INNER]
    ),
    "xff, ranges, joined": Wiring(
        settings=xff(trusted_proxies=PROXIES),
        peer=BALANCER,
        vouched=[FORGER_BEHIND],
        joined=True,
        raw=False,
    ),
    "xff, ranges, past the proxies": Wiring(settings=xff(trusted_proxies=PROXIES)),
    "xff, ranges, not appending": Wiring(
        settings=xff(trusted_proxies=PROXIES, envoy_appends=False),
        manager=SKIPPING,
        peer=BALANCER,
        vouched=[FORGER_BEHIND, INNER],
        joined=True,
    ),
    "xff, ranges, not appending, past the proxies": Wiring(
        settings=xff(trusted_proxies=PROXIES, envoy_appends=False), manager=SKIPPING
    ),
    # A header of a content delivery network's.
    "header, replaced by the proxy": Wiring(
        settings=HEADER, peer=BALANCER, reads=CDN_HEADER, vouched=[FORGER_BEHIND], replacing=True
    ),
    "header, added by the proxy": Wiring(
        settings=HEADER, peer=BALANCER, reads=CDN_HEADER, vouched=[FORGER_BEHIND], strict=True
    ),
    "header, added by the proxy, joined headers": Wiring(
        settings=HEADER,
        peer=BALANCER,
        reads=CDN_HEADER,
        vouched=[FORGER_BEHIND],
        raw=False,
        strict=True,
    ),
    "header, past the proxies": Wiring(settings=HEADER, reads=CDN_HEADER, honest=""),
    # Forwarded.
    "forwarded, hops": Wiring(
        settings=forwarded(trusted_hops=0),
        peer=BALANCER,
        reads="forwarded",
        vouched=[f"for={FORGER_BEHIND}"],
    ),
    "forwarded, ranges, joined": Wiring(
        settings=forwarded(trusted_proxies=PROXIES),
        peer=BALANCER,
        reads="forwarded",
        vouched=[f'for="{FORGER_BEHIND}:4711";host="a,b=";proto=http', f"by=_edge;for={INNER}"],
        joined=True,
    ),
    "forwarded, ranges, joined headers": Wiring(
        settings=forwarded(trusted_proxies=PROXIES),
        peer=BALANCER,
        reads="forwarded",
        vouched=[f'proto=https;For="{FORGER_BEHIND}"'],
        raw=False,
    ),
    "forwarded, ranges, past the proxies": Wiring(
        settings=forwarded(trusted_proxies=PROXIES), reads="forwarded"
    ),
    # The peer.
    "peer": Wiring(settings={"source": "peer"}),
    "peer, PROXY protocol": Wiring(settings={"source": "peer"}, peer=BALANCER, proxy_protocol=True),
}

MISTAKES: Final[Mapping[str, Wiring]] = {
    "envoy, one hop too many": Wiring(
        settings={"source": "envoy"}, manager={**EDGE, "xff_num_trusted_hops": 1}, honest=REAL
    ),
    "xff, one hop too many": Wiring(
        settings=xff(trusted_hops=2), peer=BALANCER, vouched=[FORGER_BEHIND], honest=""
    ),
    "xff, everybody trusted": Wiring(settings=xff(trusted_proxies=["0.0.0.0/0"]), honest=""),
    "header, everybody trusted": Wiring(
        settings={**HEADER, "trusted_proxies": ["0.0.0.0/0"]}, reads=CDN_HEADER, honest=""
    ),
    "forwarded, passed on untouched": Wiring(
        settings=forwarded(trusted_hops=0), peer=BALANCER, reads="forwarded", honest=""
    ),
}
"""Wirings in which a client does choose its country; the table of forgeries must notice."""
