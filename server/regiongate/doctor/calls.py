"""How Envoy calls RegionGate: the grpc_service of the filter, or of a route that has its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from regiongate.doctor.expected import Expected
from regiongate.doctor.finding import Finding
from regiongate.doctor.observation import Observation
from regiongate.doctor.saying import careful, fine, unknown, warning, wrong
from regiongate.doctor.tree import Node

DERIVED: Final = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
_DIRECT: Final = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
_WRITTEN_BY_CLIENTS: Final = re.compile("%(REQ|DYNAMIC_METADATA|FILTER_STATE|REQUEST_HEADER)")

DEFAULT_TIMEOUT: Final = 0.2
"""Seconds that Envoy waits where it is not told how long."""
SHORTEST: Final = 0.001
"""A shorter timeout reaches the service as none."""
LONGEST: Final = 1.0
"""Seconds after which a decision of microseconds is no longer coming."""


@careful
def examine(calls: Node, expected: Expected, observed: Observation | None) -> Iterator[Finding]:
    """Examine a grpc_service.

    Args:
        calls: the GrpcService.
        expected: what is relied on.
        observed: what the running service tells; None where it was not asked.
    """
    if expected.source == "envoy":
        yield from _metadata(calls, expected)
    yield from _timeout(calls, expected, observed)
    yield from _retries(calls)


def initial_metadata(name: str, indent: int = 0) -> str:
    """Write the metadata that carries the client's address."""
    lines = ("initial_metadata:", f'  - {{key: {name}, value: "{DERIVED}"}}')
    return "\n".join(" " * indent + line for line in lines)


@careful
def _metadata(calls: Node, expected: Expected) -> Iterator[Finding]:
    sent = calls["initial_metadata"]
    ours = [one for one in sent if one["key"].text.lower() == expected.metadata]
    instead = "grpc_service:\n" + initial_metadata(expected.metadata, 2)
    if not ours:
        yield wrong(
            "metadata-missing",
            sent,
            f"Envoy does not send {expected.metadata}, from which client_address.source envoy takes"
            " the client: every client is unresolved",
            instead,
        )
    elif len(ours) > 1:
        yield wrong(
            "metadata-repeated",
            sent,
            f"{expected.metadata} is sent {len(ours)} times; with more than one value every client"
            " is unresolved",
            instead,
        )
    else:
        yield _value(ours[0]["value"], instead)


def _value(value: Node, instead: str) -> Finding:
    if value.text == DERIVED:
        return fine("metadata", value, "Envoy sends the client's address as it derived it")
    if value.text == _DIRECT:
        return warning(
            "metadata-peer",
            value,
            "Envoy sends its peer's address and not the client's: behind a proxy every client is"
            " that proxy",
            instead,
        )
    if _WRITTEN_BY_CLIENTS.search(value.text):
        return wrong(
            "metadata-forgeable",
            value,
            f"{value.text} is or may be what the client wrote: it chooses its own country",
            instead,
        )
    return wrong(
        "metadata-value",
        value,
        f"{value.text!r} is not the bare address of the client (an address with a port is"
        " unresolved, a constant is one client for everybody)",
        instead,
    )


@careful
def _timeout(calls: Node, expected: Expected, observed: Observation | None) -> Iterator[Finding]:
    node, instead = calls["timeout"], "grpc_service:\n  timeout: 0.25s"
    seconds = DEFAULT_TIMEOUT if not node else node.seconds or 0.0
    written = f"{seconds:g} s" if node else f"missing, and Envoy then waits {DEFAULT_TIMEOUT:g} s"
    if seconds < SHORTEST:
        yield wrong(
            "timeout-none",
            node,
            f"the timeout of {node.text or 'no number'} means that Envoy waits for ever: a"
            " RegionGate that hangs holds up every request",
            instead,
        )
        return
    slowest = observed.p99 / 1e6 if observed and observed.recent else None
    if slowest is not None and seconds <= slowest:
        yield wrong(
            "timeout-short",
            node,
            f"the timeout is {written}, and one Check in a hundred takes {slowest:g} s or more:"
            " those are not answered in time",
            f"grpc_service:\n  timeout: {max(0.25, 3 * slowest):.2g}s",
        )
    elif seconds > LONGEST:
        yield warning(
            "timeout-long",
            node,
            f"the timeout is {written}: a decision takes microseconds, and while Envoy waits for"
            " one that is not coming, requests pile up",
            instead,
        )
    elif seconds <= expected.key_deadline:
        yield warning(
            "timeout-key-store",
            node,
            f"the timeout is {written}, and a Check may wait {expected.key_deadline:g} s for the"
            " key store (keys.lookup.deadline)",
            instead,
        )
    elif not node:
        yield warning("timeout-missing", node, f"the timeout is {written}", instead)
    elif slowest is not None:
        yield fine("timeout", node, f"the timeout of {written} is above what Checks take")
    else:
        yield unknown(
            "timeout-unmeasured",
            node,
            f"the timeout is {written}; whether Checks take less was not measured",
        )


@careful
def _retries(calls: Node) -> Iterator[Finding]:
    misplaced = calls.at("envoy_grpc", "retry_policy")
    instead = (
        "grpc_service:\n  retry_policy:\n    retry_on: unavailable,cancelled,reset\n"
        "    num_retries: 3"
    )
    if misplaced and not calls["retry_policy"]:
        yield warning(
            "retry-misplaced",
            misplaced,
            "a retry_policy under envoy_grpc has no effect; it belongs beside it",
            instead,
        )
    elif not calls["retry_policy"] or calls.at("retry_policy", "num_retries").number == 0:
        yield warning(
            "retry-missing",
            calls["retry_policy"],
            "Envoy asks once: a restart of RegionGate costs the requests that are under way",
            instead,
        )
    else:
        yield fine("retry", calls["retry_policy"], "Envoy asks again when a call fails")
