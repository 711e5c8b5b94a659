"""TLS for the grpcio engine, with certificates that are renewed without a restart."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import grpc

from regiongate.documents import DocumentError
from regiongate.runtime.config import Tls
from regiongate.runtime.files import Files

_LOG: Final = logging.getLogger(__name__)


def credentials(written: Tls | None, base: Path) -> grpc.ServerCredentials | None:
    """Make the server's credentials; None for plaintext.

    The files are looked at again for each new connection, and taken over when they have changed.

    Args:
        written: the section of the configuration.
        base: the folder that its paths are relative to.

    Raises:
        DocumentError: a file cannot be read.
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
        files = Files()
        key, chain = self._read(files, self._written.key), self._read(files, self._written.cert)
        ca = self._read(files, self._written.client_ca) if self._written.client_ca else None
        self._files = files
        return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=ca)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new configuration when the files have changed and can be read."""
        if not self._files.differ_from(self._files.now()):
            return None
        try:
            return self.load()
        except DocumentError as error:
            _LOG.error("the certificates in force stay, the new ones cannot be used:\n%s", error)
            return None

    def _read(self, files: Files, name: str) -> bytes:
        return files.text(self._base / name).encode()
