"""Which of the calls that Envoy makes go to RegionGate."""

from __future__ import annotations

from regiongate.doctor import cluster
from regiongate.doctor.envoy import Configuration, Filter, target
from regiongate.doctor.expected import Expected
from regiongate.doctor.tree import Node


def ours(given: Configuration, expected: Expected) -> list[Filter]:
    """Return the ext_authz filters that ask RegionGate: all, unless some are known to.

    Args:
        given: Envoy's configuration.
        expected: what is relied on.
    """
    found = [one for each in given.managers for one in each.authorizations]
    named = [one for one in found if asks_us(one.calls, given, expected)]
    return named or found


def asks_us(calls: Node, given: Configuration, expected: Expected) -> bool:
    """Say whether a gRPC service is known to be RegionGate, by its name or its addresses.

    Args:
        calls: the GrpcService.
        given: Envoy's configuration.
        expected: what is relied on.
    """
    name = target(calls)
    known = given.clusters.get(name)
    at = set(cluster.addresses(known)) if known else set[str]()
    return "regiongate" in name.lower() or bool(at & {*expected.listen})
