"""When a certificate is valid, as OpenSSL reads it when it is shown one.

A client and a server of ours shake hands in memory; no library beyond Python's reads dates.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

SOON: Final = timedelta(days=14)
"""What ends within this time is told of."""

_LAST_PART: Final = 5
"""Likewise of a certificate in the last fifth of its life: many live for less than SOON."""

_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL, include/openssl/x509_vfy.h: X509_V_FLAG_NO_CHECK_TIME."""


@dataclass(frozen=True, slots=True)
class Period:
    """From when until when a certificate is valid."""

    begins: datetime
    ends: datetime

    def objection(self, now: datetime) -> str:
        """Say why clients refuse it; nothing where its dates are fine."""
        if now < self.begins:
            return "expected a certificate that is valid by now (it is not valid yet)"
        if now > self.ends:
            return "expected a certificate that is still valid (it has expired)"
        return ""

    def warning(self, now: datetime) -> str:
        """Say that it ends soon; nothing where it does not."""
        if self.ends - now > min(SOON, (self.ends - self.begins) / _LAST_PART):
            return ""
        return (
            f"expected a certificate that is valid for longer (it ends at {self.ends.isoformat()})"
        )


def period(cert: Path, key: Path) -> Period | None:
    """Read when a certificate is valid; None where OpenSSL would not have it of a server.

    Args:
        cert: PEM certificates, the server's first.
        key: of the server's.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    # The certificate vouches for itself: all there is to object to is its purpose.
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    client.load_verify_locations(cert)
    try:
        shown = _shown(client, server)
        return Period(_moment(shown["notBefore"]), _moment(shown["notAfter"]))
    except (ssl.SSLError, KeyError, ValueError):
        return None


def _shown(client: ssl.SSLContext, server: ssl.SSLContext) -> dict[str, Any]:
    """Let a client see a server's certificate, and return what it says.

    Raises:
        SSLError: the client does not like it.
    """
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking, answering = client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)
    for side in (asking, answering, asking, answering, asking):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return asking.getpeercert() or {}


def _moment(written: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(written), UTC)
