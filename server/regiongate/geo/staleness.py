"""What becomes of an answer when the database behind it has grown too old.

Nothing here reads a clock by itself or opens a database.
"""

from collections.abc import Callable
from datetime import datetime

from regiongate.address import ClientAddress
from regiongate.facts import Located, Source
from regiongate.geo.locate import Locator

_LOCATED = "located"
_UNKNOWN = Source(status="unknown").SerializeToString()


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

    def locate(self, client: ClientAddress) -> Located:
        """Locate a client; once the database is too old, every located one is unknown."""
        located = self._locator.locate(client)
        if self._clock() < self._until or located.source.status != _LOCATED:
            return located
        return Located(located.address, "", _UNKNOWN)
