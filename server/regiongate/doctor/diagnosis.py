"""The diagnosis: everything that can be said of a wiring, the worst first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regiongate.doctor import address, authorization, cluster, manager, routes, traffic, transport
from regiongate.doctor.asking import ours
from regiongate.doctor.envoy import Configuration, Filter, gather, target
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding, Place, Severity
from regiongate.doctor.observation import Observation
from regiongate.doctor.saying import careful, unknown, warning, wrong
from regiongate.doctor.tree import Node, UnclearError

_KEEPS_OUT_KEYS: Final = {"allowed-headers", "disallowed-headers", "metadata-namespace", "not-grpc"}
_SHOWN: Final = 5
"""Listeners that are named."""

_INSTEAD: Final = "http_filters, before the router:\n  - name: envoy.filters.http.ext_authz …"

_NOT_ASKED: Final = Finding(
    Severity.UNKNOWN,
    "service-not-asked",
    "the running service was not asked: who clients are taken for, whether keys arrive and how long"
    " a Check takes is not known",
    "# regiongate.yaml, where it has none:\nlisten: {admin: HOST:PORT}\n# or: --admin http://HOST:PORT",
)
_NOT_GIVEN: Final = Finding(
    Severity.UNKNOWN,
    "envoy-not-given",
    "no configuration of Envoy's was given: what it does without an answer, how long it waits and"
    " which requests it does not check is not known",
    "--envoy envoy.yaml, or curl -sS http://ENVOY-ADMIN/config_dump | regiongate doctor --envoy -",
)


def diagnose(
    expected: Expected,
    observed: tuple[Observation, Place] | None = None,
    given: Node | None = None,
    *,
    unanswered: bool = False,
) -> list[Finding]:
    """Say what is wrong with the wiring, what may be, what is fine, and what cannot be known.

    Args:
        expected: what is relied on.
        observed: what the running service tells and where it was asked; None where it was not.
        given: Envoy's configuration, likewise.
        unanswered: whether the running service was asked and did not tell.
    """
    told = observed[0] if observed else Observation() if unanswered else None
    found = [_NOT_GIVEN] if given is None else list(configuration(given, expected, told))
    if observed is None and not unanswered:
        found.append(_NOT_ASKED)
    elif observed is not None:
        wrongs = {one.name for one in found if one.severity is Severity.WRONG}
        pass_ = given is not None and not wrongs & _KEEPS_OUT_KEYS
        hops = skipped(given, expected)
        found += traffic.examine(expected, *observed, keys_pass=pass_, skipped=hops)
    order = list(Severity)
    return sorted(dict.fromkeys(found), key=lambda one: order.index(one.severity))


def skipped(given: Node | None, expected: Expected) -> int | None:
    """Return how many proxies in front of it Envoy skips.

    Args:
        given: Envoy's configuration; None where it was not given.
        expected: what is relied on.

    Returns:
        None where that is not known, or differs between listeners.
    """
    if given is None:
        return None
    try:
        whole = gather(given)
        asking = ours(whole, expected)
    except UnclearError:
        return None
    return address.skipped(
        one for one in whole.managers if any(known in asking for known in one.filters)
    )


@careful
def configuration(
    root: Node, expected: Expected, observed: Observation | None
) -> Iterator[Finding]:
    """Examine a configuration of Envoy's.

    Args:
        root: the configuration.
        expected: what is relied on.
        observed: what the running service tells; None where it was not asked.
    """
    given = gather(root)
    asking = ours(given, expected)
    yield from _listeners(given, asking)
    yield from _tunnels(given, asking)
    for one in given.managers:
        asked = [known for known in one.authorizations if known in asking]
        if asked:
            yield from manager.examine(one, asked, given, expected, observed)
    for name in dict.fromkeys(target(one.calls) for one in asking if one.calls["envoy_grpc"]):
        if name in given.clusters:
            yield from cluster.examine(given.clusters[name], expected)
            yield from transport.examine(given.clusters[name], expected)
        else:
            yield unknown(
                "cluster-not-given", given.root, f"the cluster {name} is not in what was given"
            )
    for calls in (known.calls for known in asking):
        if expected.listen and calls["google_grpc"]:
            node = calls.at("google_grpc", "target_uri")
            called = f"calls go to {node.text or 'no address'} over google_grpc"
            yield cluster.uncompared(node, called, expected)
            if expected.tls:
                yield unknown(
                    "tls-not-known", node, f"{called}: whether over TLS was not looked at"
                )
    for node in given.network:
        yield from _tcp(node, expected)


@careful
def _listeners(given: Configuration, ours: list[Filter]) -> Iterator[Finding]:
    """Look for requests that nobody asks about."""
    if not given.managers:
        yield unknown(
            "no-listener", given.root, "no HTTP connection manager is in what was given", _INSTEAD
        )
        return
    unknown_filters = [one for each in given.managers for one in each.filters if not one.type]
    if not ours and unknown_filters:
        names = ", ".join(one.name for one in unknown_filters)
        yield unknown(
            "filter-not-given",
            unknown_filters[0].entry,
            f"what the filters {names} are is not in what was given; no other is ext_authz",
        )
    elif not ours:
        yield wrong(
            "filter-missing",
            given.managers[0].config["http_filters"],
            "no listener has the ext_authz filter: nothing is checked",
            _INSTEAD,
        )
    yield from _without(given, ours)
    for one in given.hidden:
        yield unknown(
            "filter-not-given",
            one,
            f"what the filter {one['name'].text} of a listener is, is discovered while Envoy runs",
        )


def _without(given: Configuration, ours: list[Filter]) -> Iterator[Finding]:
    """Look for chains of filters in which ours is not."""
    lacking = [one for one in given.managers if not any(known in ours for known in one.filters)]
    checked = [one.config.path for one in given.managers if one not in lacking]
    for one in lacking:
        if one.upgrade and one.config.path in checked:
            yield wrong(
                "upgrade-not-checked",
                one.chain,
                f"requests to {one.name} have filters of their own and are not checked",
                "upgrade_configs:\n  - upgrade_type: "
                f"{one.upgrade}   # without filters, or with ext_authz in them",
            )
    others = [one for one in lacking if not one.upgrade]
    if ours and others:
        names = ", ".join(dict.fromkeys(one.name for one in others[:_SHOWN]))
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        what = f"requests to {names}{more} are not checked"
        yield warning("listener-not-checked", others[0].chain, what, _INSTEAD)


@careful
def _tunnels(given: Configuration, ours: list[Filter]) -> Iterator[Finding]:
    """Look for ways to what is protected that no HTTP filter stands in."""
    checked = [one for one in given.managers if any(known in ours for known in one.filters)]
    protected = {name for one in checked for name in routes.reached(one)}
    places = {place for name in protected for place in _places(name, given)}
    for one in given.tunnels:
        names = {each["name"].text for each in one.at("weighted_clusters", "clusters")}
        names = {*names, one["cluster"].text} - {""}
        same = [
            name for name in sorted(names) if name in protected or _places(name, given) & places
        ]
        if same:
            yield warning(
                "tcp-not-checked",
                one,
                f"TCP connections reach {', '.join(same)}, to which requests are checked elsewhere,"
                " without a Check",
                "the listener is left out, or no client reaches it",
            )


def _places(name: str, given: Configuration) -> set[str]:
    known = given.clusters.get(name)
    return set(cluster.addresses(known)) if known else set()


@careful
def _tcp(node: Node, expected: Expected) -> Iterator[Finding]:
    yield from authorization.fails_open(node)
    if expected.source != "peer":
        yield warning(
            "tcp-unresolved",
            node,
            f"the Checks of a TCP filter carry no request: with source {expected.source} their"
            " clients may be unresolved",
            "a RegionGate of its own with client_address: {source: peer}",
        )
