"""Conditions: what may be written, what is refused with a caret under it, and what is read."""

from copy import deepcopy as copy
from datetime import datetime
from typing import Final, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate.facts import Key, Request, Source
from regiongate.policy import Facts
from regiongate.policy.conditions import MAX_LENGTH, Condition, Failed, Language
from regiongate.policy.regions import RegionList
from regiongate.policy.syntax import MAX_NODES, MAX_PATTERN, ConditionError
from tests.policies import CONDITIONS, CRIMEA, FACTS, MOMENTS, NOW, REGIONS, UNKNOWN, US

LAW = settings(max_examples=150, derandomize=True, deadline=None)

LANGUAGE: Final = Language({name: RegionList(frozenset(codes)) for name, codes in REGIONS.items()})
COMPILED: Final = {text: LANGUAGE.compile(text) for text in CONDITIONS}


def holds(
    text: str, source: Source = US, key: Key | None = None, request: Request | None = None
) -> bool | Failed:
    """Evaluate an expression."""
    condition = LANGUAGE.compile(text)
    return condition.holds(LANGUAGE.bind(source, key or Key(), request or Request(), NOW))


def refusal(text: str) -> str:
    """Return why an expression is no condition."""
    with pytest.raises(ConditionError) as caught:
        LANGUAGE.compile(text)
    return str(caught.value)


# --- what holds --------------------------------------------------------------------------------

HOLDS = [
    # expression, source, whether it holds
    ('source.within("supported")', US, True),
    ('source.within("supported")', CRIMEA, True),
    ('source.within("embargoed")', CRIMEA, True),
    ('source.within("embargoed")', Source(country="UA"), False),
    ('source.within("supported")', UNKNOWN, False),
    ('source.within("embargoed")', UNKNOWN, False),
    ('source.within("none")', US, False),
    ("source.within('supported')", US, True),
    ('[1].exists(one, source.within("supported"))', US, True),
    ('[1].exists(one, source.within("supported"))', UNKNOWN, False),
    ("[1].exists(one, key.permits(source))", US, True),
    ('source.country == "US" // and nowhere else', US, True),
    ('source.country ==\n  "US"', US, True),
    ('"UA-43" in source.regions', CRIMEA, True),
    ('"UA-43" in source.regions', US, False),
    ('source.asn == 0 && source.country == "US"', US, True),
    ('now == timestamp("2024-08-01T00:00:00Z")', US, True),
    ('now - timestamp("2024-07-31T23:00:00Z") == duration("1h")', US, True),
    ("has(key.expires)", US, False),
    ('1 / 0 == 1 || source.country == "US"', US, True),
    ('"x" in key.labels && key.labels["x"] == "y"', US, False),
]


@pytest.mark.parametrize(("text", "source", "expected"), HOLDS)
def test_a_condition_holds_or_does_not(text: str, source: Source, *, expected: bool) -> None:
    """Conditions see the facts, the lists and the time."""
    assert holds(text, source) is expected


def test_a_condition_that_cannot_be_evaluated_says_why() -> None:
    """A failure is a value, with CEL's reason."""
    failed = holds('request.headers["x"] == "y"')
    assert failed == Failed('NOT_FOUND: Key not found in map : "x"')


# --- what is refused ---------------------------------------------------------------------------

