"""The codes a policy, a key and a database may speak in: ISO 3166-1 alpha-2, XK, and ISO 3166-2.

The table is pycountry's. Nothing here knows where a code came from or what it is used for.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import orjson
import pycountry

KOSOVO: Final = "XK"
"""User-assigned, not in ISO 3166-1, but the code that every database uses for Kosovo."""


@cache
def countries() -> frozenset[str]:
    """Return every country code: ISO 3166-1 alpha-2 and XK, in capitals."""
    return frozenset(country["alpha_2"] for country in _table("3166-1")) | {KOSOVO}


@cache
def subdivisions() -> frozenset[str]:
    """Return every ISO 3166-2 subdivision code, for instance UA-43, in capitals."""
    return frozenset(subdivision["code"] for subdivision in _table("3166-2"))


def is_code(code: str) -> bool:
    """Say whether a code names a country or a subdivision of one, in capitals."""
    return code in (subdivisions() if "-" in code else countries())


def meant(code: str) -> str:
    """Suggest the code that something else was most likely meant for.

    Returns:
        What an error message ends with; nothing where there is no suggestion.
    """
    if code == "EU":
        return "; list the countries of the European Union one by one"
    upper = code.strip().upper()
    longer = {country["alpha_3"]: country["alpha_2"] for country in _table("3166-1")}
    for close in (upper, _MISTAKEN.get(upper, ""), longer.get(upper, "")):
        if close != code and is_code(close):
            return f"; did you mean {close}?"
    return ""


_RESERVED: Final = {"UK": "GB", "EL": "GR", "FX": "FR", "SU": "RU"}
"""Reserved in ISO 3166-1 for those who use them: the European Union writes EL, and wrote UK."""
_WITHDRAWN: Final = {"BU": "MM", "DD": "DE", "TP": "TL", "YD": "YE", "ZR": "CD"}
"""Codes that those of one country have come after."""
_SAID: Final = {"EN": "GB", "ENG": "GB", "JA": "JP", "KV": "XK", "UAE": "AE", "XKX": "XK"}
"""Codes of languages, and what people write."""
_MISTAKEN: Final = {**_RESERVED, **_WITHDRAWN, **_SAID}


def country_of(code: str) -> str:
    """Return the country part of a code: UA for UA-43, and UA for UA."""
    return code.partition("-")[0]


def _table(standard: str) -> Iterable[Mapping[str, str]]:
    # Through the classes of pycountry it takes ten times as long, and 8 MB that nobody needs.
    content = files(pycountry).joinpath("databases", f"iso{standard}.json").read_bytes()
    table: Iterable[Mapping[str, str]] = orjson.loads(content)[standard]
    return table
