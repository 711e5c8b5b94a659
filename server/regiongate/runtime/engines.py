"""The two ways to serve gRPC: native (HTTP/2 in Rust, outside the GIL) and grpcio.

Both serve the same handler of bytes, gRPC health and reflection. Nothing here knows what a Check
is. Envoy opens one connection for each of its worker threads and endpoints, and balances requests
over endpoints; so there is one server for each listening address.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from regiongate._pb import ext_authz_pb2
from regiongate.extauthz.service import METHOD, SERVICE
from regiongate.runtime.sockets import BindError, ensure_free, permissions

Engine = Literal["native", "grpcio"]

Handler = Callable[[bytes, aio.ServicerContext[bytes, bytes]], Awaitable[bytes]]
"""Answers one unary call; takes and returns serialised messages."""

_LOG: Final = logging.getLogger(__name__)

_OPTIONS: Final = [
    # An oversized message would be an RPC error, which failure_mode_allow turns into an allow; the
    # handler answers it with a denial instead.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Envoy's own limit on what it sends as metadata of a Check is its header limit.
    ("grpc.max_metadata_size", 1024 * 1024),
    ("grpc.absolute_max_metadata_size", 2 * 1024 * 1024),
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
        self._options = [*_OPTIONS, ("grpc.max_concurrent_streams", streams)]
        self._socket_mode = socket_mode
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # defined conditionally
        self._servers: list[aio.Server] = []

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
        server = self._make()
        self._servers.append(server)
        try:
            with permissions(self._socket_mode):
                port = self._listen(server, address)
        except RuntimeError:
            raise BindError(f"{address}: expected a free address to listen on") from None
        if address.startswith("unix:"):
            return address
        return f"{address.rpartition(':')[0]}:{port}"

    def _listen(self, server: aio.Server, address: str) -> int:
        if self._credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, self._credentials)

    def _make(self) -> aio.Server:
        if self._engine == "native":
            import pygrpc_native.aio  # noqa: PLC0415 optional, see `choose`

            server: aio.Server = pygrpc_native.aio.server(options=self._options)
        else:
            server = aio.server(options=self._options)
        _add_handler(server, self._handler)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if self._engine == "grpcio" or _has_temporary_folder():
            names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server, _described())
        return server


def _has_temporary_folder() -> bool:
    """Say whether there is one; the native engine needs it for what clients stream.

    It hands such calls to grpcio, through a Unix socket there. Only reflection's stream, which a
    process with a read-only root does without.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        _LOG.info("without a temporary folder there is no gRPC reflection with the native engine")
        return False
    return True


def _add_handler(server: aio.Server, handler: Handler) -> None:
    """Register the handler without (de)serialisers: bytes come in, bytes go out."""
    methods = {METHOD: grpc.unary_unary_rpc_method_handler(handler)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    server.add_registered_method_handlers(SERVICE, methods)  # type: ignore[attr-defined]  # newer than the stubs


def _described() -> descriptor_pool.DescriptorPool:
    """Describe the services for reflection, Authorization by the messages we read it with.

    A pool of its own: upstream's descriptors of the same names may be in the default one.
    """
    pool = descriptor_pool.DescriptorPool()
    for module in (ext_authz_pb2, health_pb2):
        for file in (*module.DESCRIPTOR.dependencies, module.DESCRIPTOR):
            pool.AddSerializedFile(file.serialized_pb)
    package, _, service = SERVICE.rpartition(".")
    messages = ext_authz_pb2.DESCRIPTOR.package
    pool.Add(
        descriptor_pb2.FileDescriptorProto(
            name="regiongate/authorization.proto",
            package=package,
            syntax="proto3",
            dependency=[ext_authz_pb2.DESCRIPTOR.name],
            service=[
                descriptor_pb2.ServiceDescriptorProto(
                    name=service,
                    method=[
                        descriptor_pb2.MethodDescriptorProto(
                            name=METHOD,
                            input_type=f".{messages}.CheckRequest",
                            output_type=f".{messages}.CheckResponse",
                        )
                    ],
                )
            ],
        )
    )
    return pool
