"""Durations as an operator writes and reads them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate.durations import LONGEST, delay, duration, written

DURATIONS = {
    "250ms": timedelta(milliseconds=250),
    "30s": timedelta(seconds=30),
    "5m": timedelta(minutes=5),
    "24h": timedelta(hours=24),
    "30d": timedelta(days=30),
    "2w": timedelta(weeks=2),
    "007s": timedelta(seconds=7),
    f"{LONGEST.days}d": LONGEST,
}

FORM = "expected a duration such as 30s, 24h or 30d"
LENGTH = "expected a duration of at most a hundred years"
NOTHING = "expected a duration of more than nothing"

NO_DURATIONS: list[Any] = [
    *("", "s", "30", "-1s", "+1s", "1.5h", "1 h", " 1h", "1h ", "1h\n", "1H", "1y", "1min"),
    *("1h30m", "PT1H", "1e3s", "1_0s", "1234567890s", "\u0663s", "\uff13s"),
    *(30, 30.0, True, None, ["1h"], timedelta(1)),
]

TOO_LONG = ["999999999w", "142857143w", "999999999d", f"{LONGEST.days + 1}d"]


@pytest.mark.parametrize(("text", "expected"), DURATIONS.items())
def test_a_number_and_a_unit_are_a_duration(text: str, expected: timedelta) -> None:
    """Milliseconds to weeks can be written."""
    assert duration(text) == delay(text) == expected


REFUSED = [
    *((text, FORM) for text in NO_DURATIONS),
    *((text, LENGTH) for text in TOO_LONG),
    *((text, NOTHING) for text in ("0s", "000h", "0ms")),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=ascii)
def test_nothing_else_is_a_duration(text: object, message: str) -> None:
    """No sign, no fraction, no second unit, not nothing, and not more than anybody lives."""
    with pytest.raises(ValueError, match=r"^expected a duration") as caught:
        duration(text)
    assert str(caught.value) == f"{message} (got {text!r})"


@pytest.mark.parametrize("text", ["0s", "000h", "0ms"])
def test_a_delay_may_be_nothing(text: str) -> None:
    """What waits need not."""
    assert delay(text) == timedelta(0)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text(max_size=12) | st.from_regex(r"\d{1,12}(ms|[smhdw])", fullmatch=True))
def test_any_text_is_a_duration_or_an_error(text: str) -> None:
    """What is read is longer than nothing; anything else is a ValueError."""
    read, message = None, ""
    try:
        read = duration(text)
    except ValueError as error:
        message = str(error)
    assert message.endswith(f"(got {text!r})") if read is None else timedelta(0) < read <= LONGEST


WRITTEN = {
    "250ms": "250ms",
    "90s": "90s",
    "60s": "1m",
    "60m": "1h",
    "1d": "24h",
    "36h": "36h",
    "48h": "2d",
    "1w": "7d",
}


@pytest.mark.parametrize(("text", "expected"), WRITTEN.items())
def test_a_duration_is_written_as_configuration_writes_it(text: str, expected: str) -> None:
    """In the largest unit that it is a whole number of; a day is 24h."""
    assert written(duration(text)) == expected


@given(st.sampled_from(["ms", "s", "m", "h", "d"]), st.integers(min_value=1, max_value=36525))
def test_what_is_written_is_read_as_the_same(unit: str, count: int) -> None:
    """Whatever configuration may say."""
    read = duration(f"{count}{unit}")
    assert duration(written(read)) == read
