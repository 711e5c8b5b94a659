"""/wiring, and `regiongate doctor` that asks for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from regiongate.cli import main
from tests.integration.deployment import FRANCE, GERMANY, PLAIN, deploy, question
from tests.integration.process import until
from tests.integration.workers.fleet import Fleet, fleet

EACH = 12
ROOT = Path(__file__).parents[3]
ENVOY = ROOT / "envoy" / "envoy.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the configuration."""
    return tmp_path_factory.mktemp("wiring")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Fleet]:
    """Two workers, each asked by two clients."""
    with fleet(folder) as started:
        for worker in (0, 1):
            for client in [FRANCE, GERMANY] * (EACH // 2):
                started.ask(worker, question(client, PLAIN))
        until(lambda: wiring(started)["recent"] == 2 * EACH, "all are told of")
        yield started


def wiring(of: Fleet) -> Any:
    return of.page("/wiring").json()


def doctor(folder: Path, *arguments: str | Path) -> Result:
    told = ["doctor", "-c", folder / "regiongate.yaml", *arguments]
    return CliRunner().invoke(main, [str(one) for one in told])


def test_all_workers_are_told_of_together(running: Fleet) -> None:
    """Numbers are added; addresses are cut off, as nobody keeps a decision log."""
    told = wiring(running)
    assert (told["source"], told["shown"], told["checks"]) == ("peer", "truncated", 2 * EACH)
    assert told["clients"] == {
        "kinds": {"public": 2 * EACH},
        "distinct": 2,
        "most": {"5.39.0.0": EACH, "5.1.0.0": EACH},
    }
    assert (told["same"], told["keys"]) == (2 * EACH, {"one": 2 * EACH})


def test_a_changed_source_of_the_address_is_told_of_from_the_start(tmp_path: Path) -> None:
    """Once it is in force nothing of the Checks that were judged by the one before it is left."""
    with fleet(tmp_path, client_address={"source": "envoy"}) as started:
        started.ask(0, question(FRANCE))
        until(lambda: wiring(started)["recent"] == 1, "it is told of")
        assert wiring(started)["problems"]
        config = tmp_path / "regiongate.yaml"
        config.write_text(config.read_text().replace("source: envoy", "source: peer"))
        until(lambda: wiring(started)["recent"] == 0, "the new source is in force")
        assert (wiring(started)["source"], wiring(started)["problems"]) == ("peer", {})
        started.ask(0, question(FRANCE))
        until(lambda: wiring(started)["same"] == 1, "it is told of")
        assert (wiring(started)["checks"], wiring(started)["problems"]) == (2, {})


def test_no_key_and_no_whole_address_is_told(running: Fleet) -> None:
    """Nor a digest."""
    body = running.page("/wiring").body
    assert [one for one in (PLAIN, "sha256:", FRANCE, GERMANY) if one in body] == []


def test_the_running_service_is_asked(running: Fleet, folder: Path) -> None:
    """At the address that is given; with JSON for scripts."""
    result = doctor(folder, "--admin", f"http://{running.admin}", "--json")
    told = json.loads(result.stdout)
    found = {one["name"]: one for one in told["findings"]}
    assert result.exit_code == 0, result.output
    assert found["clients"]["what"] == "2 addresses of clients, public ones in 24 of 24 Checks"
    assert found["clients"]["place"] == {"file": f"{running.admin}/wiring", "path": "", "line": 0}
    assert found["envoy-not-given"]["severity"] == "unknown"
    assert told["snippet"].startswith("use_remote_address: true\n")


SILENT = {
    "one that is given": (["--admin", "http://127.0.0.1:1"], 1, "wrong"),
    "one that is given as a socket": (["--admin", "unix:/nowhere"], 1, "wrong"),
    "one that is no address": (["--admin", "somewhere"], 1, "wrong"),
    "none": ([], 0, "unknown"),
}


@pytest.mark.parametrize(("arguments", "code", "severity"), SILENT.values(), ids=SILENT)
def test_a_service_that_does_not_answer(
    arguments: list[str], code: int, severity: str, tmp_path: Path
) -> None:
    """Is wrong where it was named, and unknown otherwise."""
    deploy(tmp_path)
    result = doctor(tmp_path, *arguments)
    assert result.exit_code == code, result.output
    assert result.stdout.startswith(severity)


MISTAKES = {
    "no such configuration": (["-c", "nowhere.yaml"], "expected a readable file"),
    "no such file": (["--envoy", "nowhere.yaml"], "No such file"),
    "not Envoy's": (["--envoy", __file__], "expected"),
    "an unknown option": (["--nothing"], "No such option"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_asking(arguments: list[str], message: str, tmp_path: Path) -> None:
    """Is told of with exit code 2."""
    deploy(tmp_path)
    result = doctor(tmp_path, *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.output


def test_envoys_configuration_is_read_from_standard_input(tmp_path: Path) -> None:
    """As curl writes it."""
    config = deploy(tmp_path, client_address={"source": "envoy"})
    told = ["doctor", "-c", str(config), "--envoy", "-"]
    result = CliRunner().invoke(main, told, input=ENVOY.read_bytes())
    assert result.exit_code == 0, result.output
    assert "without an answer Envoy refuses" in result.stdout


def test_nothing_on_standard_input_is_said_to_be_nothing(tmp_path: Path) -> None:
    """As curl leaves it where Envoy does not answer."""
    told = ["doctor", "-c", str(deploy(tmp_path)), "--envoy", "-"]
    result = CliRunner().invoke(main, told, input=b"")
    assert result.exit_code == 2
    assert result.stderr.endswith("the answer of /config_dump (got nothing)\n")


def test_the_shipped_envoy_fits_the_example(tmp_path: Path) -> None:
    """Nothing is wrong, nothing is warned of, and what only a running service tells is unknown."""
    folder = tmp_path / "examples"
    shutil.copytree(ROOT / "examples", folder)
    example = folder / "regiongate.yaml"
    # Whoever listens at the example's address on this machine is not asked.
    example.write_text(example.read_text().replace("admin: 127.0.0.1:9192", "admin: 127.0.0.1:0"))
    result = doctor(folder, "--envoy", ENVOY)
    assert result.exit_code == 0
    assert "0 wrong, 0 warnings, 3 unknown, 17 fine" in result.stdout
