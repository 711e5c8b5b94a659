"""TLS for the grpcio engine, with certificates that are renewed without a restart."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from regiongate.documents import DocumentError, Problem
from regiongate.runtime import validity
from regiongate.runtime.config import Tls
from regiongate.runtime.files import Files, Part, Reloaded
from regiongate.runtime.named import Named


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a server proves itself with, and whom it believes; PEM.

    Attributes:
        chain: certificates, the server's first.
        key: of the server's.
        authorities: whose clients are answered; None for any client.
    """

    chain: bytes
    key: bytes
    authorities: bytes | None

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """Return it in gRPC's own form."""
        pair = self.key, self.chain
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=self.authorities)


def certificates(written: Tls, config: Path, reloaded: Reloaded) -> Part[Loaded]:
    """Make the part that the files of a Tls section are.

    Args:
        written: the section.
        config: the path of regiongate.yaml.
        reloaded: is told of every reload.

    Raises:
        DocumentError: a file cannot be read, or is no certificate.
    """
    return Part("certificates", Certificates(written, config).load, reloaded)


def credentials(part: Part[Loaded]) -> grpc.ServerCredentials:
    """Make a server's credentials: each new connection is made with what is in force."""
    given = part.value

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        # Called in a thread of gRPC's while a handshake waits: nothing is read here.
        nonlocal given
        now = part.value
        if now is given:
            return None
        given = now
        return now.configuration()

    return grpc.dynamic_ssl_server_credentials(
        given.configuration(),
        renewed,  # type: ignore[arg-type]  # None means unchanged; the stubs forgot
        require_client_authentication=given.authorities is not None,
    )


class Certificates:
    """The files of a Tls section.

    Args:
        written: the section.
        config: the path of regiongate.yaml.
    """

    def __init__(self, written: Tls, config: Path) -> None:
        self._cert = Named(config, ("tls", "cert"), written.cert)
        self._key = Named(config, ("tls", "key"), written.key)
        ca = written.client_ca
        self._ca = Named(config, ("tls", "client_ca"), ca) if ca else None

    def load(self, files: Files, used: Loaded | None = None) -> Loaded:
        """Read the files and try them.

        Args:
            files: to read through.
            used: what is in force, which is returned where the files say nothing else.

        Raises:
            DocumentError: a file cannot be read, or is no certificate.
        """
        named = [one for one in (self._cert, self._key, self._ca) if one is not None]
        chain, key, *authorities = self._read(files, named)
        loaded = Loaded(chain, key, authorities[0] if authorities else None)
        if used is not None and used == loaded:
            return used
        self._ensure_usable()
        return loaded

    def expired(self) -> Problem | None:
        """Say that the certificate is not valid at this time, if it is not; after `load`."""
        why = validity.objection(self._cert.path, self._key.path)
        return self._cert.problem(f"{self._cert.path}: {why}") if why else None

    def _ensure_usable(self) -> None:
        """Try the files before gRPC does, which says nothing of why it cannot use them.

        Raises:
            DocumentError: they are no certificate and its key, or no authority.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._cert.path, self._key.path)
        except OSError as error:
            raise _unusable(self._cert, "a PEM certificate and its key", error) from None
        if self._ca is None:
            return
        try:
            context.load_verify_locations(self._ca.path)
        except OSError as error:
            raise _unusable(self._ca, "PEM certificates", error) from None

    def _read(self, files: Files, named: Sequence[Named]) -> list[bytes]:
        """Read files, each of which is to be there.

        Raises:
            DocumentError: with every one that is not.
        """
        texts: list[bytes] = []
        problems: list[Problem] = []
        for one in named:
            files.path(one.path)
            try:
                texts.append(files.text(one.expect()).encode())
                if not one.path.is_file():
                    # It is read again by OpenSSL, which a pipe cannot be.
                    problems.append(one.problem(f"{one.path}: expected a regular file"))
            except DocumentError as error:
                problems += error.problems
        if problems:
            raise DocumentError(problems)
        return texts


def _unusable(named: Named, expected: str, error: OSError) -> DocumentError:
    message = f"{named.path}: expected {expected} ({error.strerror})"
    return DocumentError([named.problem(message)])
