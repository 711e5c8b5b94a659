"""A pytest plugin: no key and no pepper of a test is to be found in what a run has written.

Searched are the standard output, standard error and log of every test, what the commands and the
processes that tests run have said, and every file in a temporary folder: logs, decision logs, key
stores, exports. One secret found fails the run.

Two things hold keys on purpose: files whose names begin with `given`, which tests hand in, and the
standard output of `keys add`, which shows a new key once.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click.testing
import pytest

NEW: Final = rb"rg_[0-9A-Za-z]{38}"
SECRET: Final = re.compile(
    rb"(?<![0-9A-Za-z])sk-[0-9A-Za-z-]{5}|made-up-[a-z-]*key|pepper-[A-Za-z0-9]{4}|hunter2|" + NEW
)
"""What keys, peppers and passwords of tests look like, and new keys; longer than what is shown."""

GIVEN: Final = "given"
COMPILED: Final = ".pyc"
"""What a test is compiled to holds what the test holds."""

CHUNK: Final = 1 << 20
OVERLAP: Final = 64
"""Bytes; longer than what tells a secret."""


class Leaks:
    """What was found, and where."""

    def __init__(self) -> None:
        self.found: dict[str, None] = {}

    def text(self, where: str, written: str | bytes | None) -> None:
        """Search a text."""
        data = written.encode(errors="replace") if isinstance(written, str) else written or b""
        if SECRET.search(data):
            self.found[where] = None

    def said(self, arguments: object, out: str | bytes | None, err: str | bytes | None) -> None:
        """Search what a command has said."""
        where = f"what a command says in {os.environ.get('PYTEST_CURRENT_TEST', 'no test')}"
        data = out.encode(errors="replace") if isinstance(out, str) else out or b""
        shows_once = isinstance(arguments, Sequence) and "add" in arguments
        self.text(where, re.sub(NEW, b"", data) if shows_once else data)
        self.text(where, err)

    def folder(self, folder: Path) -> None:
        """Search every file in a folder."""
        for path in folder.rglob("*"):
            on_purpose = path.name.startswith(GIVEN) or path.suffix == COMPILED
            if not on_purpose and path.is_file() and not path.is_symlink():
                self._file(path)

    def _file(self, path: Path) -> None:
        end = b""
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                self.text(str(path), end + chunk)
                end = chunk[-OVERLAP:]


LEAKS: Final = pytest.StashKey[Leaks]()


def pytest_configure(config: pytest.Config) -> None:
    """Listen to commands and processes, and look into folders before they are removed."""
    leaks = config.stash[LEAKS] = Leaks()
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    communicate, cleanup = subprocess.Popen.communicate, tempfile.TemporaryDirectory.cleanup
    invoke = click.testing.CliRunner.invoke

    def communicated(process: Any, *args: Any, **kwargs: Any) -> Any:
        result = communicate(process, *args, **kwargs)
        leaks.said(process.args, *result)
        return result

    def invoked(runner: Any, command: Any, args: Any = None, **kwargs: Any) -> Any:
        result = invoke(runner, command, args, **kwargs)
        leaks.said(args, result.stdout, result.stderr)
        return result

    def cleaned(folder: Any) -> None:
        leaks.folder(Path(folder.name))
        cleanup(folder)

    patch.setattr(subprocess.Popen, "communicate", communicated)
    patch.setattr(click.testing.CliRunner, "invoke", invoked)
    patch.setattr(tempfile.TemporaryDirectory, "cleanup", cleaned)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Search what a test has written and logged."""
    report: pytest.TestReport = yield
    for name, written in report.sections:
        item.config.stash[LEAKS].text(f"{name} of {report.nodeid}", written)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search the files that are left; a secret found is a failure of the run."""
    leaks = session.config.stash[LEAKS]
    factory: Any = getattr(session.config, "_tmp_path_factory", None)
    if factory is not None and factory._basetemp is not None:
        leaks.folder(factory._basetemp)
    if leaks.found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say where secrets were found, and not which."""
    found = config.stash[LEAKS].found
    if found:
        terminalreporter.section("secrets were written", red=True)
        for where in found:
            terminalreporter.line(where)
