"""A child process that is always stopped, and that is asked rather than waited for.

Knows nothing of what runs in it.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.errors import DemoError

ROOT = Path(__file__).parent.parent
"""Where commands run, so that `python -m demo.…` is found from anywhere."""

STARTS_WITHIN = 20.0
"""Seconds until a process that is not ready counts as failed."""

STOPS_WITHIN = 10.0
"""Seconds between SIGTERM and SIGKILL."""

ASK_AGAIN = 0.02
"""Seconds between two questions whether it is ready."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running child.

    Attributes:
        name: what error messages call it.
        child: its handle.
        stdout: the file that takes its standard output.
        stderr: the file that takes its standard error.
    """

    name: str
    child: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Ask until the answer is yes.

        Raises:
            DemoError: the process exited, or the answer was still no after STARTS_WITHIN.
        """
        deadline = time.monotonic() + STARTS_WITHIN
        while not ready():
            if self.child.poll() is not None:
                raise DemoError(f"{self.name} exited with {self.child.returncode}{self._last()}")
            if time.monotonic() > deadline:
                raise DemoError(f"{self.name}: {what} within {STARTS_WITHIN:g} s{self._last()}")
            time.sleep(ASK_AGAIN)

    def stop(self) -> int:
        """End the process, kindly first, and return its exit code; do nothing where it is over."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()

    def _last(self) -> str:
        output = self.stderr.read_text(errors="replace") + self.stdout.read_text(errors="replace")
        lines = output.strip().splitlines()[-5:]
        return ": " + "\n  ".join(lines) if lines else " and said nothing"


@contextmanager
def running(name: str, command: Sequence[str | Path], directory: Path) -> Iterator[Process]:
    """Run a command until the end of the with statement; its output goes to files named after it.

    Args:
        name: for messages and for the two files.
        command: the program and its arguments.
        directory: where the two files are made.

    Raises:
        DemoError: there is no such program.
    """
    stdout, stderr = directory / f"{name}.out", directory / f"{name}.err"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        try:
            # In a group of its own: Ctrl-C reaches this process alone, which then stops the
            # children in order.
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                process_group=0,
            )
        except FileNotFoundError:
            raise DemoError(
                f"{name}: {command[0]} is missing; run `make demo` to install"
            ) from None
    process = Process(name, child, stdout, stderr)
    try:
        yield process
    finally:
        process.stop()