REFUSED = {
    '[source].exists(one, one.within("supported"))': """\
expected source.within("…"), of the facts themselves
  [source].exists(one, one.within("supported"))
                                 ^""",
    'regiongate.v1.Source{country: request.host}.within("supported")': """\
expected source.within("…"), of the facts themselves
  regiongate.v1.Source{country: request.host}.within("supported")
                                                    ^""",
    "(key.found ? key : key).permits(source)": """\
expected key.permits(source), of the facts themselves
  (key.found ? key : key).permits(source)
                                 ^""",
    "[1].exists(source, source > 0)": """\
expected a variable that is no fact (got source)
  [1].exists(source, source > 0)
            ^""",
    "source.contry == 'US'": """\
undefined field 'contry' not found in struct 'regiongate.v1.Source'
  source.contry == 'US'
        ^""",
    'source.asn == "64496"': """\
found no matching overload for '_==_' applied to '(int, string)'
  source.asn == "64496"
             ^""",
    "source.country in [1]": """\
found no matching overload for '@in' applied to '(string, list(int))'
  source.country in [1]
                 ^""",
    "country == 'US'": """\
undeclared reference to 'country'
  country == 'US'
  ^""",
    'source.within("suported")': """\
expected a region list (embargoed, none, supported; got 'suported')
  source.within("suported")
                ^""",
    "source.within(source.country)": """\
expected the name of a region list in quotes
  source.within(source.country)
                      ^""",
    'source.within("sup" + "ported")': """\
expected the name of a region list in quotes
  source.within("sup" + "ported")
                      ^""",
    "source.within(1)": """\
found no matching overload for 'within' applied to '(regiongate.v1.Source, int)'
  source.within(1)
               ^""",
    "key.permits(key)": """\
found no matching overload for 'permits' applied to '(regiongate.v1.Key, regiongate.v1.Key)'
  key.permits(key)
             ^""",
    "source.asn": """\
expected a condition that is true or false (got INT)
  source.asn
  ^""",
    "source": """\
expected a condition that is true or false (got regiongate.v1.Source)
  source
  ^""",
    "dyn(true)": """\
expected a condition that is true or false (got DYN)
  dyn(true)
  ^""",
    "key.found == null": """\
found no matching overload for '_==_' applied to '(bool, null_type)'
  key.found == null
            ^""",
    'source.country == "US" and key.found': """\
Syntax error: mismatched input 'and' expecting <EOF>
  source.country == "US" and key.found
                         ^""",
    "not key.found": """\
Syntax error: mismatched input 'key' expecting <EOF>
  not key.found
      ^""",
    "[1].exists(a, [2].exists(b, a == b))": """\
expected no comprehension inside another
  [1].exists(a, [2].exists(b, a == b))
                          ^""",
    # Which line, and where in it.
    "key.found &&\n  source.contry == 'US' &&\n  true": """\
undefined field 'contry' not found in struct 'regiongate.v1.Source'
    source.contry == 'US' &&
          ^""",
    "key.found &&\r\n  source.contry == 'US'": """\
undefined field 'contry' not found in struct 'regiongate.v1.Source'
    source.contry == 'US'
          ^""",
    "\n\n  contry": """\
undeclared reference to 'contry'
    contry
    ^""",
    # Counted in characters, not bytes.
    '"\u00e9\u00e9\U0001f600" == contry': """\
undeclared reference to 'contry'
  "\u00e9\u00e9\U0001f600" == contry
           ^""",
    '"\U0001f600" != "" && source.within("\u00e9t\u00e9")': """\
expected a region list (embargoed, none, supported; got '\u00e9t\u00e9')
  "\U0001f600" != "" && source.within("\u00e9t\u00e9")
                             ^""",
    '"\u2028" != "" &&\n  contry': """\
undeclared reference to 'contry'
    contry
    ^""",
    '"\u0085" != "" &&\n  contry': """\
undeclared reference to 'contry'
    contry
    ^""",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=ascii)
def test_a_mistake_is_told_with_a_caret_under_it(text: str, message: str) -> None:
    """An expression that is no condition is shown with the place to blame."""
    assert refusal(text) == message


def test_without_lists_none_is_known() -> None:
    """The message says so when there is no list to choose from."""
    with pytest.raises(ConditionError, match=r"\(none is defined; got 'a'\)"):
        Language({}).compile('source.within("a")')


NEVER_BEGUN = ["", " ", "\n", "// nothing but a comment", "\n // one\n\t// another\r\n"]


@pytest.mark.parametrize("text", NEVER_BEGUN, ids=ascii)
def test_an_empty_condition_is_told_as_such(text: str) -> None:
    """Nothing at all is not met with a list of CEL's tokens."""
    assert refusal(text).partition("\n")[0] == "expected a condition (got nothing)"


# --- limits ------------------------------------------------------------------------------------

LITERALS = MAX_NODES - 3  # beside the list, the operator and the field with its operand


def test_an_expression_may_be_so_long_and_no_longer() -> None:
    """The length is counted in characters."""
    padding = "\u00e9" * (MAX_LENGTH - len('"" != ""'))
    assert holds(f'"{padding}" != ""') is True
    assert refusal(f'"{padding}x" != ""').startswith(
        "expected at most 4096 characters (got 4097)\n"
    )


def test_an_expression_may_have_so_many_terms_and_no_more() -> None:
    """Every literal counts."""
    codes = ["'US'"] * (LITERALS - 1)
    assert holds(f"source.country in [{','.join(codes)}]") is True
    message = refusal(f"source.country in [{','.join([*codes, *codes[:2]])}]")
    assert message.startswith("expected at most 512 terms (got more)\n")


TOO_DEEP = {
    "sum": "+".join(["1"] * 40) + " == 40",
    "brackets": "(" * 2000 + "true" + ")" * 2000,
    "lists": "[" * 2000 + "]" * 2000 + " == []",
    "fields": "a." * 1000 + "b",
    "maps": "{" * 2000,
    "choices": "true ? true : " * 200 + "false",
    "calls": "size(" * 500 + "''" + ")" * 500 + " == 0",
}


