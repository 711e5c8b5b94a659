"""TLS in front of a server: its own where it was built with it, else a proxy that ends TLS."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tests.integration.keys.servers import Server, running

CHUNK = 65536


@contextmanager
def encrypted(binary: str, folder: Path, context: ssl.SSLContext) -> Iterator[tuple[Server, int]]:
    """Run a server that is reached over TLS at a port of the loopback interface.

    Args:
        folder: holds server.pem and server.key, too.
        context: with the same certificate.
    """
    if _speaks_tls(binary):
        port = _free_port()
        files = ["--tls-cert-file", str(folder / "server.pem")]
        files += ["--tls-key-file", str(folder / "server.key")]
        arguments = ("--tls-port", str(port), "--tls-auth-clients", "no", *files)
        with running(binary, folder, *arguments) as server:
            yield server, port
    else:
        with running(binary, folder) as server, _proxy(server, context) as port:
            yield server, port


def _speaks_tls(binary: str) -> bool:
    """Ask for TLS with a certificate that is not there; one without TLS complains of that."""
    asked = [binary, "--port", "0", "--tls-port", "1", "--tls-cert-file", "/none"]
    found = subprocess.run(asked, capture_output=True, timeout=30, check=False)
    return b"/none" in found.stdout


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def _proxy(server: Server, context: ssl.SSLContext) -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        threading.Thread(target=_accept, args=(listening, server, context), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, server: Server, context: ssl.SSLContext) -> None:
    with suppress(OSError):
        while True:
            plain, _ = listening.accept()
            threading.Thread(target=_serve, args=(plain, server, context), daemon=True).start()


def _serve(plain: socket.socket, server: Server, context: ssl.SSLContext) -> None:
    """Pass on what comes from either side until one of them ends."""
    with (
        suppress(OSError),
        closing(plain),
        context.wrap_socket(plain, server_side=True) as client,
        socket.socket(socket.AF_UNIX) as upstream,
    ):
        upstream.connect(str(server.socket))
        threading.Thread(target=_pass_on, args=(upstream, client), daemon=True).start()
        _pass_on(client, upstream)


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(CHUNK):
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
