"""Requests that carry a key in every way a client can think of, through the real Envoy."""

from __future__ import annotations

import pytest

from demo.cases import ACME_PRODUCTION, NOBODYS, api_key, bearer
from demo.stack import Stack
from tests.e2e.clients import FRANCE, Headers, seen_by_upstream, send

FOUND = {
    "bearer": bearer(ACME_PRODUCTION),
    "bearer in another case": [("Authorization", f"bearer {ACME_PRODUCTION}")],
    "x-api-key": api_key(ACME_PRODUCTION),
    "white space around it": [("x-api-key", f"  {ACME_PRODUCTION} ")],
    "the same key in both": [*bearer(ACME_PRODUCTION), *api_key(ACME_PRODUCTION)],
    "beside other credentials": [
        ("authorization", "Basic dXNlcjpwYXNz"),
        *api_key(ACME_PRODUCTION),
    ],
}

ABSENT = {
    "no header": [],
    "other credentials": [("authorization", "Basic dXNlcjpwYXNz")],
}

# Each of them must be refused even though a valid key is among what is sent.
NOT_ONE_KEY = {
    "two headers": api_key(ACME_PRODUCTION, NOBODYS),
    "two headers, the valid one last": api_key(NOBODYS, ACME_PRODUCTION),
    "one key twice": api_key(ACME_PRODUCTION, ACME_PRODUCTION),
    "a comma": api_key(f"{ACME_PRODUCTION},{NOBODYS}"),
    "a comma at the end": api_key(f"{ACME_PRODUCTION},"),
    "two bearers": [*bearer(ACME_PRODUCTION), *bearer(NOBODYS)],
    "bearer and basic": [*bearer(ACME_PRODUCTION), ("authorization", "Basic dXNlcjpwYXNz")],
    "different keys in both": [*bearer(ACME_PRODUCTION), *api_key(NOBODYS)],
    "empty": api_key(""),
    "empty beside a valid one": [*bearer(ACME_PRODUCTION), *api_key("")],
    "bearer of nothing": [("authorization", "Bearer ")],
    "too long": api_key("k" * 5000),
    "white space within": api_key("made-up key"),
    "no ASCII": api_key("cl\xe9"),
}


@pytest.mark.parametrize("headers", FOUND.values(), ids=FOUND)
def test_a_valid_key_is_found_wherever_it_may_stand(stack: Stack, headers: Headers) -> None:
    """A request with exactly one valid key is known by it."""
    seen = seen_by_upstream(send(stack, FRANCE, headers))
    assert seen["x-regiongate-key-id"] == ["acme-production"]


@pytest.mark.parametrize("headers", ABSENT.values(), ids=ABSENT)
def test_a_request_without_a_key_is_judged_by_its_country_alone(
    stack: Stack, headers: Headers
) -> None:
    """Credentials that are no key of ours count as none."""
    assert "x-regiongate-key-id" not in seen_by_upstream(send(stack, FRANCE, headers))


@pytest.mark.parametrize("path", ["/v1/models", "/internal/status"])
@pytest.mark.parametrize("headers", NOT_ONE_KEY.values(), ids=NOT_ONE_KEY)
def test_what_is_not_exactly_one_key_is_refused(stack: Stack, headers: Headers, path: str) -> None:
    """Two keys, half a key or an impossible one: 401 under every policy, never a guess."""
    answer = send(stack, FRANCE, headers, path=path)
    assert answer.status == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