@pytest.mark.parametrize("name", TOO_DEEP)
def test_an_expression_may_be_nested_so_deep_and_no_deeper(name: str) -> None:
    """Deep nesting is refused in our words, before it can cost anything."""
    assert refusal(TOO_DEEP[name]).partition("\n")[0] == "expected at most 32 levels of nesting"


NESTED = [
    "[1].all(a, [1].all(b, [1].all(c, true)))",
    "[1].all(a, [1].filter(b, b > 0).exists(c, c > a))",
    "[[1]].filter(a, a.exists(b, b > 0)).size() == 1",
    "request.headers.all(a, request.headers.all(b, request.headers[a] != request.headers[b]))",
    "[1, 2].map(a, [a].map(b, b)).size() == 2",
]


@pytest.mark.parametrize("text", NESTED)
def test_comprehensions_do_not_nest(text: str) -> None:
    """A loop that another would repeat is refused wherever it stands."""
    assert refusal(text).startswith("expected no comprehension inside another\n")


IN_A_ROW = [
    'request.headers.exists(a, a == "a") || request.route.all(b, b != "b")',
    "[1, 2].filter(a, a > 1).exists(b, b == 2)",
    "[1, 2].map(a, a * 2).filter(b, b > 2).all(c, c == 4)",
    "[[1].exists(a, a > 0)].exists(b, b)",
]


@pytest.mark.parametrize("text", IN_A_ROW)
def test_comprehensions_may_follow_one_another(text: str) -> None:
    """Loops side by side, and one over what another leaves, are each gone through once."""
    assert holds(text) is True


PATTERN = f"expected a pattern in quotes of at most {MAX_PATTERN} characters"
MATCH = 'request.path.matches("^/v1/")'

COSTLY = {
    "more than four": (" || ".join([MATCH] * 5), "expected matches at most 4 times"),
    "as a function": (
        " || ".join([MATCH] * 4 + ['matches(request.path, "a")']),
        "expected matches at most 4 times",
    ),
    "inside a comprehension": (
        'request.headers.exists(name, name.matches("^x-"))',
        "expected no matches inside a comprehension",
    ),
    "inside the second of two": (
        'request.headers.filter(a, a != "").all(b, b.matches("^x-"))',
        "expected no matches inside a comprehension",
    ),
    "a pattern of a fact": ("request.path.matches(request.query)", PATTERN),
    "a pattern put together": ('request.path.matches("a" + "b")', PATTERN),
    "a pattern of a comprehension": ('request.path.matches(["a"].map(x, x)[0])', PATTERN),
    "a function's pattern of a fact": ('matches("a", request.path)', PATTERN),
    "a long pattern": (f'request.path.matches("{"a" * (MAX_PATTERN + 1)}")', PATTERN),
}


@pytest.mark.parametrize(("text", "message"), COSTLY.values(), ids=COSTLY)
def test_what_regular_expressions_may_cost_is_bounded(text: str, message: str) -> None:
    """Few of them, short ones, written out, and none repeated: a client chooses the text."""
    assert refusal(text).partition("\n")[0] == message


CHEAP = [
    " || ".join([MATCH] * 4),
    'matches(request.path, "^/v1/")',
    f'request.path.matches("{"a?" * (MAX_PATTERN // 2)}")',
    '["a"].exists(a, a != "") && request.path.matches("^/v1/")',
    'request.path.matches("^/v1/") ? [request.path].exists(a, a != "") : false',
]


@pytest.mark.parametrize("text", CHEAP)
def test_a_few_short_regular_expressions_are_fine(text: str) -> None:
    """So many, and so long; also beside a comprehension."""
    assert holds(text, request=Request(path="/v1/chat")) is True


def test_no_comprehension_goes_over_what_matches() -> None:
    """What a comprehension goes through is worked out once, a match in it too."""
    text = 'request.headers.exists(a, a == "x") || [request.path.matches("^/v1/")].exists(b, b)'
    assert holds(text, request=Request(path="/v1/chat")) is True


# --- what is read ------------------------------------------------------------------------------

READS = {
    "true": set[str](),
    'source.country == "US"': {"source.country"},
    '.request.path == ""': {"request.path"},
    'request.headers["x"] == ""': {"request.headers"},
    'has(request.headers.x) && request.headers.x == ""': {"request.headers"},
    "has(key.expires) && key.expires < now": {"key.expires", "now"},
    "source == source": {"source"},
    'dyn(request).path == ""': {"request"},
    '[request].exists(r, r.path == "")': {"request"},
    "type(request) == type(key)": {"request", "key"},
    "string(now) == key.id": {"now", "key.id"},
    "google.protobuf.Timestamp{} == now": {"now"},
    'regiongate.v1.Source{country: request.host}.country == ""': {"request.host"},
    '(key.found ? source : source).country == ""': {"key.found", "source"},
    'source.within("supported")': {"source.country", "source.regions"},
    "key.permits(source)": {
        *("source.country", "source.regions"),
        *("key.allowed_countries", "key.denied_countries", "key.restricted"),
    },
}


