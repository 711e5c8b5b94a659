"""Which changes of regiongate.yaml a running process takes over, and which it says it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regiongate.runtime import config
from regiongate.runtime.config import Settings
from regiongate.runtime.state import AT_START, need_restart
from tests.integration.deployment import settings

TAKEN_OVER = {"client_address", "geo", "keys", "policy", "on_error"}

CHANGED: dict[str, Any] = {
    "listen": {"grpc": ["127.0.0.1:9999"]},
    "engine": "grpcio",
    "tls": {"cert": "c.pem", "key": "k.pem"},
    "decision_log": {"path": "-"},
    "limits": {"calls": 7},
    "metrics": {"countries": True},
    "tracing": {"endpoint": "http://127.0.0.1:4318/v1/traces"},
    "shutdown": {"notice": "1s"},
    "client_address": {"source": "envoy"},
    "geo": {"country": "other.mmdb"},
    "keys": {"extract": []},
    "policy": "other.yaml",
    "on_error": "defer",
}


def written(folder: Path, **changes: Any) -> Settings:
    """Read a configuration with changes."""
    file = folder / "regiongate.yaml"
    file.write_bytes(settings(**changes))
    return config.read(file)


def test_every_section_is_one_or_the_other() -> None:
    """Who adds a section says which."""
    assert Settings.model_fields.keys() == {*AT_START} | TAKEN_OVER == CHANGED.keys()
    assert not {*AT_START} & TAKEN_OVER


@pytest.mark.parametrize("section", CHANGED)
def test_a_change_that_is_not_taken_over_is_named(section: str, tmp_path: Path) -> None:
    """By its section, and no other."""
    before, now = written(tmp_path), written(tmp_path, **{section: CHANGED[section]})
    assert now != before
    assert need_restart(before, now) == (() if section in TAKEN_OVER else (section,))
    assert need_restart(now, now) == ()
