"""Which texts an Envoy StringMatcher lets through."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from regiongate.doctor.tree import Node


def lists(matchers: Node, text: str) -> bool | None:
    """Say whether a ListStringMatcher matches; None where that cannot be told.

    Args:
        matchers: the ListStringMatcher.
        text: in lower case, as the names of headers are.
    """
    found = [_matches(one, text) for one in matchers["patterns"]]
    return True if True in found else None if None in found else False


def _matches(matcher: Node, text: str) -> bool | None:
    for name, test in _TESTS.items():
        if matcher[name]:
            wanted = matcher[name].text
            return test(text, wanted.lower() if matcher["ignore_case"].on else wanted)
    regex = matcher.at("safe_regex", "regex").text
    try:
        # RE2's language is close enough to Python's for the names of headers.
        return re.fullmatch(regex, text) is not None if regex else None
    except re.error:
        return None


_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "exact": lambda text, wanted: text == wanted,
    "prefix": lambda text, wanted: text.startswith(wanted),
    "suffix": lambda text, wanted: text.endswith(wanted),
    "contains": lambda text, wanted: wanted in text,
}
