"""What of the configuration a process goes by until it ends, so that a change needs a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from regiongate.runtime.config import Settings

AT_START: Final = (
    "listen",
    "engine",
    "tls",
    "decision_log",
    "limits",
    "metrics",
    "tracing",
    "shutdown",
)
"""The sections of regiongate.yaml that a process goes by until it ends."""

OF_PARENT: Final = ("listen", "shutdown")
"""Those that the parent of several processes goes by until it ends."""


def at_start(settings: Settings) -> dict[str, Any]:
    """Return what a process that starts now goes by until it ends, section by section."""
    return settings.model_dump(mode="json", include=set(AT_START))


def of_parent(settings: Settings) -> str:
    """Return what a parent that starts now goes by until it ends, as JSON."""
    return settings.model_dump_json(include=set(OF_PARENT))


def need_restart(began_with: Mapping[str, Any], now: Settings) -> tuple[str, ...]:
    """Name the sections that have changed and that a process looks at when it starts.

    Args:
        began_with: what it goes by; see `at_start`.
        now: the configuration as it is now.
    """
    written = at_start(now)
    return tuple(one for one in AT_START if written[one] != began_with[one])
