"""TLS for the grpcio engine, with certificates that are renewed without a restart."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import grpc

from regiongate.documents import DocumentError, Problem
from regiongate.runtime import validity
from regiongate.runtime.config import Tls
from regiongate.runtime.files import Files
from regiongate.runtime.named import Named

_LOG: Final = logging.getLogger(__name__)


def credentials(written: Tls | None, config: Path) -> grpc.ServerCredentials | None:
    """Make the server's credentials; None for plaintext.

    The files are looked at again for each new connection, and taken over when they have changed.

    Args:
        written: the section of the configuration.
        config: the path of regiongate.yaml.

    Raises:
        DocumentError: a file cannot be read, or is no certificate.
    """
    if written is None:
        return None
    certificates = Certificates(written, config)
    return grpc.dynamic_ssl_server_credentials(
        certificates.load(),
        certificates.changed,  # type: ignore[arg-type]  # None means unchanged; the stubs forgot
        require_client_authentication=written.client_ca is not None,
    )


class Certificates:
    """The files of a Tls section, and the configuration they make.

    Args:
        written: the section.
        config: the path of regiongate.yaml.
    """

    def __init__(self, written: Tls, config: Path) -> None:
        self._cert = Named(config, ("tls", "cert"), written.cert)
        self._key = Named(config, ("tls", "key"), written.key)
        ca = written.client_ca
        self._ca = Named(config, ("tls", "client_ca"), ca) if ca else None
        self._files = Files()

    def load(self) -> grpc.ServerCertificateConfiguration:
        """Read the files and try them.

        Raises:
            DocumentError: a file cannot be read, or is no certificate.
        """
        self._files = files = Files()
        named = [one for one in (self._cert, self._key, self._ca) if one is not None]
        chain, key, *ca = self._read(files, named)
        self._ensure_usable()
        return grpc.ssl_server_certificate_configuration(
            [(key, chain)], root_certificates=ca[0] if ca else None
        )

    def expired(self) -> Problem | None:
        """Say that the certificate is not valid at this time, if it is not; after `load`."""
        why = validity.objection(self._cert.path, self._key.path)
        return self._cert.problem(f"{self._cert.path}: {why}") if why else None

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new configuration when the files have changed and can be read."""
        if not self._files.differ_from(self._files.now()):
            return None
        try:
            return self.load()
        except DocumentError as error:
            _LOG.error("the certificates in force stay, the new ones cannot be used:\n%s", error)
            return None

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
