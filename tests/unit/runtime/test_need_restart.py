"""Which changes of regiongate.yaml a running process takes over, and which it says it does not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from regiongate.runtime import config
from regiongate.runtime.config import Settings
from regiongate.runtime.lasting import AT_START, OF_PARENT, TIMER, at_start, need_restart, of_parent
from regiongate.runtime.state import State
from tests.integration.deployment import deploy, settings

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
    assert need_restart(at_start(before), now) == (() if section in TAKEN_OVER else (section,))
    assert need_restart(at_start(now), now) == ()


def test_the_time_between_two_updates_is_named_alone(tmp_path: Path) -> None:
    """What else is said of databases is taken over, their sources among it."""
    update = {"sources": {"country.mmdb": "dbip-country-lite"}}
    told = {
        every: written(
            tmp_path,
            geo={
                "country": "country.mmdb",
                "update": {**update, **({"every": every} if every else {})},
            },
        )
        for every in ("", "1h", "24h")
    }
    for before, now in itertools.permutations(told.values(), 2):
        assert need_restart(at_start(before), now) == (TIMER,)
    assert need_restart(at_start(told["1h"]), told["1h"]) == ()


@pytest.mark.parametrize("section", OF_PARENT)
def test_a_worker_that_starts_later_says_what_its_parent_does_not_go_by(
    section: str, tmp_path: Path
) -> None:
    """It has read the file that its parent has not."""
    path = deploy(tmp_path)
    parents = of_parent(config.read(path))
    assert State(path, parents=parents).need_restart == ()
    deploy(tmp_path, **{section: CHANGED[section]})
    assert State(path, parents=parents).need_restart == (section,)
    assert State(path).need_restart == ()
