"""The report: what others have written reaches no terminal as an order."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from regiongate.cli import main
from regiongate.cli.doctor.printing import report
from regiongate.doctor.finding import Finding, Place, Severity
from tests.unit.doctor.wirings import changed, found

ORDER = "\x1b]0;owned\x07\x1b[31m\x9b\u202e"


def test_orders_to_a_terminal_are_shown_as_text() -> None:
    """In the sentence, the place and what to write instead; lines of the last stay lines."""
    place = Place(ORDER, ORDER)
    finding = Finding(Severity.WRONG, "x", f"a {ORDER} b", f"one: {ORDER}\ntwo", place)
    printed = report([finding], f"snippet: {ORDER}")
    shown = r"\x1b]0;owned\x07\x1b[31m\x9b\u202e"
    # The colours are the report's own.
    assert printed.count("\x1b") == printed.count("\x1b[31m\x1b[1m") * 2 + printed.count("\x1b[0m")
    assert set(ORDER) & set(printed) <= {*"\x1b]0;owned[31m"}
    assert f"a {shown} b" in printed
    assert f"at {shown}: {shown}" in printed
    assert f"one: {shown}\n" in printed
    assert f"snippet: {shown}" in printed


def test_a_listener_named_by_a_stranger_is_named_in_text() -> None:
    """As in a dump of somebody else's."""
    wiring = changed(lambda one: one.listener.update(name=ORDER))
    del wiring.manager["route_config"]
    printed = report(found(wiring.camel()), "")
    assert r"listener \x1b]0;owned" in " ".join(printed.split())
    assert "\x07" not in printed


@pytest.mark.parametrize("text", ["a: !%1b%5b31m x\n", '"\\e[31m": 1\n"\\e[31m": 2\n'])
def test_a_file_that_cannot_be_used_gives_no_orders_either(text: str, tmp_path: Path) -> None:
    """The message of a mistake shows what was found."""
    config = Path(__file__).parents[3] / "demo" / "regiongate.yaml"
    given = tmp_path / "envoy.yaml"
    given.write_text(text)
    result = CliRunner().invoke(main, ["doctor", "-c", str(config), "--envoy", str(given)])
    assert result.exit_code == 2
    assert r"\x1b[31m" in result.stderr
    assert "\x1b" not in result.stderr
