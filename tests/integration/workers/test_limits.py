"""At a limit there is an answer, and never an RPC error."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import grpc
import pytest
import trustme
from envoy.service.auth.v3 import external_auth_pb2 as reference
from grpc import aio

from regiongate.extauthz.evidence import Metadata
from regiongate.extauthz.service import SERVICE, Authorization, Event
from regiongate.runtime.limits import Calls
from regiongate.runtime.state import State
from regiongate.telemetry.metrics import LIMITED, Tally
from tests.integration.deployment import answered, deploy, question, read
from tests.integration.process import NO_PROXY, PATIENCE, serving


def nobody() -> Mapping[str, list[bytes]]:
    """Say who calls, where that is not known."""
    return {}


@pytest.mark.parametrize(
    ("on_error", "outcome"), [("deny", "denied_response"), ("defer", "error_response")]
)
async def test_one_check_too_many_is_answered_as_on_error_says(
    on_error: str, outcome: str, tmp_path: Path
) -> None:
    """With 503 and a reason, at once; those that wait are answered as ever."""
    state, events, tally = State(deploy(tmp_path, on_error=on_error)), list[Event](), Tally()
    authorization, go_on = Authorization(state.snapshot, events.append), asyncio.Event()

    async def slowly(data: bytes, metadata: Metadata) -> bytes:
        await go_on.wait()
        return await answered(authorization.check(data, metadata))

    calls = Calls(slowly, state.snapshot, events.append, tally, limit=2)
    under_way = [calls.check(question(), (), nobody) for _ in range(2)]
    assert calls.in_flight == 2
    answer = await answered(calls.check(question(), (), nobody))
    refused = reference.CheckResponse.FromString(answer)
    go_on.set()
    assert [read(await answered(one))["outcome"] for one in under_way] == ["allow", "allow"]
    await asyncio.sleep(0)  # The end of a task is told in the next turn of the loop.
    assert calls.in_flight == 0
    assert refused.status.code == 14
    assert refused.WhichOneof("http_response") == outcome
    assert getattr(refused, outcome).status.code == 503
    assert [event.told.reason for event in events] == ["overloaded", "otherwise", "otherwise"]
    assert tally.family(LIMITED) == {("calls",): [1]}


CALLERS = {
    "by its name": ({"x509_subject_alternative_name": [b"envoy.mesh"]}, True),
    "by its common name": ({"x509_common_name": [b"envoy.mesh"]}, True),
    "another": ({"x509_subject_alternative_name": [b"batch.mesh"]}, False),
    "nobody": ({}, False),
}


@pytest.mark.parametrize(("identity", "known"), CALLERS.values(), ids=CALLERS)
async def test_only_those_who_may_ask_are_answered(
    identity: Mapping[str, list[bytes]],
    *,
    known: bool,
    tmp_path: Path,
) -> None:
    """Another caller is denied: what it asks is nothing that Envoy could make an allow of."""
    state, tally = State(deploy(tmp_path)), Tally()
    calls = Calls(
        Authorization(state.snapshot).check,
        state.snapshot,
        lambda _: None,
        tally,
        limit=10,
        callers=["envoy.mesh"],
    )
    answer = read(await answered(calls.check(question(), (), lambda: identity)))
    assert (answer.status, answer["reason"] == "caller_not_allowed") == (
        (200, False) if known else (403, True)
    )


@pytest.mark.parametrize(("name", "status"), [("envoy.mesh", 200), ("batch.mesh", 403)])
def test_a_certificate_says_who_asks(name: str, status: int, tmp_path: Path) -> None:
    """Through real mutual TLS, by the names in the certificate that the authority has signed."""
    authority, clients = trustme.CA(), trustme.CA()
    server, client = authority.issue_cert("127.0.0.1"), clients.issue_cert(name)
    server.cert_chain_pems[0].write_to_path(str(tmp_path / "server.pem"))
    server.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    clients.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
    tls = {"cert": "server.pem", "key": "server.key", "client_ca": "clients.pem"}
    config = deploy(tmp_path, tls={**tls, "clients": ["envoy.mesh"]})
    with serving(config) as process:
        where = process.said().partition("serving on ")[2].partition(" ")[0]
        credentials = grpc.ssl_channel_credentials(
            authority.cert_pem.bytes(),
            client.private_key_pem.bytes(),
            client.cert_chain_pems[0].bytes(),
        )
        with grpc.secure_channel(where, credentials, options=NO_PROXY) as channel:
            check = channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)
            assert read(check(question(), timeout=PATIENCE)).status == status


async def test_streams_beyond_the_limit_wait_and_are_answered(tmp_path: Path) -> None:
    """A client that has heard of the limit holds them back, as HTTP/2 has it: no call fails."""
    for engine in ("native", "grpcio"):
        with serving(deploy(tmp_path, engine=engine, limits={"streams": 4})) as process:
            where = process.said().partition("serving on ")[2].partition(" ")[0]
            async with aio.insecure_channel(where, options=NO_PROXY) as channel:
                check = channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)
                await check(question())
                answers = await asyncio.gather(*(check(question()) for _ in range(300)))
            assert {read(one).status for one in answers} == {200}
