"""YAML as operators write it: what is read, how mistakes are told, and what cannot do harm."""

import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from regiongate.documents import (
    DocumentError,
    Integer,
    Model,
    Problem,
    check,
    parse,
    resembling,
    shown,
    spell,
)

LAW = settings(max_examples=300, derandomize=True, deadline=None)

# --- values ------------------------------------------------------------------------------------

SCALARS: dict[str, Any] = {
    # YAML 1.2.2, section 10.3.2
    **{text: text for text in ("NO", "no", "yes", "on", "off", "Y", "n", "tRUE", "nULL")},
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
    "0": 0,
    "-1": -1,
    "+12": 12,
    "017": 17,
    "0o17": 15,
    "0x1F": 31,
    "9" * 300: int("9" * 300),
    "1.5": 1.5,
    ".5": 0.5,
    "5.": 5.0,
    "1e3": 1000.0,
    "-1.5E-3": -0.0015,
    "1e999": math.inf,
    ".inf": math.inf,
    "-.Inf": -math.inf,
    "+.INF": math.inf,
    **{text: text for text in ("1_000", "1:30", "0b1", "0o8", "0xG", "2024-07-09", "1.2.3.4")},
    **{text: text for text in ("1e", ".", "+", "inf", "nan", "..5", "8.8.8.8/24", "=", "<<")},
    "'1'": "1",
    '"true"': "true",
    "'~'": "~",
    '""': "",
    "!!str 1": "1",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    """NO is Norway, a date is text, octal needs its o."""
    read = parse("f", f"key: {text}").data["key"]
    assert (read, type(read)) == (value, type(value))


def test_not_a_number_is_a_number() -> None:
    """NaN is read, and is equal to nothing."""
    assert math.isnan(parse("f", "key: .NaN").data["key"])


READ: dict[str, Any] = {
    "": None,
    "# nothing": None,
    "---\n": None,
    "- a\n- [b, {c: d}]": ["a", ["b", {"c": "d"}]],
    "NO: 1\n2024: 2\ntrue: 3\n~: 4\n1.50: 5": {"NO": 1, "2024": 2, "true": 3, "~": 4, "1.50": 5},
    "\ufeffa: 1": {"a": 1},
    "a: 1\r\nb: 2\r\n": {"a": 1, "b": 2},
    "a: |\n  x\n  y\n": {"a": "x\ny\n"},
    "a: >\n  x\n  y\n": {"a": "x y\n"},
    "%YAML 1.1\n---\na: NO": {"a": "NO"},
    "a: &x [1]\nb: *x": {"a": [1], "b": [1]},
    "a: &x k\n*x : 1": {"a": "k", "k": 1},
    '"\\u00e9": "\\U0001f600"': {"\u00e9": "\U0001f600"},
}


@pytest.mark.parametrize(("text", "data"), READ.items(), ids=ascii)
def test_documents_are_read(text: str, data: object) -> None:
    """Keys are text whatever they look like; an alias is the value it stands for."""
    assert parse("f", text).data == data


def test_an_aliased_value_is_built_once() -> None:
    """However often a value is used, there is one of it."""
    data = parse("f", "a: &x [1]\nb: *x\nc: [*x, *x]").data
    assert data["a"] is data["b"] is data["c"][0] is data["c"][1]


OCTAL = {
    "010": 8,
    "-010": -8,
    "+0100000": 32768,
    "08": 8,
    "0": 0,
    "00": 0,
    "0x10": 16,
    "0o10": "0o10",
    "'010'": "010",
    "010.5": 10.5,
    "10": 10,
}


@pytest.mark.parametrize(("text", "value"), OCTAL.items())
def test_yaml_1_1_has_octal_numbers_of_its_own(text: str, value: object) -> None:
    """For files that are not ours; in ours 010 is 10."""
    assert parse("f", f"a: {text}", octal=True).data == {"a": value}


# --- mistakes ----------------------------------------------------------------------------------

QUOTES = "; put a value that begins with ! in quotes, a condition for instance"

MISTAKES = {
    "a: 1\nb: 2\na: 3": "f:3: a: expected this key once, got it twice",
    "a:\n  b: 1\n  'b': 2": "f:3: a.b: expected this key once, got it twice",
    "1: a\n'1': b": "f:2: 1: expected this key once, got it twice",
    "a: 1\na: 2\na: 3": "f:2: a: expected this key once, got it twice\n"
    "f:3: a: expected this key once, got it twice",
    "a:\n  ? [b]\n  : 1": "f:2: a: expected a key that is text",
    "{a: 1}: b": "f:1: expected a key that is text",
    "- &a [1, *a]": "f:1: [0][1]: expected a value, got one that contains itself",
    "a: &a\n  b: {c: *a}": "f:1: a.b.c: expected a value, got one that contains itself",
    "a: [&a {b: *a}, &b [*b]]": "f:1: a[0].b: expected a value, got one that contains itself\n"
    "f:1: a[1][0]: expected a value, got one that contains itself",
    "a:\n- !x b": f"f:2: a[0]: expected a plain value, got the tag !x{QUOTES}",
    "when: !key.found": f"f:1: when: expected a plain value, got the tag !key.found{QUOTES}",
    "when: !key.found && x": "f:1: expected YAML"
    f" (did not find expected alphabetic or numeric character){QUOTES}",
    "a:\n- {when: !source.within('x'), b: 1}": "f:2: a[0].when: expected a plain value,"
    f" got the tag !source.within('x'){QUOTES}",
    'a:\n- {b: 1, when: !source.within("x")}': "f:2: expected YAML"
    f" (did not find expected whitespace or line break){QUOTES}",
    "a: 'x! y' z": "f:1: expected YAML (did not find expected key)",
    "a: !!binary aGk=": "f:1: a: expected a plain value, got the tag tag:yaml.org,2002:binary",
    "a: !!timestamp 2024-07-09": "f:1: a: expected a plain value,"
    " got the tag tag:yaml.org,2002:timestamp",
    "a: !!python/name:os.system ''": "f:1: a: expected a plain value,"
    " got the tag tag:yaml.org,2002:python/name:os.system",
    "a: *b": "f:1: expected YAML (found undefined alias)",
    "a: &x 1\nb: &x 2": "f:2: expected YAML (second occurrence)",
    "a:\n\tb: 1": "f:2: expected YAML (found character that cannot start any token)",
    "a: [1, 2": "f:2: expected YAML (did not find expected ',' or ']')",
    'a: "b': "f:1: expected YAML (found unexpected end of stream)",
    'a: "\\x"': "f:1: expected YAML (did not find expected hexdecimal number)",
    'a: "\\ud800"': "f:1: expected YAML (found invalid Unicode character escape code)",
    "a: 1\n---\nb: 2": "f:2: expected YAML (but found another document)",
    "a: b: c": "f:1: expected YAML (mapping values are not allowed in this context)",
    "%YAML 2.0\n---\na": "f:1: expected YAML (found incompatible YAML document)",
    "a: @b": "f:1: expected YAML (found character that cannot start any token)",
    # Tags that promise what the text does not hold.
    "a: !!int x": "f:1: a: expected a whole number, as tagged (got 'x')",
    "a: !!int 1.5": "f:1: a: expected a whole number, as tagged (got '1.5')",
    "a: !!float x": "f:1: a: expected a number, as tagged (got 'x')",
    "a: !!bool x": "f:1: a: expected true or false, as tagged (got 'x')",
    "a: !!null x": "f:1: a: expected null, as tagged (got 'x')",
    "a: !x [1]": f"f:1: a: expected a plain value, got the tag !x{QUOTES}",
    "a: !x {b: 1}": f"f:1: a: expected a plain value, got the tag !x{QUOTES}",
    "a: !!set {b, c}": "f:1: a: expected a plain value, got the tag tag:yaml.org,2002:set",
    "a: !!str [b]": "f:1: a: expected a value that fits the tag tag:yaml.org,2002:str",
    "a: !!int [b]": "f:1: a: expected a value that fits the tag tag:yaml.org,2002:int",
    "a: !!map [b]": "f:1: a: expected a value that fits the tag tag:yaml.org,2002:map",
    "a: !!seq {b: 1}": "f:1: a: expected a value that fits the tag tag:yaml.org,2002:seq",
    # Python itself refuses what has 4300 digits or more.
    f"a: {'1' * 301}": f"f:1: a: expected a smaller number (got '{'1' * 59}…)",
    f"a: {'1' * 5000}": f"f:1: a: expected a smaller number (got '{'1' * 59}…)",
    f"a: -0{'0' * 5000}": f"f:1: a: expected a smaller number (got '-{'0' * 58}…)",
    f"a: 0x{'f' * 5000}": f"f:1: a: expected a smaller number (got '0x{'f' * 57}…)",
    "a: \0": "f:1: expected YAML (control characters are not allowed)",
    "a: 1\nb: \x07": "f:2: expected YAML (control characters are not allowed)",
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.items(), ids=lambda text: ascii(text[:30]))
def test_mistakes_are_told_with_their_line(text: str, message: str) -> None:
    """What is not YAML, or means two things, or means something to others, is refused."""
    with pytest.raises(DocumentError) as caught:
        parse("f", text)
    assert str(caught.value) == message


# --- the model ---------------------------------------------------------------------------------


class Inner(Model):
    """A part."""

    count: Integer = 0
    words: list[str] = Field(default_factory=list)


class Outer(Model):
    """A document."""

    needed: str
    inner: Inner = Inner()
    many: dict[str, Inner] = Field(default_factory=dict)
    several: list[Inner] = Field(default_factory=list)


UNFIT = {
    "": "f:1: needed: expected this key, got nothing",
    "~": "f:1: needed: expected this key, got nothing",
    "text": "f:1: expected a mapping (got 'text')",
    "[]": "f:1: expected a mapping (got [])",
    "needed: 5": "f:1: needed: expected text (got 5)",
    "needed: true": "f:1: needed: expected text (got true)",
    "needed: ~": "f:1: needed: expected text (got null)",
    "needed: x\ninner: 5": "f:2: inner: expected a mapping (got 5)",
    "needed: x\ninner: {}\nneded: y": "f:3: neded: expected no key of this name;"
    " did you mean needed?",
    "needed: x\ninner:\n  cuont: 1": "f:3: inner.cuont: expected no key of this name;"
    " did you mean count?",
    "needed: x\nxyz: 1": "f:2: xyz: expected no key of this name",
    "needed: x\ninner:\n  words: a": "f:3: inner.words: expected a list (got 'a')",
    "needed: x\ninner:\n  words:\n  - a\n  - [b]": "f:5: inner.words[1]: expected text (got ['b'])",
    "needed: x\nmany:\n  a b: {count: z}": "f:3: many.a b.count: expected a whole number (got 'z')",
    "needed: x\nseveral:\n- {}\n- {count: 1.5}": "f:4: several[1].count:"
    " expected a whole number (got 1.5)",
    "needed: x\ninner: {count: true}": "f:2: inner.count: expected a whole number (got true)",
    "needed: x\nseveral:\n- &a {words: 1}\n- *a": "f:3: several[0].words:"
    " expected a list (got 1)\nf:3: several[1].words: expected a list (got 1)",
    "inner: {count: x, wrods: []}": "f:1: needed: expected this key, got nothing\n"
    "f:1: inner.count: expected a whole number (got 'x')\n"
    "f:1: inner.wrods: expected no key of this name; did you mean words?",
    f"needed: [{'a' * 99}]": f"f:1: needed: expected text (got ['{'a' * 58}…)",
}


@pytest.mark.parametrize(("text", "message"), UNFIT.items(), ids=lambda text: ascii(text[:30]))
def test_what_does_not_fit_the_model_is_told_with_its_place(text: str, message: str) -> None:
    """Every problem names the key, the line, what was expected and what was found."""
    with pytest.raises(DocumentError) as caught:
        check(parse("f", text), Outer)
    assert str(caught.value) == message


def test_what_fits_is_the_model() -> None:
    """The value is of the model's type and does not change."""
    read = check(parse("f", "needed: x\nmany: {a: {count: 1}}"), Outer)
    assert read == Outer(needed="x", many={"a": Inner(count=1)})
    with pytest.raises(ValueError, match="Instance is frozen"):
        read.needed = "y"


SPELLED = [
    ((), ""),
    (("a",), "a"),
    (("a", 0, "b"), "a[0].b"),
    ((0, 1), "[0][1]"),
    (("a b", "c.d"), "a b.c.d"),
]


@pytest.mark.parametrize(("path", "text"), SPELLED)
def test_paths_are_spelt_as_a_person_would(path: tuple[str | int, ...], text: str) -> None:
    """Keys with dots between them, indexes in brackets."""
    assert spell(path) == text


SHOWN = [
    ("a", "'a'"),
    ("a\nb", r"'a\nb'"),
    (5, "5"),
    # As they are written in YAML.
    (None, "null"),
    (True, "true"),
    (False, "false"),
    ("x" * 99, f"'{'x' * 59}…"),
    (["x" * 99], f"['{'x' * 58}…"),
    ([[[[[[[[0]]]]]]]], "[[[[[[[...]]]]]]]"),
    ([0] * 9, "[0, 0, 0, 0, 0, 0, 0, 0, ...]"),
]


@pytest.mark.parametrize(("value", "text"), SHOWN)
def test_values_are_shown_short_and_on_one_line(value: object, text: str) -> None:
    """A message never quotes more than a person reads."""
    assert shown(value) == text


RESEMBLING = [
    # what is written, what is known, what a message ends with
    ("suported", ["embargoed", "supported"], "; did you mean supported?"),
    ("cuba", ["embargoed", "supported"], ""),
    ("supported", [], ""),
]


@pytest.mark.parametrize(("name", "known", "ending"), RESEMBLING)
def test_a_name_that_is_known_is_suggested_for_one_that_is_not(
    name: str, known: list[str], ending: str
) -> None:
    """The one that it resembles most; nothing where it resembles none."""
    assert resembling(name, known) == ending


PLACES = [
    # path, line
    ((), 1),
    (("a",), 2),
    (("a", "b"), 3),
    (("a", "b", 1), 4),
    (("a", "b", 5), 2),
    (("a", "c"), 1),
    (("x",), 1),
    (("a", "b", 1, "y", "z"), 4),
]


@pytest.mark.parametrize(("path", "line"), PLACES)
def test_a_problem_is_at_its_value_or_at_what_should_hold_it(
    path: tuple[str | int, ...], line: int
) -> None:
    """What is missing is looked for where it should be."""
    document = parse("f", "a:\n  b:\n    - 1\n    - 2\n")
    assert document.problem(path, "m") == Problem("f", line, spell(path), "m")


# --- what could do harm ------------------------------------------------------------------------

# In a process of its own: what goes wrong here goes wrong for the whole process.
CHECK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from regiongate.documents import DocumentError, check, parse
from regiongate.policy.schema import PolicyFile
try:
    check(parse("f", eval(sys.argv[1])), PolicyFile)
except DocumentError as error:
    print(error)
"""

LEVELS = (
    "('a0: &a0 [x, x, x, x, x, x, x, x, x, x]\\n' + ''.join("
    "f'a{i}: &a{i} [' + ', '.join([f'*a{i - 1}'] * 10) + ']\\n' for i in range(1, LEVELS)))"
)
SQUIB, BOMB = LEVELS.replace("LEVELS", "4"), LEVELS.replace("LEVELS", "12")
LISTS = (
    "'regions:\\n  r0: &r [' + 'x,' * 1000 + ']\\n'"
    " + ''.join(f'  r{i}: *r\\n' for i in range(1, 1000))"
)
TOO_MUCH = "expected aliases that stand for at most 100000 values"
DEEP = "f:1: expected at most 100 levels of nesting"
HARMFUL = {
    # what is read: how the message begins
    "brackets": ("'[' * 100_000", DEEP),
    "brackets that close": ("'[' * 100_000 + ']' * 100_000", DEEP),
    "brackets, not so many": ("'[' * 2_000 + ']' * 2_000", DEEP),
    "braces": ("'{a: ' * 20_000", DEEP),
    "dashes": ("'- ' * 20_000", DEEP),
    "indents": ("''.join(f'{\" \" * i}a:\\n' for i in range(1_000))", "f:101: expected at most"),
    "what a bomb is made of": (SQUIB, "f:1: a0: expected no key of this name"),
    "as much for a mapping": (f"{SQUIB} + 'policies: *a3'", "f:4: policies: expected a mapping"),
    "as much for a number": (
        f"{SQUIB} + 'version: *a3'",
        "f:4: version: expected a whole number (got [[[['x', 'x', ",
    ),
    "a bomb for no key": (BOMB, f"f:4: a4[7]: {TOO_MUCH}"),
    "a bomb for a mapping": (f"{BOMB} + 'policies: *a11'", f"f:4: a4[7]: {TOO_MUCH}"),
    "a bomb for a number": (f"{BOMB} + 'version: *a11'", f"f:4: a4[7]: {TOO_MUCH}"),
    "a thousand lists of a thousand mistakes": (LISTS, f"f:2: regions.r100: {TOO_MUCH}"),
    "a staircase of aliases": (
        "'- &a0 [x]\\n' + ''.join(f'- &a{i} [*a{i - 1}]\\n' for i in range(1, 20_000))",
        f"f:446: [446][0]: {TOO_MUCH}",
    ),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_no_document_exhausts_the_process(name: str) -> None:
    """Deep nesting and aliases of aliases are short errors, in bounded time and memory."""
    text, begins = HARMFUL[name]
    done = subprocess.run(
        [sys.executable, "-c", CHECK, text], capture_output=True, timeout=5, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert any(line.startswith(begins) for line in done.stdout.splitlines())
    assert max(map(len, done.stdout.splitlines())) < 200


@pytest.mark.parametrize("text", ["[" * 100 + "]" * 100, "{a: " * 100 + "1" + "}" * 100])
def test_a_hundred_levels_are_read_and_no_more(text: str) -> None:
    """The limit is far above what any file of ours needs, and exact."""
    assert parse("f", text).root is not None
    with pytest.raises(DocumentError, match=rf"^{DEEP}$"):
        parse("f", f"[{text}]")


def test_aliases_may_stand_for_so_many_values_and_no_more() -> None:
    """Values that are written out do not count, however many there are."""
    hundred = f"- &a [{'1,' * 99}]\n"
    assert len(parse("f", hundred + "- *a\n" * 1000).data) == 1001
    with pytest.raises(DocumentError) as caught:
        parse("f", hundred + "- *a\n" * 1001)
    assert str(caught.value) == f"f:1: [1001]: {TOO_MUCH}"


# --- whatever is written -----------------------------------------------------------------------

SYNTAX = st.lists(
    st.sampled_from(
        [
            *(
                "a",
                "b",
                ": ",
                ":",
                "- ",
                "? ",
                "\n",
                "\n  ",
                "\n    ",
                " ",
                "\t",
                ",",
                "#",
                "|",
                ">",
            ),
            *(
                "[",
                "]",
                "{",
                "}",
                "&a ",
                "*a",
                "'",
                '"',
                "\\",
                "%",
                "@",
                "`",
                "!x ",
                "<<",
                "---",
                "...",
            ),
            *(
                "1",
                "-",
                "+",
                ".",
                "0x",
                "0o",
                "e5",
                ".inf",
                ".nan",
                "~",
                "true",
                "\u00e9",
                "\u2028",
            ),
        ]
    ),
    max_size=25,
).map("".join)


@LAW
@given(SYNTAX | st.text(max_size=60))
def test_any_text_is_a_document_or_an_error(text: str) -> None:
    """Whatever is written, it is read and checked or its problems are told."""
    problems: tuple[Problem, ...] = ()
    try:
        check(parse("f", text), Outer)
    except DocumentError as error:
        problems = error.problems or (Problem("", 0, "", ""),)
    last = sum(map(text.count, "\n\r\u0085\u2028\u2029")) + 2
    assert all(1 <= one.line <= last and one.message for one in problems)
