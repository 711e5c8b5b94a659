"""What of the configuration a process goes by until it ends, so that a change needs a restart."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
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

TIMER: Final = "geo.update.every"
"""The one setting of the other sections that a process goes by until it ends, a parent as well."""


def at_start(settings: Settings) -> dict[str, Any]:
    """Return what a process that starts now goes by until it ends, section by section."""
    return _of(settings, AT_START)


def of_parent(settings: Settings) -> str:
    """Return what a parent that starts now goes by until it ends, as JSON."""
    return json.dumps(_of(settings, OF_PARENT))


def need_restart(began_with: Mapping[str, Any], now: Settings) -> tuple[str, ...]:
    """Name what has changed of that which a process looks at when it starts.

    Args:
        began_with: what it goes by; see `at_start`.
        now: the configuration as it is now.
    """
    written = at_start(now)
    return tuple(one for one in written if written[one] != began_with[one])


def _of(settings: Settings, sections: Collection[str]) -> dict[str, Any]:
    update = settings.geo.update
    every = update.every if update else None
    written = settings.model_dump(mode="json", include=set(sections))
    return written | {TIMER: every.total_seconds() if every else None}
