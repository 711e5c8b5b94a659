"""What `python -m bench` and its parts say before they measure anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("bench", "bench.geo", "bench.guard", "bench.keys", "bench.start")
"""What docs and docstrings tell people to run."""


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("--hlep", 2)])
def test_a_program_is_asked_what_it_does(program: str, option: str, code: int) -> None:
    """It tells how it is called, and measures nothing; nor does it with an option it has not."""
    asked = [sys.executable, "-m", program, option]
    ended = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert (ended.stdout + ended.stderr).startswith(f"usage: python -m {program} [-h]")
