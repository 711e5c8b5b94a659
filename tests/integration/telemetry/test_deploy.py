"""The files for a server are what their linters take for good ones."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"

REQUIRED = ("requirements.txt", "build-requirements.txt")
"""What the image holds, and what its wheel is built with."""
EXTRAS = ("otel", "redis")
"""Whatever a configuration may ask for is in the image."""


def lines(name: str) -> list[str]:
    """Return the lines of a file in deploy/, continued ones joined, without comments."""
    text = (DEPLOY / name).read_text().replace("\\\n", "")
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


def pinned() -> dict[str, str]:
    """Return the version of every package in the image and of what builds it."""
    found = [Requirement(line.partition(" --hash")[0]) for name in REQUIRED for line in lines(name)]
    return {one.name: str(one.specifier).removeprefix("==") for one in found}


def declared() -> Iterator[Requirement]:
    """Yield what the project asks for, to build it and to run it with EXTRAS."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    for written in (
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(one for extra in EXTRAS for one in extras[extra]),
    ):
        yield Requirement(written)


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


def test_the_image_runs_as_nobody() -> None:
    """Two stages of one pinned release, the second without a compiler; a user by number."""
    written = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert [line.split()[1] for line in written if line.startswith("FROM")] == [
        "python:3.11.14-bookworm",
        "python:3.11.14-slim-bookworm",
    ]
    assert "USER 65532:65532" in written


def test_the_example_of_a_container_publishes_on_loopback_alone() -> None:
    """Whoever reaches the gRPC port is believed."""
    written = (DEPLOY / "Dockerfile").read_text()
    (example,) = (line for line in written.splitlines() if line.startswith("#   docker run"))
    assert re.findall(r" -p (\S+)", example) == ["127.0.0.1:9191:9191"]


@pytest.mark.parametrize("name", REQUIRED)
def test_every_package_is_pinned_by_content(name: str) -> None:
    """Those that build the image's wheel, too."""
    packages = lines(name)
    assert packages
    assert [line for line in packages if "==" not in line or "--hash=sha256:" not in line] == []


def test_the_image_holds_what_the_project_asks_for() -> None:
    """In a version that the project takes; and what its extras ask for."""
    versions = pinned()
    wrong = {
        str(one): versions.get(one.name.lower(), "missing")
        for one in declared()
        if not one.specifier.contains(versions.get(one.name.lower(), "0"))
    }
    assert wrong == {}


def test_the_builder_is_sent_what_the_dockerfile_copies_and_no_more() -> None:
    """Every file that a COPY names is there and is let through; a key store is not."""
    copied = [
        source
        for line in lines("Dockerfile")
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    everything, *rest = lines("Dockerfile.dockerignore")
    let_through = {line.removeprefix("!") for line in rest if line.startswith("!")}
    assert everything == "*"
    assert let_through == set(copied)
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert not any(fnmatch.fnmatch("keys.db", one) for one in let_through)


HEALTHY = {"it answers": (200, 0), "it does not yet": (503, 1), "nobody is there": (None, 1)}


@pytest.mark.parametrize(("status", "code"), HEALTHY.values(), ids=HEALTHY)
def test_the_health_check_of_the_image_says_what_readyz_says(status: int | None, code: int) -> None:
    """Directly, even where the environment names a proxy."""
    written = (DEPLOY / "Dockerfile").read_text().partition("HEALTHCHECK")[2]
    python, *arguments = json.loads(written.partition("CMD ")[2].partition("\n")[0])
    with admin(status) as port:
        program = [argument.replace("9192", str(port)) for argument in arguments]
        ended = subprocess.run(
            [sys.executable, *program],
            env={"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"},
            capture_output=True,
            check=False,
        )
    assert (python, ended.returncode) == ("python", code)


@contextmanager
def admin(status: int | None) -> Iterator[int]:
    """Answer every request with a status, and lend the port; None for nobody who answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if status and self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_port
        if status is None:
            server.server_close()
        else:
            threading.Thread(target=server.handle_request, daemon=True).start()
        yield port


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
