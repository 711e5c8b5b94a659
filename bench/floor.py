"""What every figure is held against: a service that allows every Check without looking at it.

`python -m bench.floor ENGINE HOST:PORT` serves it until SIGTERM.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop

from regiongate.extauthz import responses
from regiongate.extauthz.responses import Told
from regiongate.runtime.engines import Server

ALLOWED = responses.allow(Told(outcome="allow", reason="otherwise")).render("0" * 32)


def allow(_data: bytes, _metadata: Any, _identity: Any) -> bytes:
    """Answer a Check."""
    return ALLOWED


async def main() -> None:
    """Serve until the process is ended."""
    server = Server("native" if sys.argv[1] == "native" else "grpcio", allow)
    await server.start([sys.argv[2]])
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
