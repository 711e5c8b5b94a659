"""The files for a server are what their linters take for good ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).parents[3] / "deploy"


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    """Not even at its lowest level."""
    hadolint = Path(sys.executable).parent / "hadolint"
    ended = subprocess.run(
        [hadolint, "--failure-threshold", "style", DEPLOY / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_image_runs_as_nobody_and_pins_what_it_holds() -> None:
    """Two stages, an unprivileged user by number, and a hash for every package."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert [line.split()[1] for line in lines if line.startswith("FROM")] == [
        "python:3.11.14-slim-bookworm"
    ] * 2
    assert "USER 65532:65532" in lines
    required = (DEPLOY / "requirements.txt").read_text().replace("\\\n", "").splitlines()
    packages = [line for line in required if line and not line.lstrip().startswith("#")]
    assert packages
    assert [line for line in packages if "==" not in line or "--hash=sha256:" not in line] == []


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Where there is a systemd-analyze; elsewhere that every line is one of a known form."""
    unit = (DEPLOY / "regiongate.service").read_text()
    # Any program will do, of a path without a space.
    installed = unit.replace("/opt/regiongate/bin/regiongate", shutil.which("true") or "/bin/true")
    (tmp_path / "regiongate.service").write_text(installed)
    if analyze := shutil.which("systemd-analyze"):
        ended = subprocess.run(
            [analyze, "verify", tmp_path / "regiongate.service"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
    keys = [line.partition("=") for line in unit.splitlines() if line and line[0] not in "#["]
    assert all(key.isalpha() and equals for key, equals, _ in keys)
