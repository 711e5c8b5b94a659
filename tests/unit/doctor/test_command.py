"""The command: what it asks, what it refuses, and the snippet that it ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from regiongate.cli import doctor as command
from regiongate.cli import main
from regiongate.doctor.observation import Addresses, Observation
from regiongate.runtime.inquiry import InquiryError
from tests.unit.doctor.wirings import ROOT

CONFIG = ROOT / "demo" / "regiongate.yaml"
ENVOY = ROOT / "envoy" / "envoy.yaml"
NOBODY = "127.0.0.1:1"

WELL = Observation(
    recent=100,
    checks=100,
    peers=Addresses(kinds={"private": 100}, distinct=2),
    clients=Addresses(kinds={"public": 100}, distinct=37, most={"8.8.8.8": 9}),
    entries={"2": 100},
    appended=100,
    metadata={"1": 100},
    keys={"one": 100},
)


def doctor(*arguments: str | Path, config: Path = CONFIG) -> Result:
    told = ["doctor", "-c", str(config), *map(str, arguments)]
    return CliRunner().invoke(main, told)


@pytest.mark.parametrize("name", ["policy.yaml", "regiongate.yaml"])
def test_a_file_of_our_own_is_not_envoys(name: str) -> None:
    """It is refused in a sentence with its name and what was expected."""
    given = ROOT / "demo" / name
    result = doctor("--envoy", given)
    assert result.exit_code == 2
    assert f"{given}:1: " in result.stderr
    assert (
        "expected an Envoy configuration (static_resources, listeners, …) or the answer of"
        " /config_dump (got neither)"
    ) in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def configured(folder: Path) -> Path:
    """Write a configuration that has an admin address."""
    text = CONFIG.read_text().replace("policy: ", f"policy: {CONFIG.parent}/")
    config = folder / "regiongate.yaml"
    config.write_text(text.replace("listen:", "listen:\n  admin: 127.0.0.1:9192", 1))
    return config


def test_a_service_that_does_not_answer_was_asked(tmp_path: Path) -> None:
    """The address in the configuration is proposed where it is another."""
    config = configured(tmp_path)
    result = doctor("--admin", f"http://{NOBODY}", "--envoy", ENVOY, config=config)
    printed = " ".join(result.stdout.split())
    assert result.exit_code == 1
    assert f"{NOBODY}: nobody answers" in printed
    assert "was not asked" not in printed
    assert "ask the running service" not in printed
    assert "--admin http://127.0.0.1:9192 # listen.admin" in printed


def _unanswered(address: str, _: str) -> Any:
    raise InquiryError(f"{address}: nobody answers")


def _answered(_: str, __: str) -> Any:
    return WELL.written()


SNIPPETS = {"measured": (_answered, 1), "not measured": (_unanswered, 0)}


@pytest.mark.parametrize(("ask", "hops"), SNIPPETS.values(), ids=SNIPPETS)
def test_the_snippet_keeps_hops_that_are_fine(
    ask: Any, hops: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Envoy's own number; where it was not held against anything, none is claimed."""
    monkeypatch.setattr(command, "ask", ask)
    result = doctor("--envoy", ENVOY, config=configured(tmp_path))
    assert result.stdout.count(f"xff_num_trusted_hops: {hops}   # the number of your own") == 1
