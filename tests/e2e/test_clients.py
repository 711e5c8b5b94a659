"""Where a client is, whatever it says of itself and whichever protocol it speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import grpc
import httpx
import pytest

from demo.address import Tcp, reserved
from demo.cases import ACME_EUROPE, ACME_PRODUCTION, GLOBEX_UNPAID, NOBODYS
from demo.client import ask
from demo.stack import NO_PROXY, Stack, Wiring, running_envoy
from tests.e2e.clients import (
    FRANCE,
    IRAN,
    IRAN_IPV6,
    UNITED_STATES,
    UNITED_STATES_IPV6,
    Headers,
    seen_by_upstream,
)

# X-Forwarded-For lines as they reach Envoy, and where the client is; None where it is refused.
FORWARDED: dict[str, tuple[Sequence[str], str | None]] = {
    "IPv4": ([FRANCE], "FR"),
    "IPv6": ([UNITED_STATES_IPV6], "US"),
    "IPv6 written out": (["2001:4860:4860:0:0:0:0:8888"], "US"),
    "IPv4 mapped into IPv6": ([f"::ffff:{FRANCE}"], "FR"),
    "IPv4 mapped into IPv6, embargoed": ([f"::ffff:{IRAN}"], None),
    "forged to the left": ([f"{UNITED_STATES}, {IRAN}"], None),
    "forged to the left, harmlessly": ([f"{IRAN}, {FRANCE}"], "FR"),
    "forged on a line of its own": ([UNITED_STATES, IRAN_IPV6], None),
    "forged thirty times": ([", ".join([UNITED_STATES] * 30 + [IRAN])], None),
    "none": ([], None),
    "empty": ([""], None),
    "no address": (["unknown"], None),
    "no address behind one": ([f"{UNITED_STATES}, unknown"], None),
    "a private address": (["10.1.2.3"], None),
}


@pytest.mark.parametrize(("lines", "country"), FORWARDED.values(), ids=FORWARDED)
def test_a_client_is_where_the_trusted_proxy_saw_it(
    stack: Stack, lines: Sequence[str], country: str | None
) -> None:
    """Only what the load balancer appended counts, and who cannot be located is refused."""
    answer = ask(stack.proxy, "/v1/models", [("x-forwarded-for", line) for line in lines])
    if country is None:
        assert answer.json()["error"]["code"] == "unsupported_country_region_territory"
    else:
        assert seen_by_upstream(answer)["x-regiongate-country"] == [country]


@pytest.mark.parametrize(("http2", "version"), [(False, "HTTP/1.1"), (True, "HTTP/2")])
def test_both_versions_of_http_are_judged_alike(stack: Stack, http2: bool, version: str) -> None:  # noqa: FBT001 - a case
    """HTTP/1.1 and HTTP/2 clients get the same decisions, and reach the upstream as they are."""
    with httpx.Client(http1=not http2, http2=http2, trust_env=False) as client:
        url = f"http://{stack.proxy}/v1/models"
        refused = client.get(url, headers={"x-forwarded-for": IRAN_IPV6})
        allowed = client.get(url, headers={"x-forwarded-for": FRANCE, "x-api-key": ACME_EUROPE})
    assert (refused.status_code, refused.http_version) == (403, version)
    assert refused.json()["error"]["code"] == "unsupported_country_region_territory"
    assert (allowed.status_code, allowed.json()["protocol"]) == (200, version)
    assert ["x-regiongate-key-id", "acme-europe"] in allowed.json()["headers"]


# client, key, code, message
REFUSED_CALLS = {
    "geography": (
        IRAN,
        ACME_PRODUCTION,
        grpc.StatusCode.PERMISSION_DENIED,
        "Country, region, or territory not supported",
    ),
    "outside the contract": (
        UNITED_STATES_IPV6,
        ACME_EUROPE,
        grpc.StatusCode.PERMISSION_DENIED,
        "This API key may not be used from this country",
    ),
    "suspended key": (
        FRANCE,
        GLOBEX_UNPAID,
        grpc.StatusCode.PERMISSION_DENIED,
        "This API key is suspended",
    ),
    "unknown key": (
        FRANCE,
        NOBODYS,
        grpc.StatusCode.UNAUTHENTICATED,
        "Incorrect API key provided",
    ),
}


@pytest.mark.parametrize(
    ("client", "key", "code", "message"), REFUSED_CALLS.values(), ids=REFUSED_CALLS
)
def test_a_grpc_client_is_refused_with_a_status_of_grpc(
    grpc_proxy: Tcp, client: str, key: str, code: grpc.StatusCode, message: str
) -> None:
    """A gRPC client gets PERMISSION_DENIED for geography and UNAUTHENTICATED for a bad key."""
    with pytest.raises(grpc.RpcError) as refused:
        call(grpc_proxy, [("x-forwarded-for", client), ("authorization", f"Bearer {key}")])
    error = cast("grpc.Call", refused.value)
    assert (error.code(), error.details()) == (code, message)


def test_an_allowed_grpc_call_reaches_its_service(grpc_proxy: Tcp) -> None:
    """The service answers, and sees the country and the key's owner as metadata."""
    answered = call(grpc_proxy, [("x-forwarded-for", FRANCE), ("x-api-key", ACME_EUROPE)])
    assert answered["said"] == "hello"
    assert answered["metadata"]["x-regiongate-country"] == "FR"
    assert answered["metadata"]["x-regiongate-org"] == "acme"


@pytest.fixture(scope="module")
def grpc_proxy(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tcp]:
    """An Envoy whose upstream is a gRPC service, beside the stack's own; RegionGate is shared."""
    with ExitStack() as cleanup:
        service = cleanup.enter_context(echo_service())
        with ExitStack() as reservations:
            proxy, admin = (reservations.enter_context(reserved()) for _ in range(2))
            wiring = Wiring(
                proxy=proxy, admin=admin, regiongate=stack.authorization, upstream=service
            )
            directory = tmp_path_factory.mktemp("envoy")
            cleanup.enter_context(running_envoy(directory, wiring))
        yield proxy


METHOD = "/echo.Echo/Say"


@contextmanager
def echo_service() -> Iterator[Tcp]:
    """A gRPC service that answers with what it was told and the metadata it saw."""

    def say(said: bytes, context: grpc.ServicerContext) -> bytes:
        metadata = {name: str(value) for name, value in context.invocation_metadata()}
        return json.dumps({"said": said.decode(), "metadata": metadata}).encode()

    _, service, method = METHOD.split("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(say)}
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Tcp(port)
    server.stop(None).wait()


def call(proxy: Tcp, metadata: Headers) -> Any:
    """Call the service through Envoy and return what it answered."""
    with grpc.insecure_channel(str(proxy), options=NO_PROXY) as channel:
        say = channel.unary_unary(METHOD, bytes, bytes)
        return json.loads(say(b"hello", metadata=tuple(metadata), timeout=5))
