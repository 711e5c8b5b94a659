"""Which policy judges a request: the one its route names."""

from __future__ import annotations

import pytest

from demo.stack import Stack
from tests.e2e.clients import IRAN, send

# The policy for /internal lets Iran pass, the default one does not.
PATHS = {
    "/internal": 200,
    "/internal/": 200,
    "/internal/status": 200,
    "/internal?x=1": 200,
    "//internal/status": 200,
    "/v1/../internal/status": 200,
    "/": 403,
    "/v1/models": 403,
    "/internals": 403,
    "/internal-looking/status": 403,
    "/Internal/status": 403,
    "/v1/internal": 403,
    "/internal/../v1/models": 403,
    "/internal/%2e%2e/v1/models": 403,
    "/internal//../..//v1/models": 403,
    "/?/internal": 403,
}


@pytest.mark.parametrize(("path", "status"), PATHS.items(), ids=PATHS)
def test_the_route_names_the_policy(stack: Stack, path: str, status: int) -> None:
    """A path is judged as the upstream will read it, and not as it is written."""
    assert send(stack, IRAN, path=path).status == status


@pytest.mark.parametrize("path", ["/internal/..%2fv1/models", "/internal%5c..%5cv1/models"])
def test_a_hidden_slash_is_sent_back_to_be_asked_for_openly(stack: Stack, path: str) -> None:
    """An escaped slash is redirected to the path without it, which is then judged anew."""
    assert send(stack, IRAN, path=path).status == 307
