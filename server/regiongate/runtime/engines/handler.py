"""What an engine serves: a handler of bytes, which knows nothing of HTTP/2 or gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

import grpc

from regiongate.extauthz.evidence import Metadata

Identity = Callable[[], Mapping[str, Iterable[bytes]]]
"""Returns what a caller's certificate says of it, as grpcio's auth_context does."""

Handler = Callable[[bytes, Metadata, Identity], bytes | Awaitable[bytes]]
"""Answers one call, at once or not; takes and returns serialised messages. Is called in the event
loop. What it raises fails the call."""


class RefusedError(Exception):
    """A call that ends with a status other than OK."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
