"""What is remembered of a store outlives every change of regiongate.yaml that is not about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from regiongate.keys.strike_counter import SharedCounter
from regiongate.runtime.files import LoadError
from regiongate.runtime.state import State
from tests.integration import deployment
from tests.integration.keys.made_up import strikes
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
    seed(f"sqlite:///{tmp_path}/others.db").close()
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


def test_a_store_that_is_missing_is_refused(tmp_path: Path) -> None:
    """At the start, as a key file is: without its keys nothing could be answered rightly."""
    config = deployment.deploy(tmp_path, keys=KEYS)
    with pytest.raises(LoadError) as refused:
        State(config)
    why = f"{tmp_path}/keys.db: expected a file that is there (No such file or directory)"
    assert refused.value.problems == (f"{config}:11: keys.store: {why}",)
    assert not (tmp_path / "keys.db").exists()


def test_a_new_store_that_is_missing_is_not_taken_over(config: Path) -> None:
    """The one before stays in force and it is said why; the new one is once it is there."""
    state = State(config)
    before = state.snapshot().keys
    config.write_bytes(deployment.settings(keys={**KEYS, "store": "sqlite:///later.db"}))
    state.reload()
    assert state.snapshot().keys is before
    later = config.parent / "later.db"
    said = f"{later}: expected a file that is there (No such file or directory)"
    assert state.problems["settings"] == f"{config}:11: keys.store: {said}"
    seed(f"sqlite:///{later}", "a").close()
    for _ in range(2):
        state.poll()
    assert state.snapshot().keys is not before
    assert state.problems["settings"] == ""


def test_a_store_that_goes_later_is_an_outage(config: Path) -> None:
    """A reload leaves it in force, and what is remembered of it; nothing makes it anew."""
    state = State(config)
    before, file = state.snapshot().keys, config.parent / "keys.db"
    file.rename(config.parent / "elsewhere.db")
    state.reload()
    assert state.snapshot().keys is before
    assert not any(state.problems.values())
    _, counter = state.background()
    assert isinstance(counter, SharedCounter)
    counter.add(strikes("a", 1)[0])
    counter.flush()
    assert counter.counted == 0
    assert not file.exists()
