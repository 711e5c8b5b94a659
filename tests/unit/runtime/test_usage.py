"""What a process says of the memory and the files it uses."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest

from regiongate.runtime import usage
from regiongate.telemetry import metrics


def test_what_is_used_is_measured() -> None:
    """As gauges of this process; each is there where the system tells."""
    found = {family.name: value for family, value in usage.measured()}
    assert found.keys() == {metrics.MEMORY.name, metrics.FILES.name}
    assert 10e6 < found[metrics.MEMORY.name] < 10e9
    assert found[metrics.FILES.name] >= 3


SCARCE = {
    # Descriptors in use, the limit, and what is said.
    "plenty": (100, 1024, ""),
    "nearly all": (930, 1024, "930 of 1024 file descriptors are in use"),
    "all": (None, 1024, "1024 of 1024 file descriptors are in use"),
    "no limit": (100_000, resource.RLIM_INFINITY, ""),
}


@pytest.mark.parametrize(("used", "limit", "said"), SCARCE.values(), ids=SCARCE)
def test_an_operator_is_told_before_no_connection_can_be_accepted(
    used: int | None, limit: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when there is no descriptor left to look with."""

    def listed(_: Path) -> list[int]:
        if used is None:
            raise OSError(errno.EMFILE, "Too many open files")
        return list(range(used))

    monkeypatch.setattr(Path, "iterdir", listed)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert usage.problem() == said


def test_a_system_that_does_not_tell_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no /proc everywhere; then there are no gauges of these."""

    def absent(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(Path, "iterdir", absent)
    monkeypatch.setattr(Path, "read_text", absent)
    assert list(usage.measured()) == []
    assert usage.problem() == ""
