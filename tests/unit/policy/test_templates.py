"""The operator's own words in an answer."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate.policy.templates import NAMES, TemplateError, check_template, fill

LAW = settings(max_examples=200, derandomize=True, deadline=None)
VALUES = {"reason": "away", "decision_id": "d-1", "country": "NO", "message": 'Say "no"'}

FILLED = [
    # template, content type, text
    ("${reason} in ${country}", "text/plain", "away in NO"),
    ("$reason", "text/plain", "away"),
    ("$$5 for ${message}", "text/plain", '$5 for Say "no"'),
    ("{}", "application/json", "{}"),
    ('{"m": "${message}"}', "application/json", r'{"m": "Say \"no\""}'),
    ('{"m": "${message}"}', "Application/JSON; charset=utf-8", r'{"m": "Say \"no\""}'),
    ('{"m": "${message}"}', "application/problem+json", r'{"m": "Say \"no\""}'),
    ("<b>${reason}</b>", "text/html", "<b>away</b>"),
    ("", "application/json", ""),
]


@pytest.mark.parametrize(("template", "content_type", "text"), FILLED)
def test_a_template_is_filled_in(template: str, content_type: str, text: str) -> None:
    """Values are put in as they are, but escaped where the text is JSON."""
    check_template(template, content_type)
    assert fill(template, content_type, VALUES) == text


KNOWN = "expected no names but ${reason}, ${decision_id}, ${country}, ${message}"

REFUSED = [
    # template, content type, message
    ("${ip}", "text/plain", f"{KNOWN} (got 'ip')"),
    ("${Reason}", "text/plain", f"{KNOWN} (got 'Reason')"),
    ("$reasons", "text/plain", f"{KNOWN} (got 'reasons')"),
    (
        "costs $ 5",
        "text/plain",
        "expected $$ for a dollar sign (Invalid placeholder in string: line 1, col 7)",
    ),
    (
        "one\n${",
        "text/plain",
        "expected $$ for a dollar sign (Invalid placeholder in string: line 2, col 1)",
    ),
    (
        "not JSON",
        "application/json",
        "expected JSON, as its content type says (Expecting value: line 1 column 1 (char 0))",
    ),
    (
        '{"m": ${message}}',
        "application/json",
        "expected JSON, as its content type says (Expecting value: line 1 column 7 (char 6))",
    ),
]


@pytest.mark.parametrize(("template", "content_type", "message"), REFUSED)
def test_a_template_that_could_fail_later_is_refused_now(
    template: str, content_type: str, message: str
) -> None:
    """Unknown names, stray dollar signs and text that is not the JSON it claims to be."""
    with pytest.raises(TemplateError) as caught:
        check_template(template, content_type)
    assert str(caught.value) == message


def test_json_nested_beyond_reason_is_refused() -> None:
    """What the JSON reader gives up on is not JSON for our purposes."""
    with pytest.raises(TemplateError, match=r"^expected JSON, as its content type says"):
        check_template("[" * 60_000, "application/json")


@LAW
@given(st.fixed_dictionaries({name: st.text() for name in NAMES}))
def test_json_stays_json_whatever_is_put_in(values: dict[str, str]) -> None:
    """No value can break out of the string it stands in."""
    template = json.dumps({name: f"${{{name}}}" for name in NAMES})
    assert json.loads(fill(template, "application/json", values)) == values


@LAW
@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["$", "{", "}", "reason", "${message}", '"', "x"])).map("".join),
    st.sampled_from(["text/plain", "application/json"]),
)
def test_what_is_accepted_can_be_filled_in(template: str, content_type: str) -> None:
    """A template that has been checked fails for no value."""
    try:
        check_template(template, content_type)
    except TemplateError:
        return
    assert isinstance(fill(template, content_type, VALUES), str)
