"""What others have written, on one line and without orders to a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate.printable import printable

SHOWN = {
    "GeoLite2-Country": "GeoLite2-Country",
    "": "",
    "País 中华 Ünïcode 'a' \"b\" \\x1b": "País 中华 Ünïcode 'a' \"b\" \\x1b",
    "X\x1b]0;title\x07": r"X\x1b]0;title\x07",
    "\x9b31mred": r"\x9b31mred",
    "a\n12:00:00 regiongate: b": r"a\n12:00:00 regiongate: b",
    "a\r\tb\x7f\x00": r"a\r\tb\x7f\x00",
    "a\u2028b\u0085c": r"a\u2028b\x85c",
    "\u202efdp": r"\u202efdp",
    "\udc80\ufeff": r"\udc80\ufeff",
    "\U000e0041": r"\U000e0041",
}


@pytest.mark.parametrize("text", SHOWN, ids=ascii)
def test_what_is_not_to_be_seen_is_escaped(text: str) -> None:
    """The rest stays as it is, in any language."""
    assert printable(text) == SHOWN[text]


@given(st.text())
def test_whatever_is_written_is_one_line(text: str) -> None:
    """That can be encoded, and that is shown as it is from then on."""
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert shown.encode().decode() == shown
