"""Asks over HTTP, through the proxy and with the authorities that the system has.

Redirects are followed here rather than by urllib3, for three reasons: credentials are for one host,
encryption once begun is not given up, and where they lead is not written to the log, as it may be
signed. Nothing here knows what it fetches.
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urljoin

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader, LocationParseError
from urllib3.util import Retry, Timeout, Url, make_headers, parse_url

from regiongate import __version__, deadline
from regiongate.deadline.pools import POOLS
from regiongate.geo.update.errors import NotFound, UpdateError
from regiongate.geo.update.web import Answer, Request, Validators, said, shown

LARGEST: Final = 1 << 30
"""Bytes of a body; the largest database of MaxMind's is about half of it."""
SILENCE: Final = 30.0
"""Seconds that a server may take to go on."""
REDIRECTS: Final = 5
PIECE: Final = 1 << 16

_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_LENGTH: Final = re.compile(r"[0-9]{1,20}")
_REDIRECT: Final = frozenset({301, 302, 303, 307, 308})
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED: Final[Mapping[int, str]] = {
    401: "the account id or the licence key is not accepted",
    403: "access is refused; the account may not be entitled to this",
    407: "the proxy wants other credentials",
    429: "too many requests",
}

Progress = Callable[[int, int | None], None]
"""Is told how many bytes have arrived, and of how many, where that is known."""


