"""What client, upstream and access log are told, on an allow and on a deny."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from demo.access_log import entries
from demo.cases import (
    ACME_EUROPE,
    ACME_PRODUCTION,
    GLOBEX_LEAKED,
    GLOBEX_UNPAID,
    NOBODYS,
    api_key,
    bearer,
)
from demo.client import Answer
from demo.stack import Stack
from tests.e2e.clients import (
    FRANCE,
    IRAN,
    NOWHERE,
    RUSSIA,
    UNITED_STATES,
    UNITED_STATES_IPV6,
    Headers,
    seen_by_upstream,
    send,
)

UNSUPPORTED = (
    "unsupported_country_region_territory",
    "request_forbidden",
    "Country, region, or territory not supported",
)
ELSEWHERE = (
    "country_not_permitted_for_key",
    "request_forbidden",
    "This API key may not be used from this country",
)
INCORRECT = ("invalid_api_key", "invalid_request_error", "Incorrect API key provided")
SUSPENDED = ("api_key_suspended", "request_forbidden", "This API key is suspended")

# client, headers, status, and the error's code, type and message
DENIALS: dict[str, tuple[str, Headers, int, Sequence[str]]] = {
    "embargoed": (IRAN, [], 403, UNSUPPORTED),
    "embargoed, with a valid key": (IRAN, bearer(ACME_PRODUCTION), 403, UNSUPPORTED),
    "not supported": (RUSSIA, [], 403, UNSUPPORTED),
    "country unknown": (NOWHERE, [], 403, UNSUPPORTED),
    "outside the contract": (UNITED_STATES_IPV6, bearer(ACME_EUROPE), 403, ELSEWHERE),
    "unknown key": (FRANCE, bearer(NOBODYS), 401, INCORRECT),
    "unknown key, embargoed": (IRAN, bearer(NOBODYS), 401, INCORRECT),
    "revoked key": (FRANCE, api_key(GLOBEX_LEAKED), 401, INCORRECT),
    "suspended key": (FRANCE, bearer(GLOBEX_UNPAID), 403, SUSPENDED),
}

# client, headers, what the upstream sees beside the decision id
ALLOWS: dict[str, tuple[str, Headers, dict[str, str]]] = {
    "no key": (FRANCE, [], {"country": "FR"}),
    "bearer": (
        UNITED_STATES_IPV6,
        bearer(ACME_PRODUCTION),
        {"country": "US", "key-id": "acme-production", "org": "acme"},
    ),
    "x-api-key": (
        FRANCE,
        api_key(ACME_EUROPE),
        {"country": "FR", "key-id": "acme-europe", "org": "acme"},
    ),
}

FORGED = [
    ("x-regiongate-country", "US"),
    ("X-RegionGate-Country", "US"),
    ("x_regiongate_country", "US"),
    ("x-regiongate-decision-id", "mine"),
    ("x-regiongate-key-id", "acme-production"),
    ("X-Regiongate-Org", "acme"),
    ("x-regiongate-client-address", UNITED_STATES),
]


@pytest.mark.parametrize(("client", "headers", "status", "error"), DENIALS.values(), ids=DENIALS)
def test_a_refusal_says_why_in_the_form_that_client_libraries_read(
    stack: Stack, client: str, headers: Headers, status: int, error: Sequence[str]
) -> None:
    """A refusal is JSON with message, type, code and decision id, and must not be cached."""
    answer = send(stack, client, headers)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    code, kind, message = error
    decision = answer.headers["x-regiongate-decision-id"]
    told = {"message": message, "type": kind, "param": None, "code": code, "decision_id": decision}
    assert answer.json() == {"error": told}


def test_a_refusal_of_a_head_request_has_no_body(stack: Stack) -> None:
    """HEAD gets the status and the headers of a refusal alone."""
    answer = send(stack, IRAN, method="HEAD")
    assert (answer.status, answer.body) == (403, b"")
    assert answer.headers["x-regiongate-decision-id"]


@pytest.mark.parametrize(("client", "headers", "seen"), ALLOWS.values(), ids=ALLOWS)
@pytest.mark.parametrize("forged", [[], FORGED], ids=["honest", "forged"])
def test_the_upstream_sees_what_was_decided_and_nothing_a_client_forged(
    stack: Stack, client: str, headers: Headers, seen: dict[str, str], forged: Headers
) -> None:
    """Of x-regiongate-* the upstream sees RegionGate's values, once each, and no others."""
    received = seen_by_upstream(send(stack, client, [*forged, *headers]))
    (decision,) = received.pop("x-regiongate-decision-id")
    assert len(decision) == 32
    assert received == {f"x-regiongate-{name}": [value] for name, value in seen.items()}


def test_every_decision_has_an_id_of_its_own(stack: Stack) -> None:
    """Two answers to the same request are two decisions."""
    first, second = (send(stack, IRAN).headers["x-regiongate-decision-id"] for _ in range(2))
    assert first != second


LOGGED: dict[str, tuple[str, Headers, dict[str, str | None]]] = {
    "allow": (
        FRANCE,
        api_key(ACME_EUROPE),
        {
            "outcome": "allow",
            "rule": None,
            "reason": "otherwise",
            "country": "FR",
            "key_id": "acme-europe",
            "org": "acme",
            "client": FRANCE,
        },
    ),
    "deny": (
        UNITED_STATES,
        api_key(ACME_EUROPE),
        {
            "outcome": "deny",
            "rule": "outside-the-contract",
            "reason": "country_not_permitted_for_key",
            "phase": "enforce",
            "country": "US",
            "key_id": "acme-europe",
            "org": "acme",
            "client": UNITED_STATES,
        },
    ),
}


@pytest.mark.parametrize(("client", "headers", "logged"), LOGGED.values(), ids=LOGGED)
def test_the_access_log_says_what_was_decided_and_never_the_key(
    stack: Stack, client: str, headers: Headers, logged: dict[str, str | None]
) -> None:
    """Rule, reason, country and key id stand in Envoy's access log by decision id."""
    decision = _decision(send(stack, client, headers, path="/v1/models?token=secret"))
    entry = entries(stack.access_log, [decision])[decision]
    assert {name: entry[name] for name in logged} == logged
    written = json.dumps(entry)
    assert "secret" not in written
    assert ACME_EUROPE not in written


def _decision(answer: Answer) -> str:
    if answer.status == 200:
        return seen_by_upstream(answer)["x-regiongate-decision-id"][0]
    return answer.headers["x-regiongate-decision-id"]
