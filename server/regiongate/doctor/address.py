"""Whom Envoy takes for the client, and whether that is what RegionGate takes it for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from regiongate.doctor.envoy import Manager
from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding
from regiongate.doctor.observation import Observation
from regiongate.doctor.saying import careful, fine, unknown, warning, wrong
from regiongate.doctor.tree import Node, UnclearError

USUALLY: Final = 0.9
"""The share of Checks that counts as nearly all of them."""

_XFF: Final = ".XffConfig"
_CUSTOM_HEADER: Final = ".CustomHeaderConfig"
_PROXY_PROTOCOL: Final = ".ProxyProtocol"
_COUNT: Final = "the number of your own proxies in front of this Envoy"
_SAFE: Final = f"use_remote_address: true\nxff_num_trusted_hops: 0   # {_COUNT}"

_RANGES: Final = (
    "xff_trusted_cidrs:\n  cidrs:\n    - {address_prefix: 10.0.0.0, prefix_len: 8}   # yours"
)


@dataclass(frozen=True, slots=True)
class Detection:
    """How a connection manager derives the client's address.

    Attributes:
        remote: use_remote_address.
        extensions: those in original_ip_detection_extensions, each asked where those before it
            find nothing.
    """

    config: Node
    remote: Node
    extensions: tuple[Node, ...]

    @property
    def hops(self) -> Node:
        """Where it is written how many proxies are skipped."""
        within = self.extensions[0].message if self.extensions else self.config
        return within["xff_num_trusted_hops"]

    @property
    def trusted(self) -> int:
        """How many proxies are skipped."""
        return self.hops.whole or 0

    @property
    def appends(self) -> bool:
        """Whether this Envoy appends its peer to x-forwarded-for."""
        if self.extensions:
            # The extension for x-forwarded-for has a setting of its own, true by default.
            skips = self.extensions[0].message["skip_xff_append"]
            return self.extensions[0].type.endswith(_XFF) and skips.switch is False
        return self.remote.on and not self.config["skip_xff_append"].on


def detection(manager: Manager) -> Detection:
    """Return how a connection manager derives the client's address."""
    config = manager.config
    extensions = (one["typed_config"] for one in config["original_ip_detection_extensions"])
    return Detection(config, config["use_remote_address"], tuple(extensions))


def skipped(managers: Iterable[Manager]) -> int | None:
    """Return how many proxies connection managers skip from the right of x-forwarded-for.

    Args:
        managers: those that have the filter.

    Returns:
        None where they differ, where an extension derives the address, or where it is unclear.
    """
    try:
        found = [detection(one) for one in managers]
        if any(one.extensions or not one.remote.on for one in found):
            return None
        counts = {one.trusted for one in found}
    except UnclearError:
        return None
    return counts.pop() if len(counts) == 1 else None


@careful
def examine(
    manager: Manager, expected: Expected, observed: Observation | None
) -> Iterator[Finding]:
    """Examine how the client's address comes about.

    Args:
        manager: a connection manager that has the filter.
        expected: what is relied on.
        observed: what the running service tells; None where it was not asked.
    """
    found = detection(manager)
    match expected.source:
        case "envoy":
            yield from _derived(found, expected, observed)
        case "xff":
            yield from _by_several(found)
            yield from _appended(found, expected)
            yield from _counted(found, expected)
        case "peer":
            yield from _direct(found)
    yield from _proxy_protocol(manager)


@careful
def _derived(
    found: Detection, expected: Expected, observed: Observation | None
) -> Iterator[Finding]:
    """Examine what Envoy believes, where RegionGate believes Envoy."""
    if found.extensions:
        for one in found.extensions:
            yield from _extension(one)
    elif not found.remote.on:
        yield wrong(
            "use-remote-address",
            found.remote,
            "use_remote_address is not on: Envoy takes the client's address from an"
            " x-forwarded-for that whoever connects may have written, and clients choose their"
            " own country",
            _SAFE,
        )
    else:
        yield _hops(found, expected, observed)


def _hops(found: Detection, expected: Expected, observed: Observation | None) -> Finding:
    what = f"xff_num_trusted_hops is {found.trusted}"
    if observed and observed.recent:
        return _measured(found, what, observed)
    service = f"--admin {url(expected.admin) if expected.admin else 'http://HOST:PORT'}"
    return unknown(
        "hops-unmeasured",
        found.hops,
        f"{what}; whether that is {_COUNT} cannot be told from a configuration",
        f"ask the running service: {service}"
        if observed is None
        else "what the running service tells once requests have come through Envoy",
    )


def _measured(found: Detection, what: str, observed: Observation) -> Finding:
    # With use_remote_address Envoy has appended one entry of its own.
    trusted, recent = found.trusted, observed.recent
    longer = observed.longer(trusted)
    short = recent - longer
    if not trusted or short < USUALLY * recent:
        return fine("hops", found.hops, f"{what}, and x-forwarded-for is as long as that needs")
    if longer and observed.clients.local >= USUALLY * short:
        return warning(
            "hops-passed-by",
            found.hops,
            f"{what}, and x-forwarded-for has no more entries than that in {short} of {recent}"
            " Checks, whose clients are private addresses: right if these are requests of your own"
            " that do not come through the proxy, a hop too many otherwise",
        )
    return wrong(
        "hops-too-many",
        found.hops,
        f"{what}, and x-forwarded-for has no more entries than that"
        f"{f' in {short} of {recent} Checks' if longer else ''}: Envoy takes the proxy"
        " itself for the client, or an entry that the client has written",
        f"xff_num_trusted_hops: {max(0, observed.usual_entries - 1)}   # {_COUNT}",
    )


