"""The demonstration itself: it finds what is wrong, and leaves nothing behind."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from demo import report
from demo.__main__ import follow
from demo.cases import CASES, Outcome
from demo.errors import DemoError
from demo.process import running
from demo.stack import Ports, Settings, Stack, started


def test_every_case_of_the_demonstration_is_answered_as_its_policy_says(stack: Stack) -> None:
    """The table that `make demo` prints holds on both engines."""
    assert [row.fault for row in report.run(stack, CASES)] == [""] * len(CASES)


def test_an_answer_that_the_policy_does_not_say_is_a_fault(stack: Stack) -> None:
    """A row whose outcome is another than expected is not ok."""
    wrong = [replace(case, expected=Outcome(200, "AQ")) for case in CASES]
    rows = report.run(stack, wrong)
    assert [row.fault for row in rows] == [f"expected {case.expected}" for case in wrong]


def test_a_busy_port_is_named(database: Path) -> None:
    """A port that somebody else listens on is one clear line."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        settings = Settings(database=database, ports=Ports(upstream=port))
        with pytest.raises(DemoError, match=f"^port {port} is in use; "), started(settings):
            pass


def test_a_process_that_fails_to_start_is_quoted(database: Path, tmp_path: Path) -> None:
    """What RegionGate says against a policy is what the demonstration ends with."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 2\n")
    settings = Settings(database=database, policy=policy)
    with (
        pytest.raises(DemoError, match=r"(?s)^regiongate exited with 2: .*policy\.yaml"),
        started(settings),
    ):
        pass


def test_what_a_process_says_is_shown_while_it_runs_and_to_its_end(tmp_path: Path) -> None:
    """`make run` shows RegionGate's log, the last words too."""
    program = "import sys; print('é', file=sys.stderr, flush=True); input()"
    shown: list[str] = []
    with running("child", [sys.executable, "-c", program], tmp_path) as child:
        follow(child, shown.append)
    assert "".join(shown).startswith("é\n")
    assert "EOFError" in "".join(shown)


def test_nothing_is_left_behind(database: Path) -> None:
    """Every process is over and the directory is gone once the stack is stopped."""
    with started(Settings(database=database, notice="1ms")) as stack:
        processes = [stack.regiongate, stack.upstream, stack.envoy]
        assert [process.child.poll() for process in processes] == [None, None, None]
        directory = stack.access_log.parent
    assert all(process.child.poll() is not None for process in processes)
    assert stack.regiongate.child.returncode == 0
    assert not directory.exists()
