"""Named lists of countries and subdivisions, and whether a place lies in one.

Pure: lists arrive already read and checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from regiongate.countries import country_of
from regiongate.facts import Key, Source


@dataclass(frozen=True, slots=True)
class RegionList:
    """A set of ISO 3166-1 alpha-2 (and XK) and ISO 3166-2 codes.

    A subdivision lies in the list when its own code or its country's does.

    Attributes:
        codes: what lies in the list.
        without: subdivisions that do not, although their country does.
    """

    codes: frozenset[str]
    without: frozenset[str] = frozenset()

    def contains(self, source: Source) -> bool:
        """Say whether a source lies in the list; an unknown country never does."""
        return _covers(self.codes, source) and not _covers(self.without, source)


def permits(key: Key, source: Source) -> bool:
    """Say whether a key may be used where the source is.

    A denied country counts before an allowed one. A key with a list of allowed countries may not
    be used from an unknown country; one with denied countries alone may.
    """
    if _covers(key.denied_countries, source):
        return False
    return not key.restricted or _covers(key.allowed_countries, source)


def narrow(outer: frozenset[str], inner: frozenset[str]) -> frozenset[str]:
    """Return the places that lie in both lists, keeping the narrower code of each pair."""

    def within(codes: Iterable[str], others: frozenset[str]) -> set[str]:
        return {code for code in codes if code in others or country_of(code) in others}

    return frozenset(within(inner, outer) | within(outer, inner))


def _covers(codes: frozenset[str] | Sequence[str], source: Source) -> bool:
    return bool(source.country) and (
        source.country in codes or any(region in codes for region in source.regions)
    )
