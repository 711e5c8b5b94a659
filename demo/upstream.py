"""A small upstream that answers every request with what it saw of it, as JSON.

It speaks HTTP/1.1 and HTTP/2 by prior knowledge on one port, as Envoy does. Run it with
`python -m demo.upstream PORT`.
"""

import asyncio
import json
import sys
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import h11

from demo.address import LOOPBACK

MOST = 65536
"""Bytes read at a time."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived.

    Attributes:
        protocol: HTTP/1.1 or HTTP/2.
        method: GET and the like.
        path: with its query.
        headers: names and values in order, repeated ones repeated; no pseudo-headers.
    """

    protocol: str
    method: str
    path: str
    headers: list[tuple[str, str]]

    def as_json(self) -> bytes:
        """Return the answer's body."""
        return json.dumps(
            {
                "protocol": self.protocol,
                "method": self.method,
                "path": self.path,
                "headers": self.headers,
            }
        ).encode()


async def serve(port: int) -> None:
    """Answer on a loopback port until cancelled."""
    server = await asyncio.start_server(_connection, LOOPBACK, port)
    async with server:
        await server.serve_forever()


async def _connection(reader: StreamReader, writer: StreamWriter) -> None:
    received = await reader.read(MOST)
    try:
        # RFC 9113, section 3.4: no HTTP/1.1 method begins like the HTTP/2 preface.
        if received.startswith(b"PRI "):
            await _http2(received, reader, writer)
        else:
            await _http1(received, reader, writer)
    except ConnectionError:
        pass  # Envoy closes its connections when it stops.
    finally:
        writer.close()


async def _http1(received: bytes, reader: StreamReader, writer: StreamWriter) -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(received)
    request: h11.Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(MOST))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            writer.write(_http1_answer(connection, request))
            await writer.drain()
            if connection.our_state is h11.MUST_CLOSE:
                return
            connection.start_next_cycle()
        elif isinstance(event, h11.ConnectionClosed):
            return


def _http1_answer(connection: h11.Connection, request: h11.Request) -> bytes:
    method, path = request.method.decode(), request.target.decode("latin-1")
    body = Seen("HTTP/1.1", method, path, _text(list(request.headers))).as_json()
    headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
    answer = connection.send(h11.Response(status_code=200, headers=headers)) or b""
    if method != "HEAD":
        answer += connection.send(h11.Data(data=body)) or b""
    return answer + (connection.send(h11.EndOfMessage()) or b"")


async def _http2(received: bytes, reader: StreamReader, writer: StreamWriter) -> None:
    # Header bytes are taken as they come: showing odd ones is what an echo is for.
    config = h2.config.H2Configuration(client_side=False, header_encoding=None)
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    requests: dict[int, list[tuple[bytes, bytes]]] = {}
    while received:
        for event in connection.receive_data(received):
            match event:
                case h2.events.RequestReceived(stream_id=int(stream), headers=list(headers)):
                    requests[stream] = [(bytes(name), bytes(value)) for name, value in headers]
                case h2.events.DataReceived(stream_id=int(stream), flow_controlled_length=length):
                    connection.acknowledge_received_data(length or 0, stream)
                case h2.events.StreamEnded(stream_id=int(stream)):
                    _http2_answer(connection, stream, requests.pop(stream))
                case h2.events.StreamReset(stream_id=int(stream)):
                    requests.pop(stream, None)
        writer.write(connection.data_to_send())
        await writer.drain()
        received = await reader.read(MOST)


def _http2_answer(
    connection: h2.connection.H2Connection, stream: int, headers: list[tuple[bytes, bytes]]
) -> None:
    pseudo = {name: value.decode("latin-1") for name, value in headers if name.startswith(b":")}
    method, path = pseudo[b":method"], pseudo.get(b":path", "")
    plain = [(name, value) for name, value in headers if not name.startswith(b":")]
    body = Seen("HTTP/2", method, path, _text(plain)).as_json()
    length = ("content-length", str(len(body)))
    connection.send_headers(
        stream, [(":status", "200"), ("content-type", "application/json"), length]
    )
    size = connection.max_outbound_frame_size
    for start in range(0, len(body) if method != "HEAD" else 0, size):
        connection.send_data(stream, body[start : start + size])
    connection.end_stream(stream)


def _text(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
