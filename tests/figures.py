"""A pytest plugin: what tests have measured stands at the end of a run.

The tests in FOLDERS print their figures. Pytest keeps what a test prints to itself when it passes,
and with several processes no option lets it through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import pytest

FOLDERS: Final = tuple(
    f"tests/integration/{name}/" for name in ("faults", "keys", "telemetry", "workers")
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures of the tests that have passed; of others everything is shown anyway."""
    if measured := list(figures(terminalreporter.stats.get("passed", ()))):
        terminalreporter.section("figures")
        for line in measured:
            terminalreporter.line(line)


def figures(passed: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Yield the lines that the tests in FOLDERS have printed, each after the name of its test."""
    for report in passed:
        if report.nodeid.startswith(FOLDERS):
            for line in filter(None, report.capstdout.splitlines()):
                yield f"{report.location[2]}: {line}"