@pytest.mark.parametrize(("text", "facts"), READS.items())
def test_a_condition_knows_what_it_reads(text: str, facts: set[str]) -> None:
    """Every fact that an expression looks at is named, at least."""
    assert facts <= LANGUAGE.compile(text).reads


def test_a_condition_knows_the_lists_it_names() -> None:
    """The lists are known without evaluating anything."""
    condition = LANGUAGE.compile('source.within("supported") && !source.within("embargoed")')
    assert condition.lists == {"supported", "embargoed"}
    assert LANGUAGE.compile("key.permits(source)").lists == frozenset()


EVERYTHING = [*CONDITIONS, *(text for text in READS)]


Fact = TypeVar("Fact", Source, Key, Request)


def _mixed(reads: frozenset[str], name: str, read: Fact, other: Fact) -> Fact:
    """Take from one fact what is read and from the other what is not."""
    mixed = copy(other)
    if name in reads:
        return read
    for field in mixed.DESCRIPTOR.fields:
        if f"{name}.{field.name}" in reads:
            mixed.ClearField(field.name)
            mixed.MergeFrom(_only(read, field.name))
    return mixed


def _only(fact: Fact, field: str) -> Fact:
    """Copy one field of a fact."""
    only = copy(fact)
    for other in only.DESCRIPTOR.fields:
        if other.name != field:
            only.ClearField(other.name)
    return only


@LAW
@given(st.sampled_from(EVERYTHING), FACTS, FACTS)
def test_what_a_condition_does_not_read_cannot_change_it(
    text: str, read: Facts, other: Facts
) -> None:
    """Facts beside those that are named may be anything."""
    condition = LANGUAGE.compile(text)
    plain = condition.holds(LANGUAGE.bind(read.source, read.key, read.request, NOW))
    mixed = LANGUAGE.bind(
        _mixed(condition.reads, "source", read.source, other.source),
        _mixed(condition.reads, "key", read.key, other.key),
        _mixed(condition.reads, "request", read.request, other.request),
        NOW,
    )
    assert condition.holds(mixed) == plain


# --- any text, any facts -----------------------------------------------------------------------

TOKENS = st.sampled_from(
    [
        *("source", "key", "request", "now", ".", "country", "within", "permits", "headers"),
        *("(", ")", "[", "]", "{", "}", '"', "'", ",", ":", "?", "&&", "||", "!", "-", "+", "/"),
        *("==", "in", "<", "has", "exists", "all", "map", "x", "1", "1u", "1.5", '"supported"'),
        *(
            "true",
            "null",
            "\n",
            "\r",
            "\t",
            " ",
            "\\",
            "//",
            "\u2028",
            "\u00e9",
            "\U0001f600",
            "\0",
        ),
        *("duration", "timestamp", "dyn", "type", "b", "r", "size", "matches", '"("', "`", "@"),
    ]
)
EXPRESSIONS = st.one_of(
    st.text(max_size=60),
    st.lists(TOKENS, max_size=25).map("".join),
    st.tuples(st.sampled_from(CONDITIONS), st.integers(0, 60), TOKENS).map(
        lambda drawn: f"{drawn[0][: drawn[1]]}{drawn[2]}{drawn[0][drawn[1] :]}"
    ),
)


@settings(LAW, max_examples=500)
@given(EXPRESSIONS)
def test_any_text_is_a_condition_or_an_error(text: str) -> None:
    """Whatever is written, it compiles and can be evaluated, or is refused with a place in it."""
    compiled = _compiled(text)
    if isinstance(compiled, ConditionError):
        assert 0 <= compiled.offset <= len(text)
        assert str(compiled).startswith(f"{compiled.reason}\n")
        assert str(compiled).endswith("^")
    else:
        facts = LANGUAGE.bind(US, Key(), Request(), NOW)
        assert isinstance(compiled.holds(facts), bool | Failed)


def _compiled(text: str) -> Condition | ConditionError:
    try:
        return LANGUAGE.compile(text)
    except ConditionError as error:
        return error


@LAW
@given(st.sampled_from(CONDITIONS), FACTS, MOMENTS)
def test_any_condition_has_an_outcome_for_any_facts(text: str, facts: Facts, now: datetime) -> None:
    """It holds, does not hold or has failed, and never raises."""
    bound = LANGUAGE.bind(facts.source, facts.key, facts.request, now)
    outcome = COMPILED[text].holds(bound)
    assert isinstance(outcome, bool) or outcome.reason
