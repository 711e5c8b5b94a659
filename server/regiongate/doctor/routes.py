"""Routes: which of them are not checked, and which policies they name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from regiongate.doctor import calls
from regiongate.doctor.envoy import Filter, Manager
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding
from regiongate.doctor.observation import Observation
from regiongate.doctor.saying import fine, unknown, warning, wrong
from regiongate.doctor.tree import Node

POLICY: Final = "regiongate.policy"

REDACTED: Final = "[redacted]"
"""What Envoy's /config_dump has in place of the values of context_extensions."""

_PER_ROUTE: Final = ".ExtAuthzPerRoute"


@dataclass(frozen=True, slots=True)
class _Own:
    """What a virtual host or a route says of ext_authz.

    Attributes:
        owner: the virtual host or route.
        filter: the name of the filter that it is meant for.
        entry: as it is written.
        config: the ExtAuthzPerRoute.
        off: whether the filter is turned off, by either of the two ways.
    """

    owner: Node
    filter: str
    entry: Node
    config: Node
    off: bool

    @property
    def policy(self) -> Node:
        return self.config.at("check_settings", "context_extensions").key(POLICY)


def examine(
    manager: Manager, expected: Expected, observed: Observation | None
) -> Iterator[Finding]:
    """Examine the routes of a connection manager that has the filter.

    Args:
        manager: whose routes.
        expected: what is relied on.
        observed: what the running service tells; None where it was not asked.
    """
    if not manager.routes:
        yield unknown(
            "routes-not-given",
            manager.config,
            f"the routes of listener {manager.name} are not in what was given: whether they turn"
            " the filter off or name a policy that there is not cannot be told",
            "the answer of Envoy's /config_dump, which has them",
        )
        return
    own = list(_all(manager.routes))
    for one in own:
        yield from _off(one)
        yield from _policy(one, expected)
        if service := one.config.at("check_settings", "grpc_service"):
            yield from calls.examine(service, expected, observed)
    yield from _unheard(own, manager)
    if not any(one.off for one in own):
        yield fine("routes", manager.routes, "no route turns the filter off")


def differ(manager: Manager) -> bool:
    """Say whether it matters which route a request takes: another policy, or no Check at all."""
    own = list(_all(manager.routes))
    named = [one.policy.text for one in own]
    hidden = named.count(REDACTED)
    return any(one.off for one in own) or len(set(named)) > 1 or hidden > 1


def _all(routes: Node) -> Iterator[_Own]:
    yield from _of(routes)
    for host in routes["virtual_hosts"]:
        yield from _of(host)
        for route in host["routes"]:
            yield from _of(route)
            for one in route.at("route", "weighted_clusters", "clusters"):
                yield from _of(one)


def _of(owner: Node) -> Iterator[_Own]:
    for entry in owner["typed_per_filter_config"]:
        config = entry
        off = False
        if entry.type.endswith(".FilterConfig"):
            config, off = entry.message["config"], entry.message["disabled"].on
        if config.type.endswith(_PER_ROUTE) or "ext_authz" in entry.name:
            config = config.message
            yield _Own(owner, entry.name, entry, config, off or config["disabled"].on)


def _off(one: _Own) -> Iterator[Finding]:
    if one.off:
        yield warning(
            "route-not-checked",
            one.entry,
            f"{_called(one.owner)} is not checked: whoever reaches it passes",
        )


def _called(owner: Node) -> str:
    match, name = owner["match"], owner["name"].text
    if not match:
        kind = "virtual host" if owner["domains"] else "cluster" if owner["weight"] else "routes"
        return f"{kind} {name}".strip()
    for kind in ("prefix", "path", "path_separated_prefix"):
        if match[kind]:
            return f"the route {kind} {match[kind].text}"
    return f"the route {name or match.at('safe_regex', 'regex').text}".strip()


def _policy(one: _Own, expected: Expected) -> Iterator[Finding]:
    name = one.policy
    if not name or expected.policies is None:
        return
    if name.text == REDACTED:
        yield unknown(
            "policy-redacted",
            name,
            "Envoy does not show in a dump which policies its routes name; the running service"
            " counts those that there are not",
            "envoy.yaml in place of the dump",
        )
    elif name.text in expected.policies:
        yield fine("policy", name, f"there is a policy {name.text}")
    else:
        known = ", ".join(sorted(expected.policies))
        yield wrong(
            "policy-unknown",
            name,
            f"there is no policy {name.text!r}: every request of {_called(one.owner)} is refused",
            f"context_extensions: {{{POLICY}: NAME}}, NAME one of {known}",
        )


def _unheard(own: list[_Own], manager: Manager) -> Iterator[Finding]:
    """Look for settings under a name that no filter has: Envoy goes by the filter's name."""
    names = {one.name for one in manager.filters}
    ours: list[Filter] = manager.authorizations
    for one in own:
        if one.filter not in names and ours:
            yield warning(
                "route-other-filter",
                one.entry,
                f"the settings are for a filter named {one.filter}, and there is none: here it is"
                f" called {ours[0].name}",
                f"typed_per_filter_config:\n  {ours[0].name}: …",
            )
