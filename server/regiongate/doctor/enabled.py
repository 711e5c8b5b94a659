"""Which of a listener's requests its ext_authz filter is asked about at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from regiongate.doctor.envoy import Filter
from regiongate.doctor.finding import Finding
from regiongate.doctor.saying import careful, unknown, warning, wrong
from regiongate.doctor.tree import Node

_DENOMINATORS: Final = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}


@careful
def examine(authorization: Filter, runtime: Mapping[str, Node]) -> Iterator[Finding]:
    """Examine what keeps requests from the filter.

    Args:
        authorization: an ext_authz filter.
        runtime: what the configuration's static layers set, by key.
    """
    yield from _fraction(authorization.config, runtime)
    yield from _disabled(authorization)
    yield from _matched(authorization)
    if authorization.config["filter_enabled_metadata"]:
        yield warning(
            "filter-enabled-metadata",
            authorization.config["filter_enabled_metadata"],
            "only requests with certain metadata are checked (Istio: those that the rules of the"
            " AuthorizationPolicy match); the others pass",
        )


@careful
def _fraction(config: Node, runtime: Mapping[str, Node]) -> Iterator[Finding]:
    enabled, denied = config["filter_enabled"], config["deny_at_disable"]
    if not enabled:
        return
    share = _share(_in_force(enabled, runtime))
    if share < 1 and not _in_force(denied, runtime).on:
        yield wrong(
            "filter-enabled",
            enabled,
            f"{share:.3g} of all requests are checked, and the others pass",
            "filter_enabled is left out",
        )
    for one in (enabled, denied):
        if one["runtime_key"].text:
            yield unknown(
                "runtime-key",
                one["runtime_key"],
                f"whoever sets {one['runtime_key'].text} in Envoy's runtime (its admin, a file, an"
                " RTDS server) says which requests are checked; whether somebody has is not known",
                f"{one.name} is left out, or has no runtime_key",
            )


def _in_force(setting: Node, runtime: Mapping[str, Node]) -> Node:
    key = setting["runtime_key"].text
    return runtime[key] if key and key in runtime else setting["default_value"]


def _share(percent: Node) -> float:
    """Return the share of a FractionalPercent, or of the percentage that a runtime layer has."""
    if percent and not percent.has_fields:
        return (percent.number or 0.0) / 100
    of = _DENOMINATORS[percent["denominator"].choice(*_DENOMINATORS)]
    return (percent["numerator"].number or 0.0) / of


@careful
def _disabled(authorization: Filter) -> Iterator[Finding]:
    node = authorization.entry["disabled"]
    if node.on:
        yield warning(
            "filter-disabled",
            node,
            "the filter is off but for routes that turn it on",
            "disabled: false",
        )


@careful
def _matched(authorization: Filter) -> Iterator[Finding]:
    matched, instead = authorization.matched, "the filter without ExtensionWithMatcher"
    if matched is None:
        return
    if any(one.type.endswith(".SkipFilter") for one in matched.everything()):
        yield wrong(
            "filter-skipped",
            matched,
            f"requests that its matcher picks skip {authorization.name}: they are not checked",
            instead,
        )
    else:
        yield unknown(
            "filter-matched",
            matched,
            f"what its matcher does with requests to {authorization.name} is not known here",
            instead,
        )
