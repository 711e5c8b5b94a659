"""What tests have measured is to be seen at the end of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FIGURES = {"printed": "print('\\nnative: 7 ms')", "silent": "pass"}


def test_what_a_test_measures_is_shown_at_the_end_of_a_run(tmp_path: Path) -> None:
    """Although it passes, and where several processes run the tests."""
    folder = tmp_path / "tests" / "integration" / "faults"
    folder.mkdir(parents=True)
    tests = [f"def test_{name}():\n    {line}\n" for name, line in FIGURES.items()]
    (folder / "test_it.py").write_text("\n".join(tests))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.figures", "-c", "/dev/null"]
    where = ["--rootdir", tmp_path, "-n", "1", folder]
    ended = subprocess.run([*command, *map(str, where)], capture_output=True, check=False)
    figures = ended.stdout.decode().partition(" figures ")[2].splitlines()
    assert figures[1:2] == ["test_printed: native: 7 ms"]
    assert "silent" not in "".join(figures)
