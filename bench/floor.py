"""What every figure is held against: a service that allows every Check without looking at it.

`python -m bench.floor ENGINE ADDRESS` serves it until SIGTERM: on one of our engines, or as anybody
would write it with pygrpc-native, whose low-level API our native engine uses.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import pygrpc_native.aio
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from regiongate.extauthz import responses
from regiongate.extauthz.responses import Told
from regiongate.extauthz.service import METHOD, SERVICE
from regiongate.runtime.engines import Server

SERVICER = "pygrpc-native: always allow"

ALLOWED = responses.allow(Told(outcome="allow", reason="otherwise")).render("0" * 32)


def allow(_data: bytes, _metadata: Any, _identity: Any) -> bytes:
    """Answer a Check."""
    return ALLOWED


class Servicer:
    """The same as a servicer of grpc.aio's."""

    async def Check(self, _request: bytes, _context: Any) -> bytes:  # noqa: N802 gRPC's name
        """Answer a Check."""
        return ALLOWED


async def main() -> None:
    """Serve until the process is ended."""
    engine, address = sys.argv[1:]
    # A server that nobody holds is gone.
    _held = await (served(address) if engine == SERVICER else handled(engine, address))
    await asyncio.Event().wait()


async def handled(engine: str, address: str) -> Server:
    """Serve the handler on an engine of ours."""
    server = Server("native" if engine == "native" else "grpcio", allow)
    await server.start([address])
    return server


async def served(address: str) -> grpc.aio.Server:
    """Serve the servicer, and tell that it is healthy."""
    server: grpc.aio.Server = pygrpc_native.aio.server()
    methods = {METHOD: grpc.unary_unary_rpc_method_handler(Servicer().Check)}
    server.add_registered_method_handlers(SERVICE, methods)  # type: ignore[attr-defined]  # newer than the stubs
    healthy = health.aio.HealthServicer()  # type: ignore[attr-defined]  # defined conditionally
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    await healthy.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(address)
    await server.start()
    return server


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
