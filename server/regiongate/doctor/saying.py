"""Findings about a place in an Envoy configuration, one word each, and when fine may be said.

What is not understood is never fine: a check that meets it ends as unknown (`careful`), and what is
fine only as a whole is said where nothing at all was found against it (`otherwise`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import ParamSpec

from regiongate.doctor.finding import Finding, Severity
from regiongate.doctor.tree import Node, UnclearError
from regiongate.documents import spell

P = ParamSpec("P")


def wrong(name: str, node: Node, what: str, instead: str = "") -> Finding:
    """Say that something is wrong at a place."""
    return Finding(Severity.WRONG, name, what, instead, node.place)


def warning(name: str, node: Node, what: str, instead: str = "") -> Finding:
    """Say that something may be meant, or may cost."""
    return Finding(Severity.WARNING, name, what, instead, node.place)


def unknown(name: str, node: Node, what: str, instead: str = "") -> Finding:
    """Say that something cannot be told from what was given."""
    return Finding(Severity.UNKNOWN, name, what, instead, node.place)


def fine(name: str, node: Node, what: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(Severity.FINE, name, what, place=node.place)


def doubted(found: Iterable[Finding]) -> Iterator[Finding]:
    """Leave out what is fine."""
    return (one for one in found if one.severity is not Severity.FINE)


def otherwise(found: Iterable[Finding], as_it_should_be: Finding) -> Iterator[Finding]:
    """Yield what was found or, where that is nothing, that it is fine."""
    listed = [*found]
    yield from listed or [as_it_should_be]


def careful(check: Callable[P, Iterator[Finding]]) -> Callable[P, Iterator[Finding]]:
    """Have a check say unknown of the first value that it does not understand, and nothing fine."""

    @wraps(check)
    def checked(*args: P.args, **kwargs: P.kwargs) -> Iterator[Finding]:
        found: list[Finding] = []
        try:
            found.extend(check(*args, **kwargs))
        except UnclearError as error:
            yield from doubted(found)
            yield _unclear(error)
        else:
            yield from found

    return checked


def _unclear(error: UnclearError) -> Finding:
    path = error.node.path
    name = spell(path[-2:] if path and isinstance(path[-1], int) else path[-1:])
    told = f"{name or 'the configuration'} is not understood: {error}"
    return unknown("not-understood", error.node, f"{told}; what follows from it is not known")
