"""Both engines, over TCP and a Unix socket, keep the same promises."""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from regiongate.documents import DocumentError
from regiongate.extauthz.evidence import Metadata
from regiongate.extauthz.service import METHOD, SERVICE, Authorization
from regiongate.runtime import config, engines
from regiongate.runtime.engines import Engine, Server
from regiongate.runtime.engines.handler import Handler, Identity
from regiongate.runtime.sockets import BindError
from regiongate.runtime.state import State
from tests.integration.deployment import FRANCE, GERMANY, deploy, question, read, settings
from tests.integration.process import NO_PROXY, PATIENCE, Process, serving

ENGINES: tuple[Engine, ...] = ("native", "grpcio")
OPTIONS = [*NO_PROXY, ("grpc.max_send_message_length", -1)]
NAMES = ("", SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Handler:
    """Answers Checks from a configuration that no test changes."""
    state = State(deploy(tmp_path_factory.mktemp("engines")))
    authorization = Authorization(state.snapshot)
    return lambda data, metadata, _: authorization.check(data, metadata)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Either engine."""
    chosen: Engine = request.param
    return chosen


@pytest.fixture(params=["tcp", "unix"])
def wanted(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address to listen on: any free port, or a socket."""
    return "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/s"


@pytest.fixture
async def address(engine: Engine, wanted: str, handler: Handler) -> AsyncIterator[str]:
    """Where an engine serves."""
    server = Server(engine, handler)
    (bound,) = await server.start([wanted])
    yield bound
    await server.stop(0)


@pytest.fixture
async def channel(address: str) -> AsyncIterator[aio.Channel]:
    """A connection to it."""
    async with aio.insecure_channel(address, options=OPTIONS) as connected:
        yield connected


def echo(data: bytes, _: Metadata, __: Identity) -> bytes:
    """Answer with what is asked."""
    return data


def call(channel: aio.Channel, method: str = METHOD) -> aio.UnaryUnaryMultiCallable[bytes, bytes]:
    """Return a method that takes and returns bytes."""
    return channel.unary_unary(f"/{SERVICE}/{method}", bytes, bytes)


ASKED = {
    "a client that is let through": (question(FRANCE), "allow", ""),
    "a client that is refused": (question(GERMANY), "deny", "unsupported_country"),
    "no bytes": (b"", "deny", "unsupported_country"),
    "bytes that are no message": (b"\xff" * 64, "deny", "malformed_check"),
    "a message cut short": (question(FRANCE)[:-3], "deny", "malformed_check"),
    "20 MB": (secrets.token_bytes(20_000_000), "deny", "malformed_check"),
    "20 MB of a message": (question(path="/" * 20_000_000), "deny", "malformed_check"),
}


@pytest.mark.parametrize(("asked", "outcome", "reason"), ASKED.values(), ids=ASKED)
async def test_whatever_is_asked_is_answered(
    asked: bytes, outcome: str, reason: str, channel: aio.Channel
) -> None:
    """The answer is an explicit allow or deny, and never an RPC error."""
    answer = read(await call(channel)(asked))
    assert (answer["outcome"], answer["reason"] if outcome == "deny" else "") == (outcome, reason)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_what_is_compressed_is_not_inflated(compression: grpc.Compression, tmp_path: Path) -> None:
    """128 MB of zeros are 128 kB on the wire, and take no memory but that; grpcio refuses them."""
    with serving(deploy(tmp_path, engine="grpcio")) as process:
        assert process.ask(question()).status == 200
        before = peak(process)
        host = process.said().partition("serving on ")[2].partition(" ")[0]
        with grpc.insecure_channel(host, options=OPTIONS) as channel:
            check = channel.unary_unary(f"/{SERVICE}/{METHOD}", bytes, bytes)
            with pytest.raises(grpc.RpcError) as error:
                check(bytes(128 << 20), timeout=PATIENCE, compression=compression)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert peak(process) - before < 16 << 20
        assert process.ask(question()).status == 200


def peak(process: Process) -> int:
    """Return how many bytes of memory a process has ever had resident."""
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def test_many_calls_at_once_are_each_answered_on_their_own(channel: aio.Channel) -> None:
    """Calls on one connection do not wait for each other, nor get each other's answers."""
    asked = [FRANCE, GERMANY] * 200
    answers = await asyncio.gather(*(call(channel)(question(ip)) for ip in asked))
    countries = [read(one)["country"] for one in answers]
    assert countries == ["FR", "DE"] * 200


async def test_metadata_of_the_call_reaches_the_handler(engine: Engine, wanted: str) -> None:
    """What Envoy adds to a Check with initial_metadata is seen, a name sent twice twice."""

    def tell(_: bytes, metadata: Metadata, __: Identity) -> bytes:
        values = [value for name, value in metadata if name == "x-a"]
        return repr([str(value) for value in values]).encode()

    server = Server(engine, tell)
    (bound,) = await server.start([wanted])
    async with aio.insecure_channel(bound, options=OPTIONS) as channel:
        answer = await call(channel)(b"", metadata=aio.Metadata(("x-a", "1"), ("x-a", "2")))
    await server.stop(0)
    assert answer == b"['1', '2']"


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_health_is_told(service: str, channel: aio.Channel) -> None:
    """A server that has started is SERVING, as a whole and as the service that Envoy asks for."""
    health = health_pb2_grpc.HealthStub(channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_of_a_service_that_is_none_is_not_found(channel: aio.Channel) -> None:
    """A health check with a misspelt name fails, rather than pass for the wrong reason."""
    health = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(aio.AioRpcError) as error:
        await health.Check(health_pb2.HealthCheckRequest(service="Authorisation"))
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_server_that_is_about_to_stop_says_so(
    engine: Engine, wanted: str, handler: Handler
) -> None:
    """Whoever watches its health is told NOT_SERVING, while Checks are still answered."""
    server = Server(engine, handler)
    (bound,) = await server.start([wanted])
    async with aio.insecure_channel(bound, options=OPTIONS) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watched = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        first = (await watched.read()).status
        await server.leave()
        then = (await watched.read()).status
        answer = read(await call(channel)(question()))
        watched.cancel()
    await server.stop(0)
    status = health_pb2.HealthCheckResponse
    assert (first, then) == (status.SERVING, status.NOT_SERVING)
    assert answer["outcome"] == "allow"


async def test_calls_under_way_are_finished(engine: Engine, wanted: str) -> None:
    """A server that is about to stop gives a call that has begun the time to be answered."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(data: bytes, _: Metadata, __: Identity) -> bytes:
        begun.set()
        await go_on.wait()
        return data

    server = Server(engine, slow)
    (bound,) = await server.start([wanted])
    async with aio.insecure_channel(bound, options=OPTIONS) as channel:
        answer = asyncio.ensure_future(call(channel)(b"slow"))
        await begun.wait()
        # The native engine closes connections once handlers have returned, whether the answer is on
        # the wire or not; so a worker stops it only when no call is under way.
        ending = asyncio.create_task(server.stop(5) if engine == "grpcio" else server.leave())
        await asyncio.sleep(0)
        go_on.set()
        assert await answer == b"slow"
        await ending
    await server.stop(0)


async def test_while_it_waits_for_the_last_call_others_are_answered(wanted: str) -> None:
    """Nothing but its health can tell a client of the native engine's to go elsewhere."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> bytes:
        begun.set()
        await go_on.wait()
        return b"slow"

    def sometimes_slow(data: bytes, _: Metadata, __: Identity) -> bytes | Awaitable[bytes]:
        return slow() if data == b"slow" else data

    server = Server("native", sometimes_slow)
    (bound,) = await server.start([wanted])
    async with aio.insecure_channel(bound, options=OPTIONS) as channel:
        answer = asyncio.ensure_future(call(channel)(b"slow"))
        await begun.wait()
        stopping = asyncio.create_task(server.stop(PATIENCE))
        await asyncio.sleep(0.1)
        assert await call(channel)(b"another") == b"another"
        go_on.set()
        assert await answer == b"slow"
        await stopping


async def test_who_watches_its_health_does_not_hold_up_a_stop(engine: Engine, wanted: str) -> None:
    """Once it was told, the watching ends with the server, or after its grace."""
    server = Server(engine, echo)
    (bound,) = await server.start([wanted])
    async with aio.insecure_channel(bound, options=OPTIONS) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watched = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        await watched.read()
        started = time.monotonic()
        await server.stop(PATIENCE if engine == "native" else 0.1)
        assert time.monotonic() - started < 2
        watched.cancel()


async def test_a_handler_that_fails_fails_its_call_and_no_other(
    engine: Engine, wanted: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it fails at once or later: the call gets an error, and the next one an answer."""

    async def later() -> bytes:
        raise ValueError("later")

    def failing(data: bytes, _: Metadata, __: Identity) -> bytes | Awaitable[bytes]:
        if data == b"later":
            return later()
        if data == b"now":
            raise ValueError("now")
        return data

    server = Server(engine, failing)
    (bound,) = await server.start([wanted])
    async with aio.insecure_channel(bound, options=OPTIONS) as channel:
        for asked in (b"now", b"later"):
            with pytest.raises(aio.AioRpcError) as error:
                await call(channel)(asked)
            assert error.value.code() is grpc.StatusCode.UNKNOWN
            assert await call(channel)(b"next") == b"next"
    await server.stop(0)
    # grpc.aio's client, which asks here, now and then has an error of its own in the log.
    ours = [one for one in caplog.records if one.name != "asyncio"]
    assert [record.levelname for record in ours] == ["ERROR", "ERROR"]


async def test_a_call_that_is_given_up_is_cancelled(engine: Engine, wanted: str) -> None:
    """What was done for it ends with it, and calls after it are answered."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(data: bytes) -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return data

    def sometimes_slow(data: bytes, _: Metadata, __: Identity) -> bytes | Awaitable[bytes]:
        return slow(data) if data == b"slow" else data

    server = Server(engine, sometimes_slow)
    (bound,) = await server.start([wanted])
    async with aio.insecure_channel(bound, options=OPTIONS) as channel:
        given_up = call(channel)(b"slow")
        await begun.wait()
        given_up.cancel()
        await asyncio.wait_for(ended.wait(), PATIENCE)
        assert await call(channel)(b"next") == b"next"
    await server.stop(0)


async def test_calls_are_answered_after_any_pause(engine: Engine, wanted: str) -> None:
    """However long nobody called, in the midst of calls or not, the next call is answered."""
    server = Server(engine, echo)
    (bound,) = await server.start([wanted])
    async with aio.insecure_channel(bound, options=OPTIONS) as channel:
        for pause in (0, 0.001, 0.015, 0.1, 0.001, 0.3, 0):
            await asyncio.sleep(pause)
            assert await call(channel)(b"again") == b"again"
    await server.stop(0)


async def test_other_work_goes_on_while_calls_come(engine: Engine, wanted: str) -> None:
    """Calls without end keep nothing else in the event loop waiting."""
    server = Server(engine, echo)
    (bound,) = await server.start([wanted])
    async with aio.insecure_channel(bound, options=OPTIONS) as channel:

        async def without_end() -> None:
            while True:
                assert await call(channel)(b"again") == b"again"

        calling = [asyncio.create_task(without_end()) for _ in range(20)]
        for _ in range(20):
            await asyncio.wait_for(asyncio.sleep(0.01), PATIENCE)
        for one in calling:
            one.cancel()
        await asyncio.wait(calling)
    await server.stop(0)


async def test_a_call_that_has_expired_is_not_judged(wanted: str) -> None:
    """With more calls than can be answered, those whose caller has gone cost the others nothing."""
    judged, begun = list[bytes](), threading.Event()

    def busy(data: bytes, _: Metadata, __: Identity) -> bytes:
        judged.append(data)
        if data == b"long":
            begun.set()
            time.sleep(0.3)
        return data

    server, loop = Server("native", busy), asyncio.get_running_loop()
    (bound,) = await server.start([wanted])

    def ask() -> bytes:
        # In a thread of its own, as the event loop is what is busy.
        with grpc.insecure_channel(bound, options=OPTIONS) as channel:
            check = channel.unary_unary(f"/{SERVICE}/{METHOD}", bytes, bytes)
            assert check(b"first") == b"first"
            long = check.future(b"long")
            assert begun.wait(PATIENCE)
            with pytest.raises(grpc.RpcError) as error:
                check(b"expired", timeout=0.1)
            assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert long.result() == b"long"
            last: bytes = check(b"last")
            return last

    assert await loop.run_in_executor(None, ask) == b"last"
    await server.stop(0)
    assert (judged, server.expired) == ([b"first", b"long", b"last"], 1)


async def test_an_unknown_method_is_unimplemented(channel: aio.Channel) -> None:
    """A call of anything but Check is an RPC error that says what is wrong."""
    with pytest.raises(aio.AioRpcError) as error:
        await call(channel, "Chek")(b"")
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_services_are_described(address: str) -> None:
    """A tool such as grpcurl can list the services and ask a Check, without our files."""

    def described() -> tuple[set[str], list[str], list[str]]:
        with grpc.insecure_channel(address, options=NO_PROXY) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            names = set(database.get_services())
            method = DescriptorPool(database).FindServiceByName(SERVICE).methods_by_name[METHOD]
            asked, answered = method.input_type, method.output_type
            return names, [one.name for one in asked.fields], [one.name for one in answered.fields]

    names, asked, answered = await asyncio.to_thread(described)
    assert names == set(NAMES[1:])
    assert asked == ["attributes"]
    assert {"status", "denied_response", "ok_response"} <= set(answered)


async def test_a_port_of_0_becomes_one_that_is_free(engine: Engine) -> None:
    """Several addresses are served at once, and each is told as it can be connected to."""
    server = Server(engine, echo)
    bound = await server.start(["127.0.0.1:0", "127.0.0.1:0"])
    answers = []
    for one in bound:
        async with aio.insecure_channel(one, options=OPTIONS) as channel:
            answers.append(await call(channel)(one.encode()))
    await server.stop(0)
    assert answers == [one.encode() for one in bound]
    assert len(set(bound)) == 2


CANNOT = {
    # what is written, what was expected, and why it fails
    "a port in use": ("{address}", "a free address to listen on (Address already in use)"),
    "a name of no host": ("no-such-host.invalid:0", "a host that can be looked up ("),
    "a name that can be no host's": (f"{'a' * 64}:0", "a host that can be looked up ("),
    "an address of another machine": ("192.0.2.1:0", "an address of this machine ("),
    "a folder that is not there": (
        "unix:{folder}/missing/s",
        "a path in a folder that is there (No such file or directory)",
    ),
    "a folder": ("unix:{folder}", "a path where there is nothing, or a socket (File exists)"),
    "a path that is too long": (
        "unix:{folder}/" + 108 * "x",
        "an address that can be listened on (AF_UNIX path too long)",
    ),
}
"""Of a host that cannot be looked up, every system's resolver has words of its own."""


@pytest.mark.parametrize(("written", "why"), CANNOT.values(), ids=CANNOT)
async def test_an_address_that_cannot_be_listened_on_is_told(
    written: str, why: str, engine: Engine, tmp_path: Path
) -> None:
    """The error names the address and the reason, and nothing else has to be guessed."""
    first = Server(engine, echo)
    (bound,) = await first.start(["127.0.0.1:0"])
    wrong = written.format(address=bound, folder=tmp_path)
    second = Server(engine, echo)
    with pytest.raises(BindError) as error:
        await second.start([wrong])
    await second.stop(0)
    await first.stop(0)
    assert str(error.value).startswith(f"{wrong}: expected {why}")


async def test_a_socket_in_use_is_not_taken_from_its_server(engine: Engine, tmp_path: Path) -> None:
    """A second server on a Unix socket is refused as it is on a port."""
    address = f"unix:{tmp_path}/s"

    def usurp(_: bytes, __: Metadata, ___: Identity) -> bytes:
        return b"from the second"

    first, second = Server(engine, echo), Server(engine, usurp)
    await first.start([address])
    try:
        with pytest.raises(BindError):
            await second.start([address])
        async with aio.insecure_channel(address, options=OPTIONS) as channel:
            assert await call(channel)(b"first") == b"first"
    finally:
        await second.stop(0)
        await first.stop(0)


async def test_a_socket_left_behind_is_replaced(engine: Engine, tmp_path: Path) -> None:
    """What a killed process leaves does not keep the next one from starting."""
    address = f"unix:{tmp_path}/s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    server = Server(engine, echo)
    await server.start([address])
    async with aio.insecure_channel(address, options=OPTIONS) as channel:
        assert await call(channel)(b"new") == b"new"
    await server.stop(0)


@pytest.mark.parametrize("there", [False, True])
async def test_a_read_only_root_costs_reflection_at_most(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """No folder for temporary files, or a deep one, is no reason not to serve Checks and health."""

    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    if there:
        # The path of a socket in it would be longer than one may be.
        monkeypatch.setattr(tempfile, "gettempdir", lambda: str(_deep(tmp_path)))
    else:
        monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    server = Server(engine, echo)
    (bound,) = await server.start(["127.0.0.1:0"])
    async with aio.insecure_channel(bound, options=OPTIONS) as channel:
        assert await call(channel)(b"all the same") == b"all the same"
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service=SERVICE))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    await server.stop(0)


def _deep(folder: Path) -> Path:
    deep = folder / ("x" * 100)
    deep.mkdir()
    return deep


# ---------------------------------------------------------------------------------- the choice


def test_auto_takes_native_unless_tls_is_asked_for() -> None:
    """What is asked for by name is taken; auto takes the fastest that can."""
    assert engines.choose("auto", tls=False) == "native"
    assert engines.choose("auto", tls=True) == "grpcio"
    assert engines.choose("native", tls=False) == "native"
    assert engines.choose("grpcio", tls=False) == "grpcio"
    assert engines.choose("grpcio", tls=True) == "grpcio"


def test_without_the_native_engine_auto_takes_grpcio(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a platform that has no native engine the service serves all the same."""
    monkeypatch.setitem(sys.modules, "pygrpc_native", None)
    assert engines.choose("auto", tls=False) == "grpcio"


def test_native_with_tls_is_refused(tmp_path: Path) -> None:
    """A configuration that asks for both is told that they exclude each other."""
    file = tmp_path / "regiongate.yaml"
    file.write_bytes(settings(engine="native", tls={"cert": "c.pem", "key": "k.pem"}))
    with pytest.raises(DocumentError, match=r"engine: expected grpcio or auto where tls is asked"):
        config.read(file)
