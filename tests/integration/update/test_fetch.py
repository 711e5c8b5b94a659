"""Whatever a server sends, it is a body or one line of why not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from regiongate.geo.update.errors import UpdateError
from regiongate.geo.update.fetch import Web
from regiongate.geo.update.web import Request

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
FOUND = b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: "

SENT: dict[str, tuple[bytes, bytes | str]] = {
    # what the server sends, the body or a part of what is told
    "a length": (OK + b"content-length: 5\r\n\r\nhello", b"hello"),
    "no length": (OK + b"\r\nhello", b"hello"),
    "a negative length": (OK + b"content-length: -5\r\n\r\nhello", b"hello"),
    "chunks": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "gzip, which nobody asked for": (
        OK + b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello",
        b"hello",
    ),
    "more than its length": (OK + b"content-length: 5\r\n\r\nhello world", b"hello"),
    "no last chunk": (CHUNKED + b"5\r\nhello\r\n", "expected an answer ("),
    "half a chunk": (CHUNKED + b"5\r\nhel", "expected an answer (IncompleteRead("),
    "no chunk": (CHUNKED + b"zz\r\nhello", "expected an answer ("),
    "half a body": (
        OK + b"content-length: 9\r\n\r\nhello",
        "expected an answer (IncompleteRead(5 bytes read, 4 more expected))",
    ),
    "nothing": (b"", "expected an answer (Remote end closed connection without response)"),
    "no HTTP": (b"SSH-2.0-\x1b[31m\r\n\r\n", "expected an answer (SSH-2.0-\\x1b[31m)"),
    "a reason to mislead a terminal": (
        b"HTTP/1.1 418 \x1b[2J\r\ncontent-length: 0\r\n\r\n",
        "expected a file (got 418, \\x1b[2J)",
    ),
    "a length of thousands of digits": (
        OK + b"content-length: %b\r\n\r\nhello" % (b"9" * 5000),
        b"hello",
    ),
    "a pause of thousands of digits": (
        b"HTTP/1.1 503 Later\r\nretry-after: %b\r\ncontent-length: 0\r\n\r\n" % (b"9" * 5000),
        "expected a file (got 503, Later)",
    ),
    "a pause until no day": (
        b"HTTP/1.1 503 Later\r\nretry-after: 1 Jan 99999999999999999999 1:1:1 GMT\r\n\r\n",
        "expected a file (got 503, Later)",
    ),
    "endless headers": (OK + b"a: b\r\n" * 500 + b"\r\n", "expected an answer (got more than 100"),
    "a redirect to no address": (
        FOUND + b"http://a b/\r\n\r\n",
        "expected an address of http:// or https:// (got http://a b/)",
    ),
    "a redirect to half an address": (FOUND + b"http://[::1\r\n\r\n", "(Invalid IPv6 URL)"),
    "a redirect to another protocol": (
        FOUND + b"gopher://x/\r\n\r\n",
        "expected an address of http:// or https:// (got gopher://x/)",
    ),
}


@contextmanager
def sending(content: bytes) -> Iterator[str]:
    """Send the same to whoever connects, and lend the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(content)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x?signature=secret"
        thread.join(10)


@pytest.mark.parametrize("name", SENT)
def test_what_a_server_sends_is_a_body_or_a_line(name: str) -> None:
    """The query of the address is not in it, nor anything that a terminal takes for an order."""
    content, expected = SENT[name]
    with sending(content) as url:
        try:
            with Web(proxies={}).get(Request(url)) as answer:
                found: bytes | str = b"".join(answer.body)
        except UpdateError as error:
            found = str(error)
    if isinstance(found, bytes):
        assert found == expected
    else:
        assert isinstance(expected, str)
        assert expected in found
        assert "secret" not in found
        assert found.isprintable()
