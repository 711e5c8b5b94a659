"""The search for secrets at the end of a run finds them: it can fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

KEY = "sk-" + "live-leaked"
BEGINNING = """
import logging, subprocess, tempfile
from pathlib import Path

import click
from click.testing import CliRunner

KEY = "sk-" + "live-leaked"
"""

LEAKS = {
    "print": ("print(KEY)", "Captured stdout call of test_it.py::test_print"),
    "log": ("logging.getLogger('x').error('key %s', KEY)", "Captured log call"),
    "file": ("(tmp_path / 'decisions.jsonl').write_text(KEY)", "decisions.jsonl"),
    "far": ("(tmp_path / 'far').write_bytes(b'-' * (2**20 - 3) + KEY.encode())", "/far"),
    "process": (
        "subprocess.run(['sh', '-c', 'echo $0 >&2', KEY], capture_output=True, check=True)",
        "what a command says in test_it.py::test_process (call)",
    ),
    "command": (
        "CliRunner().invoke(click.Command('c', callback=lambda: click.echo(KEY)))",
        "what a command says in test_it.py::test_command (call)",
    ),
    "removed": (
        "with tempfile.TemporaryDirectory() as one: Path(one, 'removed').write_text(KEY)",
        "/removed",
    ),
}
SOUND = {
    "given": "(tmp_path / 'given.csv').write_text(KEY)",
    "short": "print('sk')",
    "another": "print('task-force')",
}


def run(folder: Path, lines: Mapping[str, str]) -> tuple[int, str]:
    """Run tests of a line each with the plugin; return the exit code and what is said."""
    tests = [f"def test_{name}(tmp_path):\n    {line}\n" for name, line in lines.items()]
    (folder / "test_it.py").write_text("\n".join([BEGINNING, *tests]))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.leaks", "-c", "/dev/null"]
    where = ["--rootdir", folder, "--basetemp", folder / "base", folder / "test_it.py"]
    found = subprocess.run([*command, *map(str, where)], capture_output=True, check=False)
    shutil.rmtree(folder / "base")  # lest it fails this run as well
    return found.returncode, (found.stdout + found.stderr).decode()


def test_a_secret_that_was_written_fails_the_run(tmp_path: Path) -> None:
    """Although every test passes; it is said where, and the secret is not said again."""
    code, said = run(tmp_path, {name: line for name, (line, _) in LEAKS.items()})
    assert code == 1
    assert f"{len(LEAKS)} passed" in said
    found = said.partition("secrets were written")[2]
    assert [name for name, (_, where) in LEAKS.items() if where not in found] == []
    assert KEY not in said


def test_what_is_no_secret_fails_nothing(tmp_path: Path) -> None:
    """Nor does a key in a file that a test hands in."""
    code, said = run(tmp_path, SOUND)
    assert code == 0, said
