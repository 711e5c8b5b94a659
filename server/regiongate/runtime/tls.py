"""TLS for the grpcio engine, with certificates that are renewed without a restart."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import grpc

from regiongate.documents import DocumentError, Problem
from regiongate.runtime import trial, validity
from regiongate.runtime.config import Tls
from regiongate.runtime.files import EarlyError, Files, Part, Reloaded
from regiongate.runtime.named import Named
from regiongate.runtime.validity import Period

_UNSERVABLE: Final = (
    "expected a certificate and a key that gRPC can use (it takes RSA, ECDSA and Ed25519 keys, and"
    " PEM that begins with BEGIN CERTIFICATE)"
)
_NO_AUTHORITY: Final = (
    "expected certificates that gRPC can use (it takes PEM that begins with BEGIN CERTIFICATE)"
)
_UNTAKEN: Final = (
    "expected a key that clients take (gRPC's and Envoy's take RSA, and ECDSA with P-256 or P-384)"
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a server proves itself with, and whom it believes; PEM.

    Attributes:
        chain: certificates, the server's first.
        key: of the server's.
        authorities: whose clients are answered; None for any client.
        is_taken: whether clients take a key of this kind.
        period: when the certificate is valid; None where that cannot be read.
    """

    chain: bytes
    key: bytes
    authorities: bytes | None
    is_taken: bool = field(default=True, compare=False)
    period: Period | None = field(default=None, compare=False)

    def objection(self, now: datetime) -> str:
        """Say why clients refuse it; nothing if they do not."""
        if not self.is_taken:
            return _UNTAKEN
        return self.period.objection(now) if self.period else ""

    def doubt(self, now: datetime) -> str:
        """Say what an operator should look at; nothing if there is nothing."""
        return self.objection(now) or (self.period.warning(now) if self.period else "")

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
            DocumentError: a file cannot be read, or is no certificate that can be used, or is one
                that clients refuse while they take the one in force.
        """
        named = [one for one in (self._cert, self._key, self._ca) if one is not None]
        chain, key, *authorities = self._read(files, named)
        loaded = Loaded(chain, key, authorities[0] if authorities else None)
        if used is not None and used == loaded:
            return used
        self._ensure_usable()
        self._ensure_servable(loaded)
        loaded = replace(loaded, is_taken=trial.is_taken(key, chain), period=self._period())
        if used is not None:
            self._ensure_no_worse(loaded, used)
        return loaded

    def problem(self, message: str) -> Problem:
        """Make a problem of the certificate."""
        return self._cert.problem(f"{self._cert.path}: {message}")

    def _ensure_no_worse(self, loaded: Loaded, used: Loaded) -> None:
        """Expect that clients take what is loaded, where they take what is in force.

        Raises:
            DocumentError: they do not, or not yet.
        """
        now = datetime.now(UTC)
        objection = loaded.objection(now)
        if not objection or used.objection(now):
            return
        problems = [self.problem(objection)]
        if loaded.is_taken and loaded.period and loaded.period.begins > now:
            raise EarlyError(problems, loaded.period.begins)
        raise DocumentError(problems)

    def _ensure_usable(self) -> None:
        """Let OpenSSL try the files, which says more than gRPC of why it cannot use them.

        Raises:
            DocumentError: they are no certificate and its key, or no authority.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # Without a password it would ask for one, and wait, where there is a terminal.
            context.load_cert_chain(self._cert.path, self._key.path, password="")
        except OSError as error:
            expected = "a PEM certificate and its key, without a passphrase"
            raise _unusable(self._cert, expected, error) from None
        if self._ca is None:
            return
        try:
            context.load_verify_locations(self._ca.path)
        except OSError as error:
            raise _unusable(self._ca, "PEM certificates", error) from None

    def _period(self) -> Period | None:
        """Read when the certificate is valid.

        Raises:
            DocumentError: the files are others by now, or cannot be read any more.
        """
        try:
            return validity.period(self._cert.path, self._key.path)
        except OSError as error:
            raise _unusable(self._cert, "a PEM certificate and its key", error) from None

    def _ensure_servable(self, loaded: Loaded) -> None:
        """Let gRPC try what was read: of a renewal that it cannot use it says nothing.

        Raises:
            DocumentError: it takes them for no certificate and its key, or for no authority.
        """
        pair = [(loaded.key, loaded.chain)]
        if not trial.is_servable(grpc.ssl_server_credentials(pair)):
            raise DocumentError([self.problem(_UNSERVABLE)])
        if self._ca is None:
            return
        mutual = grpc.ssl_server_credentials(pair, loaded.authorities, require_client_auth=True)
        if not trial.is_servable(mutual):
            raise DocumentError([self._ca.problem(f"{self._ca.path}: {_NO_AUTHORITY}")])

    def _read(self, files: Files, named: Sequence[Named]) -> list[bytes]:
        """Read files, each of which is to be there.

        Raises:
            DocumentError: with every one that is not.
        """
        texts: list[bytes] = []
        problems: list[Problem] = []
        why: DocumentError | None = None
        for one in named:
            files.path(one.path)
            try:
                texts.append(files.text(one.expect()).encode())
                if not one.path.is_file():
                    # It is read again by OpenSSL, which a pipe cannot be.
                    problems.append(one.problem(f"{one.path}: expected a regular file"))
            except DocumentError as error:
                problems += error.problems
                why = why or error
        if problems:
            raise DocumentError(problems) from why
        return texts


def _unusable(named: Named, expected: str, error: OSError) -> DocumentError:
    message = f"{named.path}: expected {expected} ({error.strerror})"
    return DocumentError([named.problem(message)])
