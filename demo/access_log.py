"""Envoy's access log, where its decisions arrive as dynamic metadata."""

import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from demo.errors import DemoError

WRITTEN_WITHIN = 5.0
"""Seconds from an answer to its line in the log."""

LOOK_AGAIN = 0.02
"""Seconds between two looks at the file."""

Entry = Mapping[str, Any]


def entries(log: Path, decisions: Collection[str]) -> dict[str, Entry]:
    """Return the entries of decisions by decision id, as soon as Envoy has written all of them.

    Args:
        log: the file.
        decisions: the ids to look for.

    Raises:
        DemoError: one was not written within WRITTEN_WITHIN.
    """
    deadline = time.monotonic() + WRITTEN_WITHIN
    while missing := set(decisions) - (found := _read(log)).keys():
        if time.monotonic() > deadline:
            raise DemoError(f"{log}: no entry for the decisions {', '.join(sorted(missing))}")
        time.sleep(LOOK_AGAIN)
    return found


def _read(log: Path) -> dict[str, Entry]:
    # What follows the last line feed is being written.
    lines = log.read_text().rpartition("\n")[0].splitlines()
    read = [json.loads(line) for line in lines]
    return {entry["decision_id"]: entry for entry in read if entry["decision_id"]}