def url(admin: str) -> str:
    """Write an admin address as --admin takes it."""
    return admin if admin.startswith("unix:") else f"http://{admin}"


@careful
def _extension(extension: Node) -> Iterator[Finding]:
    if extension.type.endswith(_CUSTOM_HEADER):
        name = extension.message["header_name"]
        yield wrong(
            "address-from-header",
            name,
            f"Envoy believes the header {name.text} of whoever connects: where clients can reach"
            " Envoy past the proxy that writes it, they choose their own country",
            "# regiongate.yaml: believed of your proxies only\nclient_address:\n  source: header\n"
            f"  header: {name.text.lower() or 'NAME'}\n  trusted_proxies: [10.0.0.0/8]   # yours",
        )
    elif extension.type.endswith(_XFF):
        yield from _ranges(extension.message)
    else:
        yield unknown(
            "address-from-extension",
            extension,
            f"the client's address may come from {extension.type or 'an extension'}, which is not"
            " known here",
        )


@careful
def _ranges(extension: Node) -> Iterator[Finding]:
    ranges = extension.at("xff_trusted_cidrs", "cidrs")
    for one in ranges:
        prefix, length = one["address_prefix"].text, one["prefix_len"].number or 0
        if not length:
            yield wrong(
                "trusts-everybody",
                one,
                f"{prefix}/0 trusts every address: the leftmost entry of x-forwarded-for, which"
                " the client writes, is taken for the client",
                _RANGES,
            )
    if ranges:
        yield warning(
            "address-by-ranges",
            ranges,
            "above 20 entries in x-forwarded-for, which a client can write, Envoy takes its peer"
            " for the client: your proxy",
            "# regiongate.yaml\nclient_address: {source: envoy, trusted_proxies: [10.0.0.0/8]}",
        )
    else:
        yield warning(
            "address-by-hops",
            extension["xff_num_trusted_hops"],
            "Envoy believes the x-forwarded-for of whoever connects: this is safe only where"
            " nobody but your proxies can",
            _SAFE,
        )


# ---------------------------------------------------------------------------------- source xff


@careful
def _by_several(found: Detection) -> Iterator[Finding]:
    if len(found.extensions) > 1:
        yield unknown(
            "several-detections",
            found.extensions[1],
            "which of several original_ip_detection_extensions finds the client, and so whether"
            " this Envoy appends its peer to x-forwarded-for, differs from request to request",
            "one of them",
        )


@careful
def _appended(found: Detection, expected: Expected) -> Iterator[Finding]:
    if len(found.extensions) > 1:
        return
    if found.appends == expected.envoy_appends:
        told = "appends" if found.appends else "does not append"
        yield fine("envoy-appends", found.remote, f"this Envoy {told} its peer, as is expected")
        return
    what = (
        "this Envoy appends its peer to x-forwarded-for, and client_address.envoy_appends says that"
        " it does not: an entry too far to the right is taken for the client"
        if found.appends
        else "this Envoy does not append its peer to x-forwarded-for, and"
        " client_address.envoy_appends says that it does: every client is unresolved"
    )
    written = str(found.appends).lower()
    yield wrong(
        "envoy-appends",
        found.remote,
        what,
        f"# Envoy:\nuse_remote_address: {str(expected.envoy_appends).lower()}\n"
        f"# or regiongate.yaml:\nclient_address: {{source: xff, envoy_appends: {written}, …}}",
    )


@careful
def _counted(found: Detection, expected: Expected) -> Iterator[Finding]:
    trusted = expected.trusted_hops
    if trusted is None or len(found.extensions) > 1:
        return
    what = (
        f"client_address.trusted_hops is {trusted} and Envoy's xff_num_trusted_hops is"
        f" {found.trusted}"
    )
    instead = f"xff_num_trusted_hops: {trusted}   # {_COUNT}, in both files"
    if found.trusted == trusted:
        yield fine("trusted-hops", found.hops, f"{what}: the same")
    elif found.hops:
        yield wrong("trusted-hops", found.hops, f"{what}: they count the same proxies", instead)
    else:
        yield warning(
            "trusted-hops",
            found.hops,
            f"{what}, its default: Envoy's own logs name another client than RegionGate",
            instead,
        )


# --------------------------------------------------------------------------------- source peer


@careful
def _direct(found: Detection) -> Iterator[Finding]:
    if found.trusted:
        yield wrong(
            "peer-is-proxy",
            found.hops,
            f"client_address.source is peer, and Envoy counts {found.trusted} proxies in front of"
            " it: every client is a proxy",
            "# regiongate.yaml\nclient_address: {source: envoy}",
        )


@careful
def _proxy_protocol(manager: Manager) -> Iterator[Finding]:
    for one in manager.listener["listener_filters"]:
        config = one["typed_config"]
        node = config.message["allow_requests_without_proxy_protocol"]
        if config.type.endswith(_PROXY_PROTOCOL) and node.on:
            yield wrong(
                "proxy-protocol-optional",
                node,
                "a client that connects directly can send a PROXY header itself and choose its"
                " address",
                "allow_requests_without_proxy_protocol: false",
            )
