"""Findings about a place in an Envoy configuration, one word each."""

from __future__ import annotations

from regiongate.doctor.finding import Finding, Severity
from regiongate.doctor.tree import Node


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
