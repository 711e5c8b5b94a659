"""The clients that end-to-end tests send requests from, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from demo.cases import CASES
from demo.client import Answer, ask
from demo.stack import Stack

FRANCE = "212.27.48.10"
GERMANY = "85.214.132.117"
IRAN = "5.160.0.1"
IRAN_IPV6 = "2001:14e8:100::1"
RUSSIA = "195.19.220.1"
UNITED_STATES = "8.8.8.8"
UNITED_STATES_IPV6 = "2001:4860:4860::8888"
NOWHERE = "91.198.174.192"

COUNTRIES = {
    case.client.rpartition(" ")[2]: case.expected.country for case in CASES if case.expected.country
}
"""Where the demonstration's clients are."""

PREFIX = "x-regiongate-"

Headers = Sequence[tuple[str, str]]


def send(
    stack: Stack, client: str, headers: Headers = (), path: str = "/v1/models", method: str = "GET"
) -> Answer:
    """Send a request as the trusted load balancer in front of Envoy would."""
    return ask(stack.proxy, path, [("x-forwarded-for", client), *headers], method=method)


def seen_by_upstream(answer: Answer) -> dict[str, list[str]]:
    """Return RegionGate's headers as the upstream saw them, every value of each.

    Whatever an upstream may take for one of them counts, as in x_regiongate_country.
    """
    assert answer.status == 200, answer
    seen: dict[str, list[str]] = {}
    for name, value in answer.json()["headers"]:
        if name.replace("_", "-").startswith(PREFIX):
            seen.setdefault(name, []).append(value)
    return seen


def records(countries: Mapping[str, str]) -> dict[str, object]:
    """Return the records of a database in which clients are in these countries."""
    return {client: {"country": {"iso_code": code}} for client, code in countries.items()}
