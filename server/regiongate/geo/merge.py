"""Makes one Location of what several databases say.

Pure. Nothing here knows which databases they are.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar

from regiongate.geo.layouts import Location

Value = TypeVar("Value")


@lru_cache(maxsize=16384)
def merge(country: tuple[Location, ...], others: tuple[Location, ...]) -> Location:
    """Return for each field what the first database that knows it says.

    A database that names another country is not heard about the place, nor one that names another
    AS number about the organisation: the parts of an answer fit together.

    Args:
        country: What the databases of countries say, the most trusted first. Only they say where.
        others: What the databases of anything else say, likewise; heard before those of countries.
    """
    code = _first((location.country for location in country), "")
    place = [location for location in country if location.country == code]
    every = (*others, *country)
    number = _first((location.asn for location in every), 0)
    return Location(
        country=code,
        regions=_first((location.regions for location in place), ()),
        continent=_first((location.continent for location in place), ""),
        registered_country=_first((location.registered_country for location in country), ""),
        asn=number,
        as_org=_first((location.as_org for location in every if location.asn == number), ""),
        anonymous=any(location.anonymous for location in every),
        vpn=any(location.vpn for location in every),
        tor=any(location.tor for location in every),
        hosting=any(location.hosting for location in every),
        proxy=any(location.proxy for location in every),
    )


def _first(values: Iterable[Value], unknown: Value) -> Value:
    return next((value for value in values if value), unknown)
