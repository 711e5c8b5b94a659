"""One HTTP/1.1 request, with exactly the headers given, repeated ones repeated."""

import http.client
import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from demo.address import LOOPBACK, Tcp

ANSWERS_WITHIN = 5.0
"""Seconds."""

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: the HTTP status.
        headers: by lower-case name; of repeated ones the last.
        body: undecoded.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body.

        Raises:
            ValueError: the body is not JSON.
        """
        return json.loads(self.body)


def ask(address: Tcp, path: str, headers: Headers = (), *, method: str = "GET") -> Answer:
    """Send one request and return what came back.

    Args:
        address: the server.
        path: sent as it stands, not normalised.
        headers: sent in this order, beside Host.
        method: GET and the like.

    Raises:
        OSError: the server does not answer.
        http.client.HTTPException: the server answers something else than HTTP/1.1.
    """
    connection = http.client.HTTPConnection(LOOPBACK, address.port, timeout=ANSWERS_WITHIN)
    with closing(connection):
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        received = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, received, answer.read())
