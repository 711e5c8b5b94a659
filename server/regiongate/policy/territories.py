"""Territories that a reader takes for part of a country, and that ISO 3166-1 codes on their own.

A database says IM for the Isle of Man, never GB; a list that means both has to say both. The table
is of ISO 3166-1's own codes, by the country that ISO's online browsing platform says each is
dependent on or part of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TERRITORIES: Final[Mapping[str, frozenset[str]]] = {
    country: frozenset(codes.split())
    for country, codes in {
        "AU": "CC CX HM NF",
        "CN": "HK MO",
        "DK": "FO GL",
        "FI": "AX",
        "FR": "BL GF GP MF MQ NC PF PM RE TF WF YT",
        "GB": "AI BM FK GG GI GS IM IO JE KY MS PN SH TC VG",
        "NL": "AW BQ CW SX",
        "NO": "BV SJ",
        "NZ": "CK NU TK",
        "US": "AS GU MP PR UM VI",
    }.items()
}
"""The codes of a country's territories, by the country's code."""
