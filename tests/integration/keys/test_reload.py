"""What is remembered of a store outlives every change of regiongate.yaml that is not about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from regiongate.runtime.state import State
from tests.integration import deployment
from tests.integration.keys.test_outages import seed

pytestmark = pytest.mark.usefixtures("unrehearsed")

KEYS: Mapping[str, Any] = {"extract": [{"header": "x-api-key"}], "store": "sqlite:///keys.db"}
ELSEWHERE: dict[str, dict[str, Any]] = {
    "another section": {"keys": KEYS, "on_error": "defer"},
    "where keys are": {"keys": {**KEYS, "extract": [{"header": "x-other"}]}},
    "the pepper": {"keys": {**KEYS, "pepper_file": "given-pepper"}},
}
ABOUT_IT: dict[str, dict[str, Any]] = {
    "another store": {"keys": {**KEYS, "store": "sqlite:///others.db"}},
    "the cache": {"keys": {**KEYS, "cache": {"size": 10}}},
    "look-ups": {"keys": {**KEYS, "lookup": {"deadline": "80ms"}}},
    "outages": {"keys": {**KEYS, "on_store_error": "deny"}},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a store."""
    (tmp_path / "given-pepper").write_text("pepper-of-a-reload")
    seed(f"sqlite:///{tmp_path}/keys.db", "a").close()
    return deployment.deploy(tmp_path, keys=KEYS)


@pytest.mark.parametrize("changes", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_cache_is_kept(config: Path, changes: dict[str, Any]) -> None:
    """And so is the work beside it: nobody's key has to be looked up again."""
    state = State(config)
    before, background = state.snapshot(), state.background()
    config.write_bytes(deployment.settings(**changes))
    state.reload()
    after = state.snapshot()
    assert after is not before
    assert after.keys is before.keys
    assert state.background() == background


@pytest.mark.parametrize("changes", ABOUT_IT.values(), ids=ABOUT_IT)
def test_a_cache_is_made_anew(config: Path, changes: dict[str, Any]) -> None:
    """What it was made of has changed."""
    state = State(config)
    before = state.snapshot()
    config.write_bytes(deployment.settings(**changes))
    state.reload()
    assert state.snapshot().keys is not before.keys
