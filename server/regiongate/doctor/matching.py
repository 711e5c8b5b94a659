"""Which texts an Envoy StringMatcher lets through.

No regular expression of a configuration is run: it may take for ever, and Envoy's are not Python's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from regiongate.doctor.tree import Node

_PLAIN: Final = re.compile(r"(?=.)([A-Za-z0-9_-]*)(\.\*)?")
"""Regular expressions that mean what they look like: a name, or how names begin."""


def lists(matchers: Node, text: str) -> bool | None:
    """Say whether a ListStringMatcher matches; None where that cannot be told.

    Args:
        matchers: the ListStringMatcher.
        text: in lower case, as the names of headers are.
    """
    found = [_matches(one, text) for one in matchers["patterns"]]
    return True if True in found else None if None in found else False


def _matches(matcher: Node, text: str) -> bool | None:
    insensitive = matcher["ignore_case"].on
    for name, test in _TESTS.items():
        if matcher[name]:
            wanted = matcher[name].text
            return test(text, wanted.lower() if insensitive else wanted)
    plain = _PLAIN.fullmatch(matcher.at("safe_regex", "regex").text)
    if not plain:
        return None
    return text.startswith(plain[1]) if plain[2] else text == plain[1]


_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "exact": lambda text, wanted: text == wanted,
    "prefix": lambda text, wanted: text.startswith(wanted),
    "suffix": lambda text, wanted: text.endswith(wanted),
    "contains": lambda text, wanted: wanted in text,
}
