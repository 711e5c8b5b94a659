"""The report of `regiongate doctor`, for people.

What a configuration says comes from others: it is shown without what a terminal would obey.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import click

from regiongate.doctor.finding import Finding, Severity
from regiongate.printable import printable

_COLOURS: Final = {
    Severity.WRONG: "red",
    Severity.WARNING: "yellow",
    Severity.UNKNOWN: "cyan",
    Severity.FINE: "green",
}
_WIDTH: Final = 100
_MARGIN: Final = " " * 9
_PLACES: Final = 4
"""Places that are shown of a finding that was made in many."""


def report(found: Sequence[Finding], snippet: str) -> str:
    """Write the report.

    Args:
        found: the findings, the worst first.
        snippet: what Envoy needs for the configured source of the client's address.
    """
    alike: dict[tuple[Severity, str, str], list[str]] = {}
    for one in found:
        kind = one.severity, printable(one.what), _lines(one.instead)
        places = alike.setdefault(kind, [])
        places += [printable(str(one.place))] if one.place else []
    lines = [line for kind, places in alike.items() for line in _finding(*kind, places)]
    counts = Counter(severity for severity, _, _ in alike)
    summary = ", ".join(_counted(counts[severity], severity) for severity in Severity)
    heading = "What Envoy needs for the configured source of the client's address:"
    return "\n".join([*lines, summary, "", heading, "", textwrap.indent(_lines(snippet), "    ")])


def _counted(count: int, severity: Severity) -> str:
    """Count warnings; the others are words that have no plural."""
    return f"{count} {severity}{'s' * (severity is Severity.WARNING and count != 1)}"


def _finding(severity: Severity, what: str, instead: str, places: list[str]) -> Iterator[str]:
    label = click.style(f"{severity:<9}", fg=_COLOURS[severity], bold=severity is Severity.WRONG)
    yield label + _wrapped(what).lstrip()
    if severity is Severity.FINE:
        return
    for place in places[:_PLACES]:
        yield f"{_MARGIN}at {place}"
    if len(places) > _PLACES:
        yield f"{_MARGIN}and in {len(places) - _PLACES} other places"
    if instead:
        yield f"{_MARGIN}{'to know:' if severity is Severity.UNKNOWN else 'write instead:'}"
        yield textwrap.indent(instead, f"{_MARGIN}    ")
    yield ""


def _lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=_MARGIN, subsequent_indent=_MARGIN, break_long_words=False
    )
