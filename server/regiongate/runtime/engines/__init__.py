"""The two ways to serve gRPC: native (HTTP/2 in Rust, outside the GIL) and grpcio.

Both serve the same handler of bytes, gRPC health and reflection. Nothing here knows what a Check
is. Envoy opens one connection for each of its worker threads and endpoints, and balances requests
over endpoints; so there is one server for each listening address.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Protocol

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from regiongate.extauthz.service import METHOD, SERVICE
from regiongate.runtime.engines.described import described
from regiongate.runtime.engines.handler import Handler, RefusedError
from regiongate.runtime.sockets import BindError, ensure_free, permissions

if TYPE_CHECKING:
    from regiongate.runtime.engines.native import NativeServer

Engine = Literal["native", "grpcio"]

_MAX_METADATA: Final = 1024 * 1024
"""Bytes of metadata with a call. Envoy's own limit on what it sends is its header limit."""

_HANDSHAKE: Final = 10_000
"""Milliseconds that a client's handshake may take; gRPC's own limit is two minutes. Envoy gives up
after connect_timeout, 5 s unless said otherwise."""

_OPTIONS: Final = [
    # An oversized message would be an RPC error, which failure_mode_allow turns into an allow; the
    # handler answers it with a denial instead.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # None but the identity: whoever can connect could have a message inflated to a thousand times
    # its size, before the handler sees how large it is. Envoy compresses no Checks.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    # Who begins one and goes no further holds a file descriptor for so long.
    ("grpc.server_handshake_timeout_ms", _HANDSHAKE),
    # Between the two calls are refused at random.
    ("grpc.max_metadata_size", _MAX_METADATA),
    ("grpc.absolute_max_metadata_size", 2 * _MAX_METADATA),
    # Two processes on one port would share Envoy's connections unevenly, and hide a mistake.
    ("grpc.so_reuseport", 0),
    # At the limit of streams a client is to wait; by default calls are refused at random instead.
    ("grpc.http.overload_protection", 0),
    # An Envoy configured with short keepalives must not be turned away.
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
]


def choose(wanted: Literal["auto", "native", "grpcio"], *, tls: bool) -> Engine:
    """Choose the engine: native where it is installed and TLS is not asked for."""
    if wanted != "auto":
        return wanted
    return "native" if importlib.util.find_spec("pygrpc_native") and not tls else "grpcio"


class _Listening(Protocol):
    """An engine at one address: what both have of aio.Server's methods."""

    def add_insecure_port(self, address: str) -> int: ...

    async def start(self) -> None: ...

    async def stop(self, grace: float | None) -> None: ...


class Server:
    """gRPC on one or more addresses.

    Args:
        engine: serves them.
        credentials: of TLS; None for plaintext.
        handler: answers Checks.
        streams: how many calls one connection may have under way; what a client sends beyond that
            waits in the client.
        socket_mode: the permissions of a Unix socket.
    """

    def __init__(
        self,
        engine: Engine,
        handler: Handler,
        credentials: grpc.ServerCredentials | None = None,
        *,
        streams: int = 1024,
        socket_mode: int = 0o660,
    ) -> None:
        self._engine = engine
        self._handler = handler
        self._credentials = credentials
        self._streams = streams
        self._socket_mode = socket_mode
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # defined conditionally
        self._servers: list[_Listening] = []
        self._native_servers: list[NativeServer] = []

    @property
    def expired(self) -> int:
        """How many calls were not answered, as their callers had gone before their turn came."""
        return sum(one.expired for one in self._native_servers)

    async def start(self, addresses: Sequence[str]) -> list[str]:
        """Listen and serve.

        Args:
            addresses: `host:port` (port 0 for a free one) or `unix:/path`.

        Returns:
            The addresses as they are bound.

        Raises:
            BindError: one of them cannot be listened on.
        """
        bound = [self._bind(address) for address in addresses]
        for server in self._servers:
            await server.start()
        await self._say(health_pb2.HealthCheckResponse.SERVING)
        return bound

    async def stop(self, grace: float) -> None:
        """Take no more calls, and give those under way their time.

        Args:
            grace: seconds.
        """
        for server in self._servers:
            await server.stop(grace)

    async def leave(self) -> None:
        """Tell health checks that this server is about to stop."""
        await self._health.enter_graceful_shutdown()

    async def _say(self, status: Any) -> None:
        for service in ("", SERVICE):
            await self._health.set(service, status)

    def _bind(self, address: str) -> str:
        ensure_free(address)
        try:
            with permissions(self._socket_mode):
                listen = self._native if self._engine == "native" else self._grpcio
                server, port = listen(address)
        except RuntimeError as error:
            # It was free a moment ago.
            raise BindError(f"{address}: expected an address to listen on ({error})") from None
        self._servers.append(server)
        if address.startswith("unix:"):
            return address
        return f"{address.rpartition(':')[0]}:{port}"

    def _grpcio(self, address: str) -> tuple[_Listening, int]:
        server = self._made()
        _add_handler(server, self._handler)
        if self._credentials is None:
            return server, server.add_insecure_port(address)
        return server, server.add_secure_port(address, self._credentials)

    def _native(self, address: str) -> tuple[_Listening, int]:
        from regiongate.runtime.engines import native  # noqa: PLC0415 optional, see `choose`

        server = native.NativeServer(
            f"/{SERVICE}/{METHOD}",
            self._handler,
            {f"/{health.SERVICE_NAME}/Check": self._check_health},
            # What clients stream, reflection and the watching of health, is not served natively.
            self._made(),
            {
                "max_concurrent_streams": self._streams,
                "max_metadata_size": 2 * _MAX_METADATA,
                "keepalive_permit_without_calls": True,
            },
        )
        port = server.add_insecure_port(address)
        self._native_servers.append(server)
        return server, port

    def _made(self) -> aio.Server:
        """Make a grpcio server of all but Checks."""
        server = aio.server(options=[*_OPTIONS, ("grpc.max_concurrent_streams", self._streams)])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server, described())
        return server

    async def _check_health(self, data: bytes) -> bytes:
        """Answer a health check as the servicer does."""
        request = health_pb2.HealthCheckRequest.FromString(data)
        response = await self._health.Check(request, _Refusing())
        return bytes(response.SerializeToString())


class _Refusing:
    """The part of a context that the servicer of health uses."""

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call with this status."""
        raise RefusedError(code, details)


def _add_handler(server: aio.Server, handler: Handler) -> None:
    """Register the handler without (de)serialisers: bytes come in, bytes go out."""

    async def handle(data: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
        answer = handler(data, context.invocation_metadata() or (), context.auth_context)
        return answer if isinstance(answer, bytes) else await answer

    methods = {METHOD: grpc.unary_unary_rpc_method_handler(handle)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    server.add_registered_method_handlers(SERVICE, methods)  # type: ignore[attr-defined]  # newer than the stubs
