"""Asking a collector: each exchange has an end in time and in size, and errors quote no address.

A time-out of requests' is one of a single read, and an answer is read to its end, so that a
collector that sends a byte now and then, or that never stops, would be listened to for ever. What
requests says of a failure holds the address, and in its query or before its host a secret may be.
"""

from __future__ import annotations

import io
from http.client import responses
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from regiongate.deadline import Deadline
from regiongate.deadline.pools import POOLS

LARGEST: Final = 1 << 16
"""Bytes of an answer; a collector says nothing, or why it did not take some of the spans."""


class Session(requests.Session):
    """Makes an exchange a connection, and ends both in time.

    Args:
        patience: seconds for an exchange, unless it is asked for with less.
    """

    def __init__(self, patience: float) -> None:
        super().__init__()
        self._patience = patience
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def request(
        self, method: str, url: str | bytes, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Ask, and return an answer that has been read.

        Raises:
            requests.ConnectionError: nothing is answered; it may be asked again.
            requests.RequestException: the answer takes too long, or is too long.
        """
        # Where it leads is read without an end; and a collector does not lead anywhere.
        told = {**kwargs, "stream": True, "allow_redirects": False}
        failed: Exception | None = None
        with Deadline(kwargs.get("timeout", self._patience)) as deadline:
            try:
                return _read(super().request(method, url, *args, **told), deadline)
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                failed = error
            finally:
                # The next one has a connection of its own, which its own deadline cuts.
                self.close()
        whom = _shown(str(url))
        if deadline.passed:
            raise requests.RequestException(f"{whom}: expected the whole answer sooner")
        if isinstance(failed, _TooLongError):
            raise requests.RequestException(f"{whom}: expected at most {LARGEST} bytes of answer")
        raise requests.ConnectionError(f"{whom}: expected an answer ({_reason(failed)})")


class _TooLongError(ValueError):
    pass


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = POOLS
        return manager


def _read(response: requests.Response, deadline: Deadline) -> requests.Response:
    """Read an answer; a connection that is cut may look like its end."""
    body = response.raw.read(LARGEST + 1, decode_content=False)
    response.raw.close()
    if deadline.passed:
        raise TimeoutError
    if len(body) > LARGEST:
        raise _TooLongError
    response.raw = io.BytesIO(body)
    # It is logged, and what a server says may be what it was asked.
    response.reason = responses.get(response.status_code, "no reason that is known")
    return response


def _shown(url: str) -> str:
    """Return whom an address leads to, without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _reason(error: BaseException | None) -> str:
    """Say in the system's words why there is no answer, or in none but the kind of error."""
    while error is not None and (before := error.__cause__ or error.__context__):
        error = before
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
