"""Sends what no client library would, from any address of the loopback interface."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from demo.address import LOOPBACK, Tcp
from tests.e2e.forgeries.attempts import Attempt, Lines

ANSWERS_WITHIN = 10.0
"""Seconds that a busy machine may take."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: 0 where the connection or the stream was closed without an answer.
        headers: by lower-case name.
    """

    status: int
    headers: Mapping[str, str]


REFUSED = Answer(0, {})


def send(edge: Tcp, attempt: Attempt, *, source: str, before: bytes = b"") -> Answer:
    """Send one request on a connection of its own.

    Args:
        edge: the listener.
        attempt: the request.
        source: the address to connect from.
        before: what the peer says before the client's first byte.

    Raises:
        TimeoutError: there is no answer, and the connection stays open.
    """
    with socket.create_connection(
        (LOOPBACK, edge.port), ANSWERS_WITHIN, source_address=(source, 0)
    ) as connection:
        try:
            connection.sendall(before + attempt.before)
            if attempt.protocol == "HTTP/2":
                return _http2(connection, attempt)
            return _http1(connection, attempt)
        except (ConnectionError, http.client.HTTPException):
            return REFUSED


def _http1(connection: socket.socket, attempt: Attempt) -> Answer:
    lines: Lines = [(b"host", attempt.host), *attempt.lines]
    body = attempt.body
    if attempt.trailers:
        lines.append((b"transfer-encoding", b"chunked"))
        body = b"0\r\n" + _written(attempt.trailers) + b"\r\n"
    version = attempt.protocol.encode()
    head = b"GET " + attempt.target + b" " + version + b"\r\n" + _written(lines) + b"\r\n"
    with suppress(ConnectionError):  # Envoy may have answered, and closed, before it has read all.
        connection.sendall(head + body)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()})


def _written(lines: Lines) -> bytes:
    return b"".join(name + b": " + value + b"\r\n" for name, value in lines)


def _http2(connection: socket.socket, attempt: Attempt) -> Answer:
    config = h2.config.H2Configuration(
        header_encoding="latin-1",
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
        validate_inbound_headers=False,
    )
    client = h2.connection.H2Connection(config)
    client.initiate_connection()
    connection.sendall(client.data_to_send())
    pseudo: Lines = [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", attempt.host),
        (b":path", attempt.target),
    ]
    head = [*pseudo, *attempt.pseudo, *attempt.lines]
    client.send_headers(1, head, end_stream=not attempt.trailers)
    if attempt.trailers:
        client.send_headers(1, attempt.trailers, end_stream=True)
    with suppress(ConnectionError):
        connection.sendall(client.data_to_send())
    return _answer(connection, client)


def _answer(connection: socket.socket, client: h2.connection.H2Connection) -> Answer:
    while received := connection.recv(65536):
        try:
            events = client.receive_data(received)
        except h2.exceptions.ProtocolError:
            return REFUSED
        for event in events:
            match event:
                case h2.events.ResponseReceived(headers=list(headers)):
                    found = {str(name): str(value) for name, value in headers}
                    return Answer(int(found[":status"]), found)
                case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                    return REFUSED
        connection.sendall(client.data_to_send())
    return REFUSED
