"""What docs/operations.md says of Envoy's settings is what the shipped configuration has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from regiongate.runtime.config.settings import Shutdown
from regiongate.telemetry import metrics

ROOT = Path(__file__).parents[3]
NAMED = re.compile(r"`(regiongate_\w+)`")


def health_check() -> dict[str, Any]:
    """Return how Envoy asks for RegionGate's health."""
    envoy = yaml.safe_load((ROOT / "envoy" / "envoy.yaml").read_text())
    (cluster,) = (
        one for one in envoy["static_resources"]["clusters"] if one["name"] == "regiongate"
    )
    (found,) = cluster["health_checks"]
    return dict(found)


def seconds(duration: str) -> float:
    """Read a duration of Envoy's."""
    return float(duration.removesuffix("s"))


def test_the_settings_that_bound_how_long_a_worker_is_left_out_are_as_shipped() -> None:
    """The table of what an operator waits for, and that a stop is announced for long enough."""
    page = (ROOT / "docs" / "operations.md").read_text()
    found = health_check()
    interval, timeout = seconds(found["interval"]), seconds(found["timeout"])
    ill, well = found["unhealthy_threshold"], found["healthy_threshold"]
    for name, times in ("unhealthy", ill), ("healthy", well):
        settings = f"| `{name}_threshold` times `interval`, and `timeout`"
        assert f"{settings} | {times} times {interval:g} s, and {timeout:g} s |" in page
    assert f"| `no_traffic_interval` | {seconds(found['no_traffic_interval']):g} s |" in page
    assert f"{interval + timeout:g} s as `envoy/envoy.yaml` has them" in page
    assert "unhealthy_interval" not in found
    assert Shutdown().notice.total_seconds() >= interval * ill


def test_every_metric_is_documented_and_no_other() -> None:
    """By the name that Prometheus shows."""
    named = set(NAMED.findall((ROOT / "docs" / "operations.md").read_text()))
    shown = {
        *(f"{one.name}_total" for one in metrics.COUNTERS),
        *(one.name for one in (*metrics.HISTOGRAMS, *metrics.GAUGES)),
    }
    assert named == shown