class Web:
    """Asks over HTTP.

    Args:
        trusted: the authorities of TLS; those of the system where it is left out.
        proxies: by scheme; those of the environment (HTTPS_PROXY, NO_PROXY) where it is left out.
        silence: seconds that a server may take to go on.
        largest: bytes of a body.
        progress: is told of what arrives.
    """

    def __init__(
        self,
        *,
        trusted: ssl.SSLContext | None = None,
        proxies: Mapping[str, str] | None = None,
        silence: float = SILENCE,
        largest: int = LARGEST,
        progress: Progress = lambda _received, _total: None,
    ) -> None:
        self._trusted = trusted or ssl.create_default_context()
        self._proxies = proxies
        self._timeout = Timeout(connect=silence, read=silence)
        self._largest = largest
        self._progress = progress

    @contextmanager
    def get(self, request: Request) -> Iterator[Answer]:
        """Ask, and lend the answer.

        Raises:
            NotFound: there is nothing at the address.
            UpdateError: it cannot be had, now or at all; also while the body is read.
        """
        response, url = self._opened(request)
        try:
            _expect(response, url, conditional=bool(request.validators))
            yield Answer(
                unchanged=response.status == 304,  # noqa: PLR2004 Not Modified
                validators=Validators.usable(
                    response.headers.get("etag", ""),
                    response.headers.get("last-modified", ""),
                    datetime.now(UTC),
                ),
                body=self._body(response, url),
            )
        finally:
            response.close()

    def _opened(self, request: Request) -> tuple[urllib3.BaseHTTPResponse, str]:
        """Follow redirects to where there is an answer."""
        url, credentials = request.url, request.credentials
        for _ in range(REDIRECTS + 1):
            headers = _headers(request.validators)
            if credentials is not None:
                headers["authorization"] = credentials.header()
            response = self._send(url, headers)
            location = response.headers.get("location")
            if response.status not in _REDIRECT or not location:
                return response, url
            response.close()
            before = url
            with _told(before):
                url = urljoin(before, location)
            if _origin(before) != _origin(url):
                credentials = None
            if _origin(before)[0] == "https" and _origin(url)[0] != "https":
                raise UpdateError(
                    f"{shown(before)}: expected to be redirected to https:// (got {shown(url)})"
                )
        raise UpdateError(f"{shown(request.url)}: expected at most {REDIRECTS} redirects")

    def _send(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        with _told(url):
            return self._pools(url).request(
                "GET",
                url,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=self._timeout,
            )

    def _pools(self, url: str) -> urllib3.PoolManager:
        """Return what makes connections towards an address: directly, or through a proxy."""
        scheme, host, _ = _origin(url)
        proxies = urllib.request.getproxies() if self._proxies is None else self._proxies
        through = proxies.get(scheme) or proxies.get("all")
        if not through or (self._proxies is None and urllib.request.proxy_bypass(host)):
            pools = urllib3.PoolManager(ssl_context=self._trusted)
        else:
            pools = self._proxied(through)
        pools.pool_classes_by_scheme = POOLS
        return pools

    def _proxied(self, through: str) -> urllib3.PoolManager:
        proxy = parse_url(through if "://" in through else f"http://{through}")
        if proxy.scheme not in _PORTS:
            raise UpdateError(f"expected a proxy of http:// or https:// (got {proxy.scheme}://)")
        headers = make_headers(proxy_basic_auth=proxy.auth) if proxy.auth else None
        address = proxy._replace(auth=None).url
        return urllib3.ProxyManager(
            address,
            proxy_headers=headers,
            proxy_ssl_context=self._trusted,
            ssl_context=self._trusted,
        )

    def _body(self, response: urllib3.BaseHTTPResponse, url: str) -> Iterator[bytes]:
        total = _length(response)
        digest = hashlib.md5(usedforsecurity=False)
        received = 0
        for piece in self._pieces(response, url):
            received += len(piece)
            if max(received, total or 0) > self._largest:
                raise UpdateError(f"{shown(url)}: expected at most {self._largest} bytes")
            digest.update(piece)
            self._progress(received, total)
            yield piece
        claimed = response.headers.get("content-md5", "")
        if claimed and claimed != base64.b64encode(digest.digest()).decode():
            raise UpdateError(
                f"{shown(url)}: expected what Content-MD5 says (got another checksum)",
                temporary=True,
            )

    @staticmethod
    def _pieces(response: urllib3.BaseHTTPResponse, url: str) -> Iterator[bytes]:
        while True:
            with _told(url):
                # Not read(), which waits until there is as much as it is to return.
                piece = response.read1(PIECE)
            if not piece:
                return
            yield piece


def _headers(validators: Validators) -> dict[str, str]:
    headers = {
        "user-agent": f"regiongate/{__version__}",
        "accept": "*/*",
        "accept-encoding": "identity",
    }
    if validators.etag:
        headers["if-none-match"] = validators.etag
    if validators.last_modified:
        headers["if-modified-since"] = validators.last_modified
    return headers


def _origin(url: str) -> tuple[str, str, int]:
    """Return whom an address belongs to (RFC 6454).

    Raises:
        UpdateError: it is no address of HTTP.
    """
    try:
        parsed: Url = parse_url(url)
    except LocationParseError:
        parsed = Url()
    if parsed.scheme is None or parsed.scheme not in _PORTS or not parsed.host:
        raise UpdateError(f"expected an address of http:// or https:// (got {shown(url)})")
    return parsed.scheme, parsed.host, parsed.port or _PORTS[parsed.scheme]


def _expect(response: urllib3.BaseHTTPResponse, url: str, *, conditional: bool) -> None:
    """Take no answer but the file, or that it has not changed."""
    status = response.status
    if status == 200 or (status == 304 and conditional):  # noqa: PLR2004 OK, Not Modified
        return
    if status in {404, 410}:
        raise NotFound(f"{shown(url)}: expected a file (got {status}, there is none)")
    why = _REFUSED.get(status, said(response.reason or "") or "no reason is given")
    raise UpdateError(
        f"{shown(url)}: expected a file (got {status}, {why})",
        temporary=status in _TEMPORARY,
        after=_retry_after(response),
    )


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    written = response.headers.get("retry-after")
    try:
        return max(0.0, Retry().parse_retry_after(written)) if written else None
    # Numbers of thousands of digits and dates of no calendar are not all told apart by urllib3.
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _length(response: urllib3.BaseHTTPResponse) -> int | None:
    written = response.headers.get("content-length", "")
    return int(written) if _LENGTH.fullmatch(written) else None


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turn what urllib3 raises into a sentence that does not hold the query."""
    failed: Exception | None = None
    try:
        yield
    except (HTTPError, OSError, ValueError) as error:
        failed = error
    if late := deadline.passed():
        raise UpdateError(f"{shown(url)}: expected to have all of it within {late.seconds:g} s")
    if failed is not None:
        known = isinstance(_cause(failed), ssl.SSLCertVerificationError)
        problem = f"{shown(url)}: expected an answer ({_reason(failed)})"
        raise UpdateError(problem, temporary=not known)


def _reason(error: Exception) -> str:
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {cause.verify_message}"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    # What quotes an address is not told: its query may be a signature.
    text = said(str(cause))
    return text if text and "?" not in text else type(cause).__name__


def _cause(error: BaseException) -> BaseException:
    """Return where a chain of errors begins."""
    while before := error.__cause__ or error.__context__:
        error = before
    return error
