"""The dashboard and the alert rules ask for what is exported, and for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from regiongate.telemetry import metrics

DEPLOY = Path(__file__).parents[3] / "deploy"
OURS = re.compile(r"(regiongate_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
FROM_PROMETHEUS = {"instance"}


def dashboard() -> Iterator[str]:
    """Yield every query of the dashboard."""
    board = json.loads((DEPLOY / "grafana" / "regiongate.json").read_text())
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (one["query"] for one in board["templating"]["list"] if one["type"] == "query")


def alerts() -> Iterator[str]:
    """Yield every condition of the alert rules."""
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


QUERIES = [*dashboard(), *alerts()]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_what_is_exported(query: str) -> None:
    """Every metric in it is there, and has every label that the query selects or groups by."""
    exported = metrics.exported()
    asked = OURS.findall(query)
    assert asked
    known = FROM_PROMETHEUS.union(*(exported[name] for name, _ in asked))
    for name, selected in asked:
        assert set(LABEL.findall(selected)) <= FROM_PROMETHEUS | set(exported[name]), name
    grouped = {label.strip() for group in GROUPED.findall(query) for label in group.split(",")}
    assert grouped <= known


def test_what_an_alert_is_about_has_a_panel() -> None:
    """Who is woken can see since when, and how much."""
    shown, woken = (
        {name for query in queries for name, _ in OURS.findall(query)}
        for queries in (dashboard(), alerts())
    )
    assert sorted(woken - shown) == []


def test_panels_lie_beside_each_other() -> None:
    """Each has a number and a place of its own."""
    panels = json.loads((DEPLOY / "grafana" / "regiongate.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)


def test_every_metric_is_asked_for() -> None:
    """What nobody looks at need not be counted."""
    asked = {name for query in QUERIES for name, _ in OURS.findall(query)}
    families = {*metrics.COUNTERS, *metrics.HISTOGRAMS, *metrics.GAUGES}
    assert [
        one.name for one in families if not any(name.startswith(one.name) for name in asked)
    ] == []
