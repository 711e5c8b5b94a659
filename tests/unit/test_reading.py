"""What an operator names as a text file, whatever it is."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from regiongate import reading


def refused(path: Path) -> str:
    """Return what is said of a file that cannot be read."""
    with pytest.raises(OSError, match=r".") as caught:
        reading.text(path)
    assert caught.value.filename == path
    return str(caught.value.strerror)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """As of a shell's process substitution, however its pieces come."""
    pipe, more = tmp_path / "pipe", threading.Event()
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            file.write(b"version: ")
            more.wait(5)
            file.write(b"1")

    writer = threading.Thread(target=write)
    writer.start()
    threading.Timer(0.1, more.set).start()
    assert reading.text(pipe) == "version: 1"
    writer.join()


def test_a_pipe_that_nobody_writes_to_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for it would never reload again."""
    monkeypatch.setattr(reading, "PATIENCE", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refused(pipe) == "nothing has come for 0.05 s"


@pytest.mark.parametrize("endless", [True, False])
def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, endless: bool
) -> None:
    """Neither a device without end nor a file of which there is more than anybody writes."""
    monkeypatch.setattr(reading, "LARGEST", 4 << 20)
    large = tmp_path / "large"
    large.write_bytes(bytes(5 << 20))
    path = Path("/dev/zero") if endless else large
    assert refused(path) == "more than 4 MB"
