"""What the process says of itself: lines for people, objects for machines."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
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
    with pytest.MonkeyPatch.context() as patch:
        for module in (sys, threading):
            patch.setattr(module, "excepthook", module.excepthook)
        yield
    logging.captureWarnings(capture=False)
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


@pytest.mark.parametrize("library", ["asyncio", "grpc", "grpc._cython.cygrpc", "pygrpc_native"])
def test_what_a_library_says_has_the_same_form(library: str) -> None:
    """And says which library it is."""
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    logging.getLogger(library).error("no %s", "luck")
    read = json.loads(stream.getvalue())
    assert (read["logger"], read["level"], read["message"]) == (library, "error", "no luck")


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


def test_a_line_for_people_gives_no_orders_to_their_terminal() -> None:
    """Whatever is quoted in it, by whomever it is logged."""
    stream = Terminal()
    logs.configure("text", stream=stream)
    for name in ("regiongate.z", "a\x1b[2Jlibrary"):
        logging.getLogger(name).warning("database %s", "X\x1b]0;title\x07\r\x9b2J\u202e")
    ours, other = stream.getvalue().splitlines()
    assert ours.endswith(r" WARNING regiongate: database X\x1b]0;title\x07\r\x9b2J\u202e")
    assert r" WARNING a\x1b[2Jlibrary: database X\x1b" in other


def test_what_is_quoted_is_not_taken_for_another_message() -> None:
    """A message of several lines is indented from the second on, and so is a traceback."""
    stream = Terminal()
    logs.configure("text", stream=stream)
    log = logging.getLogger("regiongate.z")
    log.error("no:\n%s", "a.yaml:1: x\n12:00:00 regiongate: fine\n")
    log.error("failed", exc_info=ValueError("\n12:00:00 regiongate: fine"))
    first, *others, last = stream.getvalue().splitlines()
    assert first.endswith(" ERROR regiongate: no:")
    assert others[:2] == ["  a.yaml:1: x", "  12:00:00 regiongate: fine"]
    assert others[2].endswith(" ERROR regiongate: failed")
    assert all(line.startswith("  ") for line in (*others[3:], last))
    assert last == "  12:00:00 regiongate: fine"


def test_what_ends_a_thread_or_the_process_is_an_object_like_any_other() -> None:
    """No traceback stands between the lines; nor does a warning of Python's."""
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    thread = threading.Thread(target=int, args=("a",))
    thread.start()
    thread.join()
    error = ValueError("at last")
    sys.excepthook(ValueError, error, None)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    read = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [one["level"] for one in read] == ["critical", "critical", "warning"]
    assert "invalid literal" in read[0]["exception"]
    assert "at last" in read[1]["exception"]
    assert "DeprecationWarning: old" in read[2]["message"]


def test_a_library_that_repeats_itself_is_heard_once_in_a_while() -> None:
    """Ten seconds later it is heard again; what is ours always is."""
    now = [0.0]
    seldom = logs.Seldom(lambda: now[0])

    def heard(name: str, message: str) -> bool:
        return seldom.filter(logging.LogRecord(name, logging.INFO, "", 0, message, None, None))

    told = [("library", "a"), ("library", "a"), ("library", "b"), ("regiongate.x", "a")]
    assert [heard(*one) for one in told] == [True, False, True, True]
    assert heard("regiongate.x", "a")
    now[0] = logs.SELDOM
    assert heard("library", "a")


def test_a_library_that_quotes_what_a_caller_sent_is_not_heard() -> None:
    """What else the same library says is."""
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    library = logging.getLogger("grpc._cython.cygrpc")
    library.error("Invalid encoding on %s", b"sk-live-\xff")
    library.error("Invalid %s", "argument")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == [
        "Invalid argument"
    ]


def test_what_is_remembered_of_messages_is_bounded() -> None:
    """A library that writes what clients send cannot fill the memory by it."""
    seldom = logs.Seldom(lambda: 0.0)
    for number in range(3 * logs.DIFFERENT):
        record = logging.LogRecord("library", logging.INFO, "", 0, str(number), None, None)
        assert seldom.filter(record)
    assert len(seldom._last) <= logs.DIFFERENT
