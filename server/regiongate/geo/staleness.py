"""What becomes of an answer when the database behind it has grown too old.

Nothing here reads a clock by itself or opens a database.
"""

from collections.abc import Callable
from datetime import datetime

from regiongate.address import ClientAddress
from regiongate.facts import Source
from regiongate.geo.locate import Locator

_LOCATED = "located"
_UNKNOWN = "unknown"


class UnknownWhenStale:
    """Answers as a locator does until its database is too old, and then knows no country.

    Args:
        locator: what answers.
        until: the moment from which the database is too old.
        clock: returns the time, with an offset from UTC.
    """

    def __init__(self, locator: Locator, until: datetime, clock: Callable[[], datetime]) -> None:
        self._locator = locator
        self._until = until
        self._clock = clock

    def locate(self, client: ClientAddress) -> Source:
        """Locate a client; once the database is too old, every located one is unknown."""
        source = self._locator.locate(client)
        if source.status == _LOCATED and self._clock() >= self._until:
            return Source(address=source.address, status=_UNKNOWN)
        return source
