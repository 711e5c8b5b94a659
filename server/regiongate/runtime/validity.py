"""Whether a certificate is valid at this time, as OpenSSL sees it when it is shown one.

A client and a server of ours shake hands in memory; no library beyond Python's reads dates.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

_NOT_YET: Final = 9
_EXPIRED: Final = 10
"""OpenSSL, include/openssl/x509_vfy.h: X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED."""

_OBJECTIONS: Final = {
    _NOT_YET: "expected a certificate that is valid by now (it is not valid yet)",
    _EXPIRED: "expected a certificate that is still valid (it has expired)",
}


def objection(cert: Path, key: Path) -> str:
    """Say why clients refuse a certificate at this time; nothing where its dates are fine.

    Args:
        cert: PEM certificates, the server's first.
        key: of the server's.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    # The certificate vouches for itself: all there is to object to are its dates and purpose.
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cert)
    try:
        _shake_hands(client, server)
    except ssl.SSLCertVerificationError as error:
        return _OBJECTIONS.get(error.verify_code, "")
    except ssl.SSLError:
        return ""
    return ""


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Let a client see a server's certificate.

    Raises:
        SSLError: it does not like it.
    """
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking, answering = client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)
    for side in (asking, answering, asking):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
