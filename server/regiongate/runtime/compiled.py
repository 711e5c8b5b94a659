"""Whether the way of a Check was compiled; see deploy/compile.py."""

from __future__ import annotations

from regiongate.extauthz import wire


def is_compiled() -> bool:
    """Say whether Checks pass through C rather than through the interpreter."""
    return not wire.__file__.endswith(".py")
