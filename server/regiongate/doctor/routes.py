"""Routes: which of them are not checked, whom they ask, and which policies they name.

Settings of the filter are looked for wherever in a RouteConfiguration they can stand: at it, at
virtual hosts, routes and weighted clusters, and in the actions of a matcher that stands for routes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from regiongate.doctor import calls
from regiongate.doctor.asking import asks_us
from regiongate.doctor.envoy import Configuration, Filter, Manager, target
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding
from regiongate.doctor.observation import Observation
from regiongate.doctor.saying import careful, fine, otherwise, unknown, warning, wrong
from regiongate.doctor.tree import Node

POLICY: Final = "regiongate.policy"

REDACTED: Final = "[redacted]"
"""What Envoy's /config_dump has in place of the values of context_extensions."""

_PER_ROUTE: Final = ".ExtAuthzPerRoute"
_WRAPPING: Final = ".FilterConfig"
_ROUTING: Final = (".Route", ".RouteList")
"""What an action of a virtual host's matcher can be."""


@dataclass(frozen=True, slots=True)
class _Own:
    """What a virtual host or a route says of ext_authz.

    Attributes:
        owner: the virtual host or route.
        filter: the name of the filter that it is meant for.
        entry: as it is written.
        config: the ExtAuthzPerRoute; absent where a FilterConfig has none.
        kind: the message that it is.
    """

    owner: Node
    filter: str
    entry: Node
    config: Node
    kind: str

    @property
    def off(self) -> bool:
        """Whether the filter is turned off, by either of the two ways."""
        wrapped = self.entry.type.endswith(_WRAPPING)
        return (wrapped and self.entry.message["disabled"].on) or self.config["disabled"].on

    @property
    def understood(self) -> bool:
        """Whether these are settings that are known here."""
        return self.kind.endswith(_PER_ROUTE) or not self.config

    @property
    def policy(self) -> Node:
        return self.config.at("check_settings", "context_extensions").key(POLICY)


@careful
def examine(
    manager: Manager,
    asked: list[Filter],
    given: Configuration,
    expected: Expected,
    observed: Observation | None,
) -> Iterator[Finding]:
    """Examine the routes of a connection manager that has the filter.

    Args:
        manager: whose routes.
        asked: its filters that ask RegionGate.
        given: the configuration that it is in.
        expected: what is relied on.
        observed: what the running service tells; None where it was not asked.
    """
    yield from _given(manager)
    if not manager.routes:
        return
    own = list(_all(manager, asked))
    off = [finding for one in own for finding in _off(one)]
    elsewhere = [*_discovered(manager), *_matched(manager)]
    what = fine("routes", manager.routes, "no route turns the filter off")
    yield from otherwise([*off, *elsewhere], what)
    for one in own:
        yield from _policy(one, expected)
        yield from _asked(one, asked, given, expected)
        if service := one.config.at("check_settings", "grpc_service"):
            yield from calls.examine(service, expected, observed)
    yield from _unheard(manager, asked)


def differ(manager: Manager, asked: list[Filter]) -> bool:
    """Say whether it matters which route a request takes: another policy, or no Check at all."""
    own = list(_all(manager, asked))
    named = [one.policy.text for one in own]
    hidden = named.count(REDACTED)
    return any(one.off for one in own) or len(set(named)) > 1 or hidden > 1


def reached(manager: Manager) -> set[str]:
    """Return the clusters that routes name."""
    routes = [one for one in manager.routes.everything() if one.has_fields]
    weighted = [one for each in routes for one in each.at("weighted_clusters", "clusters")]
    named = [*(one["cluster"] for one in routes), *(one["name"] for one in weighted)]
    return {one.value for one in named if isinstance(one.value, str)}


def _given(manager: Manager) -> Iterator[Finding]:
    if not manager.routes:
        yield unknown(
            "routes-not-given",
            manager.config,
            f"the routes of listener {manager.name} are not in what was given: whether they turn"
            " the filter off or name a policy that there is not cannot be told",
            "the answer of Envoy's /config_dump, which has them",
        )


def _discovered(manager: Manager) -> Iterator[Finding]:
    if manager.routes["vhds"]:
        yield unknown(
            "routes-not-given",
            manager.routes["vhds"],
            f"virtual hosts of listener {manager.name} are discovered on demand: whether they turn"
            " the filter off is not in what was given",
        )


def _matched(manager: Manager) -> Iterator[Finding]:
    """Look for actions of a matcher in place of routes that are neither a route nor several."""
    for host in manager.routes["virtual_hosts"]:
        for one in host["matcher"].everything():
            action = one["action"]["typed_config"] if one.has_fields and one["action"] else None
            if action and not action.type.endswith(_ROUTING):
                yield unknown(
                    "routes-matched",
                    action,
                    f"what {action.type or 'an action'} does with a request, in place of a route,"
                    " is not known here",
                )


def _all(manager: Manager, asked: list[Filter]) -> Iterator[_Own]:
    """Find the settings of the filters asked, wherever they stand."""
    names = {one.name for one in asked}
    return (one for one in _settings(manager) if one.filter in names)


def _settings(manager: Manager) -> Iterator[_Own]:
    for owner in manager.routes.everything():
        if owner.has_fields:
            yield from (_own(owner, entry) for entry in owner["typed_per_filter_config"])


def _own(owner: Node, entry: Node) -> _Own:
    config = entry.message["config"] if entry.type.endswith(_WRAPPING) else entry
    return _Own(owner, entry.name, entry, config.message, config.type)


@careful
def _off(one: _Own) -> Iterator[Finding]:
    if one.off:
        yield warning(
            "route-not-checked",
            one.entry,
            f"{_called(one.owner)} is not checked: whoever reaches it passes",
        )
    elif not one.understood:
        yield unknown(
            "route-settings",
            one.entry,
            f"what {one.kind or 'something without a type'} changes about the filter for"
            f" {_called(one.owner)} is not known here",
        )


@careful
def _asked(
    one: _Own, asked: list[Filter], given: Configuration, expected: Expected
) -> Iterator[Finding]:
    settings = one.config["check_settings"]
    service = settings["grpc_service"]
    known = target(service) in {target(each.calls) for each in asked}
    another = bool(service) and not known and not asks_us(service, given, expected)
    if another or settings["http_service"]:
        whom = target(service) or "a service over HTTP"
        yield wrong(
            "route-asks-another",
            settings["http_service"] or service,
            f"{_called(one.owner)} asks {whom} in place of RegionGate",
            "check_settings without grpc_service and http_service",
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


@careful
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


def _unheard(manager: Manager, asked: list[Filter]) -> Iterator[Finding]:
    """Look for settings under a name that no filter has: Envoy goes by the filter's name."""
    names = {one.name for one in manager.filters}
    for one in _settings(manager):
        ours = one.kind.endswith(_PER_ROUTE) or "ext_authz" in one.filter
        if ours and one.filter not in names:
            yield warning(
                "route-other-filter",
                one.entry,
                f"the settings are for a filter named {one.filter}, and there is none: here it is"
                f" called {asked[0].name}",
                f"typed_per_filter_config:\n  {asked[0].name}: …",
            )
