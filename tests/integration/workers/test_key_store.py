"""A key store that is not there: what a start says of it, and what an operator sees."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.integration.deployment import deploy
from tests.integration.keys.test_outages import seed
from tests.integration.process import COMMAND, PATIENCE, until
from tests.integration.workers.fleet import Fleet, fleet

ERRORS = "regiongate_key_store_errors_total"
NOBODY = "redis://:a-password-of-nobody@127.0.0.1:1/0"


def keys(store: str) -> dict[str, Any]:
    """Configure a store."""
    return {"extract": [{"header": "x-api-key"}], "store": store}


def problems(running: Fleet) -> list[str]:
    """Return what an operator should look at."""
    told: list[str] = running.page("/readyz").json()["problems"]
    return told


def grows(running: Fleet) -> None:
    """Wait until more errors are counted than were, though no Check is asked."""
    before = running.sample(ERRORS)
    until(lambda: running.sample(ERRORS) > before, "errors are counted")


def test_a_start_without_the_file_of_its_store_fails(tmp_path: Path) -> None:
    """With one line that names it, and exit code 2; no file is made."""
    config = deploy(tmp_path, keys=keys("sqlite:///keys.db"))
    ended = subprocess.run(
        [*COMMAND, config], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    said = f"{tmp_path}/keys.db: expected a file that is there (No such file or directory)\n"
    assert (ended.returncode, ended.stderr) == (2, f"{config}:11: keys.store: {said}")
    assert not (tmp_path / "keys.db").exists()


def test_a_file_that_goes_is_an_outage_that_is_told(tmp_path: Path) -> None:
    """By every worker and by the metric of the alert, for as long as it lasts."""
    path, aside = tmp_path / "keys.db", tmp_path / "aside.db"
    seed(f"sqlite:///{path}", "a").close()
    with fleet(tmp_path, keys=keys("sqlite:///keys.db")) as running:
        assert problems(running) == []
        assert running.sample(ERRORS) == 0
        path.rename(aside)
        why = f"{path}: expected a file that is there (No such file or directory)"
        told = [f"worker {number}: the key store is away: {why}" for number in (0, 1)]
        until(lambda: problems(running) == told, "both tell")
        grows(running)
        assert running.page("/readyz").status == 200
        aside.rename(path)
        until(lambda: problems(running) == [], "nothing is left to tell")


def test_a_worker_that_is_started_anew_meanwhile_waits_for_the_file(tmp_path: Path) -> None:
    """It would know no key, not even a revoked one; those that remember go on instead of it."""
    path, aside = tmp_path / "keys.db", tmp_path / "aside.db"
    seed(f"sqlite:///{path}", "a").close()
    with fleet(tmp_path, keys=keys("sqlite:///keys.db")) as running:
        path.rename(aside)
        os.kill(running.workers()[0], signal.SIGKILL)
        until(lambda: "worker 0: is not running" in problems(running), "it is told")
        until(lambda: f"{path}: expected a file that is there" in running.said(), "it says why")
        assert running.page("/readyz").status == 200
        assert running.ask(1).status == 200
        aside.rename(path)
        until(lambda: running.answers(0), "it serves, and nobody has done anything for it")
        until(lambda: problems(running) == [], "nothing is left to tell")


def test_a_server_that_is_down_at_the_start_is_an_outage(tmp_path: Path) -> None:
    """It may come; until then it is told, without its password."""
    with fleet(tmp_path, keys=keys(NOBODY)) as running:
        begins = "the key store is away: redis://127.0.0.1:1/0: expected"
        until(lambda: len(problems(running)) == len(running.channels), "both tell")
        assert all(begins in problem for problem in problems(running))
        assert "a-password-of-nobody" not in running.page("/readyz").body + running.said()
        grows(running)
