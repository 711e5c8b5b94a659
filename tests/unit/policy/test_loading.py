"""From a policy file to what is decided by; and whatever is written, an answer or an error."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate import policy
from regiongate.documents import DocumentError, Problem
from regiongate.facts import Source
from regiongate.policy import PolicySet, Verdict
from regiongate.policy.model import Format, Refusal, Response, Suspension
from regiongate.policy.phases import ALWAYS, Phase, Schedule
from regiongate.policy.regions import RegionList
from tests.policies import CRIMEA, IRAN, NORWAY, UNKNOWN, US, Mutable, decide, load, no_files

LAW = settings(max_examples=150, derandomize=True, deadline=None)

WHOLE = """\
version: 1
regions:
  supported: [US, CA, FR, DE, JP, NO, UA]
  embargoed: [CU, IR, KP, UA-43, UA-14, UA-09]
  from-file: {file: list.txt}
  rest: {union: [supported, from-file], minus: [embargoed]}
policies:
  default:
    mode: enforce
    rules:
      - name: revoked-key
        when: key.found && key.status in ["revoked", "expired"]
        deny: {reason: invalid_api_key, status: 401}
      - name: embargoed-territory
        when: source.within("embargoed")
        deny: {reason: unsupported_country_region_territory, message: Not there}
        exemptable: false
      - name: staff
        when: key.labels.staff == "yes"
        allow: true
      - name: partner
        when: key.plan == "partner"
        allow: {reason: contract}
        mode: shadow
      - name: unsupported-region
        when: |
          !source.within("supported")
        deny: {reason: unsupported_country_region_territory}
        phases:
          observe: 2024-06-01T00:00:00Z
          warn: 2024-06-25T02:00:00+02:00
          enforce: 2024-07-09
          zone: Europe/Paris
        suspend: {after: 100, within: 24h}
    otherwise: allow
  internal: {rules: [], otherwise: allow}
  closed: {mode: shadow, rules: [], otherwise: deny}
  worded: {rules: [], otherwise: {deny: {reason: maintenance, status: 503}}}
responses:
  maintenance:
    status: 503
    format: template
    content_type: application/json
    body: '{"why": "${reason}"}'
