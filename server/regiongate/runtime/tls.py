"""TLS for the grpcio engine, with certificates that are renewed without a restart."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final

import grpc

from regiongate.documents import DocumentError
from regiongate.runtime.config import Tls
from regiongate.runtime.files import Files, LoadError

_LOG: Final = logging.getLogger(__name__)


def credentials(written: Tls | None, base: Path) -> grpc.ServerCredentials | None:
    """Make the server's credentials; None for plaintext.

    The files are looked at again for each new connection, and taken over when they have changed.

    Args:
        written: the section of the configuration.
        base: the folder that its paths are relative to.

    Raises:
        DocumentError, LoadError: a file cannot be read, or is no certificate.
    """
    if written is None:
        return None
    certificates = _Certificates(written, base)
    return grpc.dynamic_ssl_server_credentials(
        certificates.load(),
        certificates.changed,  # type: ignore[arg-type]  # None means unchanged; the stubs forgot
        require_client_authentication=written.client_ca is not None,
    )


class _Certificates:
    """The files of a Tls section, and the configuration they make."""

    def __init__(self, written: Tls, base: Path) -> None:
        self._written = written
        self._base = base
        self._files = Files()

    def load(self) -> grpc.ServerCertificateConfiguration:
        self._files = files = Files()
        key, chain = self._read(files, self._written.key), self._read(files, self._written.cert)
        ca = self._read(files, self._written.client_ca) if self._written.client_ca else None
        self._ensure_usable()
        return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=ca)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new configuration when the files have changed and can be read."""
        if not self._files.differ_from(self._files.now()):
            return None
        try:
            return self.load()
        except (DocumentError, LoadError) as error:
            _LOG.error("the certificates in force stay, the new ones cannot be used:\n%s", error)
            return None

    def _ensure_usable(self) -> None:
        """Try the files before gRPC does, which says nothing of why it cannot use them.

        Raises:
            LoadError: they are no certificate and its key, or no authority.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert, key, ca = self._written.cert, self._written.key, self._written.client_ca
        try:
            context.load_cert_chain(self._base / cert, self._base / key)
        except OSError as error:
            expected = f"expected a PEM certificate and its key ({error.strerror})"
            raise LoadError([f"{self._base / cert}: {expected}"]) from None
        if ca is None:
            return
        try:
            context.load_verify_locations(self._base / ca)
        except OSError as error:
            expected = f"expected PEM certificates ({error.strerror})"
            raise LoadError([f"{self._base / ca}: {expected}"]) from None

    def _read(self, files: Files, name: str) -> bytes:
        return files.text(self._base / name).encode()
