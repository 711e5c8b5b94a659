"""What sources ask of the web, and what they are answered: values, and no way to get them.

Nothing here opens a connection; `fetch` does.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from regiongate.geo.update.errors import UpdateError
from regiongate.printable import printable

LONGEST_ETAG: Final = 256
"""Characters; most tags are a digest or less."""
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_SHOWN: Final = 300
"""Characters of what others said."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and password, for Basic authentication (RFC 7617).

    Attributes:
        password: no part of what is shown of this.

    Raises:
        UpdateError: the password is empty, or has what no header may.
    """

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not (self.password.isascii() and self.password.isprintable() and self.password.strip()):
            raise UpdateError("expected a licence key of visible characters on one line")

    def header(self) -> str:
        """Return the value of Authorization."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells whether a file on the web has changed (RFC 9110, section 8.8)."""

    etag: str = ""
    last_modified: str = ""

    @classmethod
    def usable(cls, etag: str, last_modified: str, now: datetime) -> Self:
        """Return those that may be sent back, of what a server sent.

        What it sends once it is asked with from then on. An entity tag that no server would read
        ends every later update; at a date that has yet to come, nothing would have changed since.

        Args:
            etag: as it was sent; empty for none.
            last_modified: likewise.
            now: the current time.
        """
        return cls(
            etag if len(etag) <= LONGEST_ETAG and etag.isascii() and etag.isprintable() else "",
            last_modified if _has_come(last_modified, now) else "",
        )

    def __bool__(self) -> bool:
        return bool(self.etag or self.last_modified)


def _has_come(text: str, now: datetime) -> bool:
    """Say whether a text is a date of HTTP (RFC 9110, section 5.6.7), and not a future one."""
    try:
        # The form that servers must send; strptime also takes digits of other scripts.
        moment = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return False
    return text.isascii() and text.isprintable() and moment <= now + _CLOCK_TOLERANCE


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes:
        validators: of what is there already, which is then not sent again.
        credentials: for the host of the address, and for no other it may redirect to.
    """

    url: str
    validators: Validators = Validators()
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered.

    Attributes:
        unchanged: what the request's validators stand for is still current; there is no body.
        body: in pieces, as they arrive.
    """

    unchanged: bool
    validators: Validators
    body: Iterator[bytes]


Get = Callable[[Request], AbstractContextManager[Answer]]
"""The port: asks, and lends the answer. Raises UpdateError, of which NotFound is one."""


def shown(url: str) -> str:
    """Return an address without its query, in which a signature may stand."""
    return said(url.partition("?")[0])


def said(text: str) -> str:
    """Return what a server said as one line, not too long, that can be logged and shown."""
    return printable(" ".join(text.split()))[:_SHOWN]
