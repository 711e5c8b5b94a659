"""What the process says of itself: lines for people, objects for machines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from regiongate.telemetry import logs


class Terminal(io.StringIO):
    """A stream that a person reads."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Give the log of the test run back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


STREAMS = {
    "a terminal": ("auto", Terminal(), False),
    "a pipe": ("auto", io.StringIO(), True),
    "text by name": ("text", io.StringIO(), False),
    "JSON by name": ("json", Terminal(), True),
}


@pytest.mark.parametrize(("form", "stream", "json_expected"), STREAMS.values(), ids=STREAMS)
def test_the_form_fits_the_reader(
    form: logs.Format, stream: io.StringIO, *, json_expected: bool
) -> None:
    """Text on a terminal, JSON elsewhere, unless one is asked for by name."""
    logs.configure(form, stream=stream)
    logging.getLogger("regiongate.x").info("new %s are in force", "keys")
    line = stream.getvalue()
    assert line.startswith("{") == json_expected
    assert "new keys are in force" in line
    assert line.count("\n") == 1


def test_an_object_holds_what_a_machine_asks_for() -> None:
    """Time, level, who says it, what, and which worker; an exception stays in its line."""
    stream = io.StringIO()
    logs.configure("json", worker=3, stream=stream)
    try:
        int("a\nb")
    except ValueError:
        logging.getLogger("regiongate.y").exception("it failed")
    (line,) = stream.getvalue().splitlines()
    read = json.loads(line)
    assert (read["level"], read["message"], read["worker"]) == ("error", "it failed", 3)
    assert read["time"].endswith("Z")
    assert "ValueError: invalid literal" in read["exception"]


def test_a_line_for_people_says_what_is_not_just_information() -> None:
    """The level is there where it matters, and the worker where there are many."""
    stream = Terminal()
    logs.configure("auto", worker=1, stream=stream)
    logging.getLogger("regiongate.z").warning("careful")
    logging.getLogger("regiongate.z").info("fine")
    warning, information = stream.getvalue().splitlines()
    assert warning.endswith("WARNING regiongate worker 1: careful")
    assert information.endswith(" regiongate worker 1: fine")
    assert "INFO" not in information
