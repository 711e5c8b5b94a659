"""Why a database is not updated. Messages are one line, and hold neither secrets nor queries."""

from __future__ import annotations


class UpdateError(Exception):
    """A database that is not updated; the one in use stays.

    Args:
        message: why.
        temporary: whether another attempt may succeed.
        after: seconds that the server asks to be left alone for; None if it does not say.
    """

    def __init__(
        self, message: str, *, temporary: bool = False, after: float | None = None
    ) -> None:
        super().__init__(message)
        self.temporary = temporary
        self.after = after


class NotFound(UpdateError):  # noqa: N818 a state of the server's that a source may expect
    """There is nothing at an address."""