"""


def with_list(text: str) -> Callable[[str], str]:
    """Read list.txt and nothing else."""
    return {"list.txt": text}.__getitem__


LOADED = load(WHOLE, with_list("# what else\nBR\n\n  SE  # the north\r\nXK"))


def test_the_lists_are_as_written() -> None:
    """In full, from a file, and made of others."""
    codes = {name: set(regions.codes) for name, regions in LOADED.regions.items()}
    assert codes["supported"] == {"US", "CA", "FR", "DE", "JP", "NO", "UA"}
    assert codes["from-file"] == {"BR", "SE", "XK"}
    assert list(codes) == ["supported", "embargoed", "from-file", "rest"]


def test_the_rules_are_as_written() -> None:
    """In their order, with everything they say."""
    revoked, embargo, staff, partner, unsupported = LOADED.policies["default"].rules
    assert (revoked.name, revoked.refusal) == ("revoked-key", Refusal("invalid_api_key", 401))
    assert (revoked.exemptable, revoked.shadow, revoked.schedule) == (True, False, ALWAYS)
    assert (revoked.suspension, revoked.reason) == (None, "invalid_api_key")
    assert embargo.refusal == Refusal(embargo.reason, None, "Not there")
    assert not embargo.exemptable
    assert (staff.refusal, staff.reason) == (None, "allowed")
    assert (partner.refusal, partner.reason, partner.shadow) == (None, "contract", True)
    assert unsupported.condition.text == '!source.within("supported")\n'
    assert unsupported.suspension == Suspension(100, unsupported.suspension.within)  # type: ignore[union-attr] # it is there


def test_moments_are_read_with_their_offset_or_the_zone() -> None:
    """An offset stands; a local time is of the zone beside it."""
    schedule = LOADED.policies["default"].rules[-1].schedule
    begins = [begin.astimezone(UTC) for _, begin in schedule.phases()]
    assert begins == [
        datetime(2024, 6, 1, tzinfo=UTC),
        datetime(2024, 6, 25, tzinfo=UTC),
        datetime(2024, 7, 8, 22, tzinfo=UTC),
    ]


def test_what_follows_when_no_rule_applies() -> None:
    """Allow, deny, or deny with a reason; in shadow or not."""
    otherwise = {name: one.otherwise for name, one in LOADED.policies.items()}
    assert otherwise == {
        "default": None,
        "internal": None,
        "closed": Refusal("otherwise"),
        "worded": Refusal("maintenance", 503),
    }
    assert [name for name, one in LOADED.policies.items() if one.shadow] == ["closed"]


def test_the_responses_are_as_written() -> None:
    """By reason."""
    assert dict(LOADED.responses) == {
        "maintenance": Response(
            status=503,
            format=Format.TEMPLATE,
            content_type="application/json",
            body='{"why": "${reason}"}',
        )
    }


def test_the_digest_is_that_of_all_that_was_read() -> None:
    """A change in the file or in a list it names is another policy; nothing else is."""
    texts = [(WHOLE, "BR"), (WHOLE, "SE"), (f"{WHOLE}#", "BR")]
    digests = [load(text, with_list(codes)).digest for text, codes in texts]
    assert len(set(digests)) == 3
    assert load(WHOLE, with_list("BR")).digest == digests[0]
    assert policy.load("other.yaml", WHOLE, with_list("BR")).digest == digests[0]


def test_norway_is_a_country() -> None:
    """NO is text in YAML 1.2, in a list, as a key and in a file."""
    text = "version: 1\nregions: {a: [NO], b: {file: list.txt}}\n"
    text += "policies: {default: {rules: [], otherwise: allow}}\n"
    lists = load(text, with_list("NO")).regions
    assert lists["a"].codes == lists["b"].codes == {"NO"}


def regions(written: str, read: Callable[[str], str] = no_files) -> PolicySet:
    """Load a file that has these lists."""
    return load(
        f"version: 1\npolicies: {{default: {{rules: [], otherwise: allow}}}}\nregions: {written}",
        read,
    )


COMBINED = [
    # union, minus, what is left, without
    ("US, FR", "FR", {"US"}, set[str]()),
    ("US, FR", "NO", {"US", "FR"}, set[str]()),
    ("UA, UA-43, US", "UA", {"US"}, set[str]()),
    ("UA-43, UA-14", "UA-43", {"UA-14"}, set[str]()),
    ("US", "", {"US"}, set[str]()),
    ("UA, US", "UA-43", {"UA", "US"}, {"UA-43"}),
    ("UA, UA-43", "UA-43, UA-14, US-CA", {"UA"}, {"UA-43", "UA-14"}),
    ("UA, US", "UA, UA-43", {"US"}, set[str]()),
]


@pytest.mark.parametrize(("union", "minus", "left", "without"), COMBINED)
def test_lists_are_added_and_subtracted(
    union: str, minus: str, left: set[str], without: set[str]
) -> None:
    """A country takes its subdivisions along; a subdivision is taken out of its country."""
    lists = regions(f"{{a: [{union}], b: [{minus}], c: {{union: [a], minus: [b]}}}}").regions
    assert lists["c"] == RegionList(frozenset(left), frozenset(without))


SUBTRACTED = [
    ("[US, FR]", "[FR]", Source(country="FR")),
    ("[UA, US]", "[UA]", CRIMEA),
    ("[UA-43, US]", "[UA]", CRIMEA),
    ("[UA-43, US]", "[UA-43]", CRIMEA),
    ("[UA, US]", "[UA-43]", CRIMEA),
]


@pytest.mark.parametrize(("union", "minus", "source"), SUBTRACTED)
def test_what_is_subtracted_is_not_in_the_list(union: str, minus: str, source: Source) -> None:
    """A place that was taken away is not in the list, though its country is."""
    text = f"{{a: {union}, b: {minus}, c: {{union: [a], minus: [b]}}}}"
    assert not regions(text).regions["c"].contains(source)


@pytest.mark.parametrize("order", [("b", "c"), ("c", "b")], ids=" before ".join)
def test_a_combined_list_is_not_made_of_combined_lists(order: tuple[str, str]) -> None:
    """What the one takes out would come back by way of the other, whichever stands first."""
    written = {"b": "{union: [a], minus: [x]}", "c": "{union: [b]}"}
    combined = ", ".join(f"{name}: {written[name]}" for name in order)
    with pytest.raises(DocumentError) as caught:
        regions(f"{{a: [UA], x: [UA-43], {combined}}}")
    expected = "regions.c.union[0]: expected a list written in full or kept in a file"
    assert str(caught.value).endswith(f"{expected} (got 'b', which is itself combined)")


def test_a_mistake_in_a_list_is_told_by_the_path_of_the_list() -> None:
    """It lies beside the policy that names it, wherever that is."""
    text = "version: 1\nregions: {a: {file: l.txt}, b: {file: /etc/b.txt}}\n"
    text += "policies: {default: {rules: [], otherwise: allow}}\n"
    with pytest.raises(DocumentError) as caught:
        policy.load("/etc/gate/policy.yaml", text, lambda _: "\nATLANTIS")
    assert [problem.file for problem in caught.value.problems] == ["/etc/b.txt", "/etc/gate/l.txt"]


def test_ukraine_may_be_listed_without_crimea() -> None:
    """The rest of a country stays in the list from which a subdivision was taken."""
    combined = regions("{a: [UA], b: [UA-43], c: {union: [a], minus: [b]}}").regions["c"]
    assert combined.contains(Source(country="UA"))
    assert combined.contains(Source(country="UA", regions=["UA-32"]))
    assert not combined.contains(CRIMEA)


@pytest.mark.parametrize("text", ["", "\n# none\n"])
def test_a_list_file_without_a_code_is_refused(text: str) -> None:
    """It was cut short, or is not there yet; what is to be empty is written as an empty list."""
    with pytest.raises(DocumentError) as caught:
        regions("{a: {file: list.txt}}", with_list(text))
    message = "policy.yaml:3: regions.a.file: list.txt: expected a code a line (got none)"
    assert str(caught.value).startswith(message)
    assert regions("{a: []}").regions["a"].codes == set()


def test_a_list_file_that_is_not_utf8_is_refused() -> None:
    """The policy that names it is where the mistake is shown."""

    def read(_: str) -> str:
        return b"\xff".decode()

    with pytest.raises(DocumentError) as caught:
        regions("{a: {file: list.txt}}", read)
    message = "policy.yaml:3: regions.a.file: list.txt: expected a readable list of codes ('utf-8'"
    assert str(caught.value).startswith(message)


ZONES = [
    # phases, the moment in UTC
    ("{enforce: 2024-07-09T00:00:00Z}", datetime(2024, 7, 9, tzinfo=UTC)),
    ("{enforce: '2024-07-09 00:00:00+00:00'}", datetime(2024, 7, 9, tzinfo=UTC)),
    ("{enforce: 2024-07-09T00:00:00-07:00}", datetime(2024, 7, 9, 7, tzinfo=UTC)),
    ("{enforce: 2024-07-09, zone: UTC}", datetime(2024, 7, 9, tzinfo=UTC)),
    ("{enforce: 2024-07-09, zone: Asia/Kolkata}", datetime(2024, 7, 8, 18, 30, tzinfo=UTC)),
    ("{enforce: 2024-07-09T12:00, zone: America/New_York}", datetime(2024, 7, 9, 16, tzinfo=UTC)),
    ("{enforce: 2024-12-09T12:00, zone: America/New_York}", datetime(2024, 12, 9, 17, tzinfo=UTC)),
    ("{enforce: 2024-07-09T00:00:00Z, zone: Asia/Tokyo}", datetime(2024, 7, 9, tzinfo=UTC)),
]


@pytest.mark.parametrize(("phases", "moment"), ZONES)
def test_a_date_is_midnight_where_the_zone_says(phases: str, moment: datetime) -> None:
    """The zone gives a date and a local time their offset, summer time included."""
    rule = f"{{name: a, when: 'true', deny: {{reason: x}}, phases: {phases}}}"
    text = f"version: 1\npolicies: {{default: {{rules: [{rule}], otherwise: allow}}}}"
    schedule: Schedule = load(text).policies["default"].rules[0].schedule
    assert [(phase, begin.astimezone(UTC)) for phase, begin in schedule.phases()] == [
        (Phase.ENFORCE, moment)
    ]


STORY = [(US, Verdict.ALLOW), (NORWAY, Verdict.ALLOW), (IRAN, Verdict.DENY)]


@pytest.mark.parametrize(
    ("source", "verdict"), [*STORY, (CRIMEA, Verdict.DENY), (UNKNOWN, Verdict.DENY)]
)
def test_the_policy_decides_as_it_reads(source: Source, verdict: Verdict) -> None:
    """The whole file, end to end."""
    assert decide(LOADED, source).verdict is verdict


# --- whatever is written -----------------------------------------------------------------------


def attempt(text: str) -> None:
    """Load a text; a DocumentError that says something is the only way to fail."""
    problems: tuple[Problem, ...] = ()
    try:
        policy.load("policy.yaml", text, with_list_or_none)
    except DocumentError as error:
        problems = error.problems or (Problem("", 0, "", ""),)
    assert all(one.line >= 1 and one.message for one in problems)


def with_list_or_none(name: str) -> str:
    """Read list.txt; nothing else is there."""
    return "BR\nXX\n" if name == "list.txt" else no_files(name)


@settings(LAW, max_examples=300)
@given(st.text(max_size=80))
def test_any_text_is_a_policy_or_an_error(text: str) -> None:
    """No text makes the loader fail in another way."""
    attempt(text)


FRAGMENTS = st.sampled_from(
    [
        *(
            "[",
            "]",
            "{",
            "}",
            ":",
            ": ",
            "- ",
            "\n",
            "\n  ",
            "\t",
            ",",
            "#",
            "|",
            ">",
            "%",
            "@",
            "`",
        ),
        *("'", '"', "\\", "&a ", "*a", "&a [*a]", "!x ", "? ", "<<: *a", "---\n", "...\n", "~", ""),
        *("null", "true", "no", "0", "-1", "1e999", ".nan", "0x1F", "2024-07-09", "\u00e9", "\0"),
        *("\ufeff", "\u2028", "\x7f", "\U0001f600", "source", "'US'", "&&", "(", ")", "${x}", "$"),
    ]
)


@LAW
@given(st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 12), FRAGMENTS), max_size=4))
def test_a_policy_with_anything_written_over_it_is_a_policy_or_an_error(
    edits: list[tuple[int, int, str]],
) -> None:
    """Typing errors anywhere in a good file are told as problems."""
    text = WHOLE
    for place, length, fragment in edits:
        text = f"{text[:place]}{fragment}{text[place + length :]}"
    attempt(text)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(),
        st.sampled_from(
            ["", "US", "allow", "deny", "supported", "2024-07-09", "1h", "${", "list.txt"]
        ),
        st.text(max_size=8),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["reason", "file", "union", "deny", "status", "zone", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)

TREE: Mutable = {
    "version": 1,
    "regions": {
        "supported": ["US"],
        "made": {"union": ["supported"]},
        "read": {"file": "list.txt"},
    },
    "policies": {
        "default": {
            "mode": "enforce",
            "rules": [
                {
                    "name": "one",
                    "when": "key.found",
                    "deny": {"reason": "x", "status": 403, "message": "no"},
                    "exemptable": False,
                    "mode": "shadow",
                    "phases": {"zone": "UTC", "observe": "2024-06-01", "enforce": "2024-07-01"},
                    "suspend": {"after": 1, "within": "1h"},
                },
                {"name": "two", "when": "true", "allow": True},
            ],
            "otherwise": {"deny": {"reason": "y"}},
        }
    },
    "responses": {"x": {"status": 403, "format": "template", "body": "b", "content_type": "a/b"}},
}


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container with every key or index in it."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    inner = [value[key] for key in keys if isinstance(value[key], dict | list)]
    return [*((value, key) for key in keys), *(place for one in inner for place in _places(one))]


@settings(LAW, max_examples=300)
@given(st.data())
def test_a_policy_with_any_value_in_any_place_is_a_policy_or_an_error(data: st.DataObject) -> None:
    """A value of any kind where another was expected is told as a problem."""
    tree = copy.deepcopy(TREE)
    for _ in range(data.draw(st.integers(1, 2))):
        container, key = data.draw(st.sampled_from(_places(tree)))
        container[key] = data.draw(VALUES)
    attempt(json.dumps(tree, ensure_ascii=False))
