"""HTTP/2 by hand: what a broken or hostile client sends, byte for byte."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hpack import Encoder
from hyperframe.frame import DataFrame, Frame, HeadersFrame, RstStreamFrame, SettingsFrame

from regiongate.extauthz.service import SERVICE
from tests.integration.process import PATIENCE, Process

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HELLO = PREFACE + SettingsFrame(0).serialize()

CHECK = {
    ":method": "POST",
    ":scheme": "http",
    ":path": f"/{SERVICE}/Check",
    ":authority": "regiongate",
    "content-type": "application/grpc",
    "te": "trailers",
}


def block(headers: Mapping[str, str | bytes]) -> bytes:
    """Compress headers so that the same bytes do on every stream: nothing is remembered."""
    lines = [(name, value, True) for name, value in headers.items()]
    encoded: bytes = Encoder().encode(lines, huffman=False)
    return encoded


def headers(
    stream: int,
    fields: Mapping[str, str | bytes] | None = None,
    flags: tuple[str, ...] = ("END_HEADERS",),
) -> bytes:
    """Begin a call."""
    return _written(HeadersFrame(stream, block(fields or CHECK), flags=list(flags)))


def data(stream: int, content: bytes, *, end: bool = True) -> bytes:
    """Send bytes of a call, as they are."""
    return _written(DataFrame(stream, content, flags=["END_STREAM"] if end else []))


def reset(stream: int) -> bytes:
    """Give a call up."""
    return _written(RstStreamFrame(stream, error_code=8))


def message(content: bytes, *, compressed: int = 0) -> bytes:
    """Frame a message as gRPC does."""
    return struct.pack(">BI", compressed, len(content)) + content


def frame(kind: int, stream: int, content: bytes, flags: int = 0) -> bytes:
    """Make a frame of any kind, correct or not."""
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def _written(one: Frame) -> bytes:
    serialized: bytes = one.serialize()
    return serialized


def address(process: Process) -> tuple[str, int]:
    """Return where a process listens."""
    ((host, port),) = re.findall(r"serving on ([\d.]+):(\d+)", process.said())
    return host, int(port)


def target(process: Process) -> str:
    """Return the same as gRPC writes it."""
    host, port = address(process)
    return f"{host}:{port}"


@contextmanager
def connected(process: Process) -> Iterator[socket.socket]:
    """Connect, and say nothing."""
    with socket.create_connection(address(process), PATIENCE) as connection:
        yield connection


def heard(connection: socket.socket, within: float) -> bytes:
    """Return what a server sends until it closes the connection or is silent for so long."""
    connection.settimeout(within)
    received = bytearray()
    try:
        while part := connection.recv(65536):
            received += part
    except (TimeoutError, ConnectionError):
        pass
    return bytes(received)


def resident(process: Process) -> int:
    """Return how many bytes of memory a process has resident."""
    pages = int(Path(f"/proc/{process.child.pid}/statm").read_text().split()[1])
    return pages * 4096
