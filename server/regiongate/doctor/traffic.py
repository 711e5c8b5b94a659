"""What recent Checks say of the wiring, without any of Envoy's configuration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final

from regiongate.doctor.address import USUALLY
from regiongate.doctor.calls import initial_metadata
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding, Place, Severity
from regiongate.doctor.observation import Addresses, Count, Observation

ENOUGH: Final = 20
"""Checks to judge by."""
SOME: Final = 0.05
"""The share of Checks that is worth a word."""
PROXIES: Final = 8
"""So few addresses are those of proxies rather than of clients."""

_UNJUDGED: Final = {
    "malformed_check": "could not be read: something other than Envoy asks, or a client sends"
    " what Envoy should refuse",
    "overloaded": "were more than limits.calls at once",
    "caller_not_allowed": "came from a caller that tls.clients does not name",
    "key_store_away": "needed a key store that was away",
    "internal_error": "failed by a fault of RegionGate's own: see its log",
}

Say = Callable[..., Finding]
"""Makes a finding about the running service."""


def examine(
    expected: Expected,
    observed: Observation,
    place: Place,
    *,
    keys_pass: bool = False,
    skipped: int | None = None,
) -> Iterator[Finding]:
    """Examine what the running service tells.

    Args:
        expected: what is relied on.
        observed: what it tells.
        place: where it was asked.
        keys_pass: whether Envoy's configuration is known to let keys through.
        skipped: how many proxies Envoy's configuration skips; None where that is not known.
    """

    def say(severity: Severity, name: str, what: str, instead: str = "") -> Finding:
        return Finding(severity, name, what, instead, place)

    yield from _unjudged(observed, say)
    if observed.source and observed.source != expected.source:
        yield say(
            Severity.WARNING,
            "other-configuration",
            f"the running service takes the client from source {observed.source}, and the"
            f" configuration given says {expected.source}: it has not been loaded, or is another's",
        )
    if observed.recent < ENOUGH:
        yield say(
            Severity.UNKNOWN,
            "too-few-checks",
            f"{observed.recent} Checks have come so far, and it takes {ENOUGH} to say more",
            "send some requests through Envoy from where clients are, and ask again",
        )
        return
    yield from _unresolved(expected, observed, say)
    yield from _clients(expected, observed, say, _trusted(expected, skipped))
    yield from _keys(expected, observed, say, keys_pass=keys_pass)
    yield from _policies(expected, observed, say)
    yield say(
        Severity.FINE,
        "time",
        f"Checks take {observed.p50 / 1e3:g} ms; 1 in 100 takes {observed.p99 / 1e3:g} ms or more",
    )


def _unjudged(observed: Observation, say: Say) -> Iterator[Finding]:
    for reason, count in observed.unjudged.items():
        told = _UNJUDGED.get(reason, f"were not judged ({reason})")
        what = f"{count} of {observed.checks} Checks since the start {told}"
        yield say(Severity.WARNING, "not-judged", what)


# ------------------------------------------------------------------------ without an address


def _unresolved(expected: Expected, observed: Observation, say: Say) -> Iterator[Finding]:
    share = observed.unresolved / observed.recent
    if share < SOME:
        return
    name, why, instead = _cause(expected, observed)
    many = "nearly every client is" if share >= USUALLY else f"{share:.0%} of clients are"
    severity = Severity.WRONG if share >= USUALLY else Severity.WARNING
    yield say(severity, name, f"{many} unresolved: {why}", instead)


def _cause(expected: Expected, observed: Observation) -> tuple[str, str, str]:
    """Return the name, the reason, and what to write instead."""
    if expected.source == "envoy" and _mostly(observed.metadata, "0", observed.unresolved):
        instead = "grpc_service:\n" + initial_metadata(expected.metadata, 2)
        return "metadata-missing", f"Envoy does not send {expected.metadata}", instead
    if expected.source == "xff":
        if _mostly(observed.entries, "0", observed.unresolved):
            return "header-missing", "x-forwarded-for does not arrive", _ARRIVES
        if expected.envoy_appends and observed.appended <= (1 - USUALLY) * observed.recent:
            return "envoy-appends", _NOT_APPENDED, _APPENDED
        if observed.longer(expected.trusted_hops or 0) <= (1 - USUALLY) * observed.recent:
            return _too_many(expected, observed)
    if expected.source == "forwarded" and not observed.forwarded:
        return "header-missing", "forwarded does not arrive", _FORWARDED_ARRIVES
    told = max(observed.problems.items(), key=lambda one: one[1])[0]
    return "unresolved", told, ""


_ARRIVES: Final = """\
use_remote_address: true
# and, in the filter, where there are allowed_headers:
allowed_headers:
  patterns:
    - {exact: x-forwarded-for}"""
_FORWARDED_ARRIVES: Final = """\
# Your proxy writes it: Envoy does not. In the filter, where there are allowed_headers:
allowed_headers:
  patterns:
    - {exact: forwarded}"""
_NOT_APPENDED: Final = (
    "this Envoy does not append its peer to x-forwarded-for, and client_address.envoy_appends says"
    " that it does"
)
_APPENDED: Final = """\
# Envoy:
use_remote_address: true   # and no skip_xff_append
# or regiongate.yaml:
client_address: {source: xff, envoy_appends: false, …}"""


def _too_many(expected: Expected, observed: Observation) -> tuple[str, str, str]:
    fitting = max(0, observed.usual_entries - expected.envoy_appends)
    return (
        "hops-too-many",
        (
            f"client_address.trusted_hops is {expected.trusted_hops}, and x-forwarded-for has fewer"
            " entries than that needs"
        ),
        (
            "# regiongate.yaml: the number of your own proxies in front of Envoy\n"
            f"client_address: {{source: xff, trusted_hops: {fitting}}}"
        ),
    )


# --------------------------------------------------------------------------- with an address


def _trusted(expected: Expected, skipped: int | None) -> int:
    """Return how many proxies are skipped, as far as is known."""
    match expected.source:
        case "envoy":
            return skipped or 0
        case "xff":
            return expected.trusted_hops or 0
    return 0


def _clients(
    expected: Expected, observed: Observation, say: Say, trusted: int
) -> Iterator[Finding]:
    clients = observed.clients
    if clients.known < ENOUGH:
        return
    if clients.local >= USUALLY * clients.known:
        yield from _local(expected, observed, say, trusted)
    elif expected.source != "peer" and observed.same == clients.known:
        yield _peers(expected, observed, say, trusted)
    elif clients.distinct == 1:
        yield say(
            Severity.WARNING,
            "one-client",
            f"every client is {_shown(observed)}: one busy client, or a proxy of yours that is"
            " taken for the client",
            _more_hops(expected, observed, trusted),
        )
    elif expected.source == "peer" and observed.longer(0) >= USUALLY * observed.recent:
        yield say(
            Severity.WARNING,
            "peer-is-proxy",
            "client_address.source is peer, and nearly every request has an x-forwarded-for: a"
            " proxy stands in front of Envoy, and its country decides",
            "# regiongate.yaml\nclient_address: {source: envoy}",
        )
    else:
        public = clients.kinds.get("public", 0)
        yield say(
            Severity.FINE,
            "clients",
            f"{clients.distinct} addresses of clients, public ones in {public} of"
            f" {clients.known} Checks",
        )


def _local(expected: Expected, observed: Observation, say: Say, trusted: int) -> Iterator[Finding]:
    """Say that clients are nowhere on the Internet."""
    clients, longer = observed.clients, observed.longer(trusted + 1) >= USUALLY * observed.recent
    on_this_machine = clients.kinds.get("loopback", 0) == clients.local
    few = _local_ones(clients) <= PROXIES and not (on_this_machine and not longer)
    many = _how_many(observed)
    why = (
        "x-forwarded-for names who is behind it: a hop too few is trusted"
        if longer
        else f"a proxy that does not say who is behind it{'' if trusted else ', or a hop too few'}"
        if few
        else "requests of your own network or machine"
    )
    name = "one-private-client" if clients.distinct == 1 else "private-clients"
    severity = Severity.WRONG if few else Severity.WARNING
    hops = _more_hops(expected, observed, trusted) if longer or few else ""
    yield say(severity, name, f"{many}: {why}", hops)


def _how_many(observed: Observation) -> str:
    """Say how many clients are private ones, and which."""
    clients = observed.clients
    if clients.local < clients.known:
        shown = [one for one in clients.most if _is_local(one)]
        told = f" ({_told(shown, observed)})" if shown else ""
        return f"{clients.local} of {clients.known} Checks have a private address for client{told}"
    if clients.distinct == 1:
        return f"every client is one private address ({_shown(observed)})"
    return f"every client is one of {clients.distinct} private addresses ({_shown(observed)})"


def _local_ones(clients: Addresses) -> float:
    """Return how many private addresses there are; infinity where that is not known."""
    if clients.local == clients.known:
        return clients.distinct
    counts = [count for one, count in clients.most.items() if _is_local(one)]
    return len(counts) if sum(counts) >= clients.local else math.inf


def _is_local(shown: str) -> bool:
    """Say whether an address is private; one that is shown as a digest does not tell."""
    try:
        return not ip_address(shown.partition("/")[0]).is_global
    except ValueError:
        return False


def _peers(expected: Expected, observed: Observation, say: Say, trusted: int) -> Finding:
    """Say that the client is always who connects to Envoy."""
    what = "the client is the peer in every Check"
    if observed.longer(trusted + 1) >= USUALLY * observed.recent:
        return say(
            Severity.WRONG,
            "hops-too-few",
            f"{what}, although x-forwarded-for names who is behind it: a hop too few is trusted,"
            " and your proxy's country decides",
            _more_hops(expected, observed, trusted),
        )
    if observed.peers.distinct <= PROXIES:
        return say(
            Severity.WARNING,
            "peer-never-differs",
            f"{what}, and there are only {observed.peers.distinct} of them ({_shown(observed)}):"
            " right if clients connect to Envoy directly, wrong if these are proxies",
            _more_hops(expected, observed, trusted),
        )
    return say(
        Severity.FINE,
        "peer-never-differs",
        f"{what}, {observed.peers.distinct} in all: clients connect to Envoy directly",
    )


def _more_hops(expected: Expected, observed: Observation, trusted: int) -> str:
    """Propose as many hops as x-forwarded-for has entries for, where that is more than now."""
    hops = observed.usual_entries - 1
    if hops <= trusted:
        return ""
    envoy = f"xff_num_trusted_hops: {hops}   # Envoy: the number of your own proxies in front of it"
    match expected.source:
        case "envoy":
            return envoy
        case "xff":
            ours = f"client_address: {{source: xff, trusted_hops: {hops}}}   # regiongate.yaml"
            return f"{envoy}\n{ours}"
        case "peer":
            return f"{envoy}\nclient_address: {{source: envoy}}   # regiongate.yaml"
    return ""


def _shown(observed: Observation) -> str:
    return _told(list(observed.clients.most), observed)


def _told(addresses: list[str], observed: Observation) -> str:
    told = ", ".join(addresses[:3])
    return told if observed.shown == "full" else f"{told}, {observed.shown}"


def _mostly(counts: Count, which: str, of: int) -> bool:
    return counts.get(which, 0) >= USUALLY * of


# ------------------------------------------------------------------------ keys and policies


def _keys(
    expected: Expected, observed: Observation, say: Say, *, keys_pass: bool
) -> Iterator[Finding]:
    places = [*expected.key_headers, *expected.key_namespaces]
    if not places:
        return
    none, malformed = observed.keys.get("none", 0), observed.keys.get("malformed", 0)
    if none == observed.recent:
        where = " or ".join(places)
        patterns = "".join(f"\n    - {{exact: {name}}}" for name in expected.key_headers)
        yield say(
            Severity.WARNING if keys_pass else Severity.WRONG,
            "no-key",
            f"no key has come in {observed.recent} Checks, in {where}"
            + (": Envoy sends these, clients do not" if keys_pass else ""),
            "" if keys_pass else f"allowed_headers:   # or leave it out\n  patterns:{patterns}",
        )
    elif malformed >= SOME * observed.recent:
        yield say(
            Severity.WARNING,
            "malformed-keys",
            f"{malformed} of {observed.recent} Checks have a key header that is not one key:"
            " repeated, joined by commas, or with more than a key in it",
            "encode_raw_headers: true",
        )
    else:
        came = observed.recent - none
        yield say(Severity.FINE, "keys", f"a key came with {came} of {observed.recent} Checks")


def _policies(expected: Expected, observed: Observation, say: Say) -> Iterator[Finding]:
    known = ", ".join(sorted(expected.policies or ()))
    if observed.refused_policies:
        yield say(
            Severity.WRONG,
            "policy-unknown",
            f"{observed.refused_policies} of {observed.recent} Checks were refused since their"
            " route names a policy that there is not",
            "context_extensions: {regiongate.policy: NAME}, NAME "
            + (f"one of {known}" if known else "one that policy.yaml has"),
        )
