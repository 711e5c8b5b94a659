"""What is allowed in a policy and told of all the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from regiongate import policy
from regiongate.documents import spell
from regiongate.policy.lint import lint

NOW = datetime(2026, 11, 22, tzinfo=UTC)

DENY = "deny: {reason: invalid_api_key}"
TO_COME = f"{DENY}, phases: {{observe: 2027-01-01T00:00:00Z, enforce: 2027-07-09T00:00:00Z}}"

CAREFUL = """
version: 1
regions: {supported: [FI, AX], embargoed: [CU]}
policies:
  default:
    rules:
      - name: inactive
        when: key.found && key.status != "active"
        deny: {reason: invalid_api_key}
      - {name: contract, when: '!key.permits(source)', deny: {reason: no, message: not here}}
      - name: region
        when: '!source.within("supported")'
        deny: {reason: unsupported_country_region_territory}
    otherwise: allow
"""


def findings(text: str, *, subdivisions: bool = True, keys: bool = True) -> list[str]:
    """Return what is found, as `path: message`."""
    policies = policy.load("policy.yaml", text, str)
    found = lint(policies, NOW, subdivisions=subdivisions, keys=keys)
    return [f"{spell(one.path)}: {one.message}" for one in found]


def default(rules: str, otherwise: str = "deny") -> str:
    """Return a policy file of some rules."""
    return f"""
version: 1
regions: {{some: [FR-971, CU], part: [UA-43], britain: [GB]}}
policies: {{default: {{rules: [{rules}], otherwise: {otherwise}}}}}
"""


def rule(name: str, when: str, more: str = DENY) -> str:
    """Return a rule."""
    return f"{{name: {name}, when: {when!r}, {more}}}"


MISTAKES = {
    "a country without its territories": (
        default(rule("r", '!source.within("britain")')),
        [("regions.britain: GB is listed without AI, BM, FK, GG, GI, GS, IM, IO, JE, KY, MS, PN,"
         " SH, TC, VG, which have codes of their own; list those that are meant")],
    ),
    "a deny-list": (
        default(rule("r", 'source.within("some")'), "allow"),
        [("policies.default: refuses places by name (r) and lets a client of unknown country pass;"
         ' add a rule for source.status != "located" or an allow-list')],
    ),
    "an allow-list whose dates are to come": (
        default(rule("r", '!source.within("part")', TO_COME), "allow"),
        [],
    ),
    "a deny-list whose dates are to come": (
        default(rule("r", 'source.within("part")', TO_COME), "allow"),
        [("policies.default: refuses places by name (r) and lets a client of unknown country pass;"
         ' add a rule for source.status != "located" or an allow-list')],
    ),
    "a deny-list before an allow-list whose dates are to come": (
        default(
            ", ".join([
                rule("a", 'source.within("some")'),
                rule("b", '!source.within("part")', TO_COME),
            ]),
            "allow",
        ),
        [],
    ),
    "a deny-list before one for the unknown": (
        default(
            rule("r", 'source.within("some")') + ", " + rule("u", 'source.status != "located"'),
            "allow",
        ),
        [],
    ),
    "no rule at all": (
        default("", "allow"),
        ["policies.default: allows everything: it has no rule and ends in allow"],
    ),
    "no rule, and nothing passes": (default("", "deny"), []),
    "a rule behind one that always decides": (
        default(", ".join([rule("all", "true"), rule("r", "key.found")])),
        ["policies.default.rules[1]: can never be reached: all decides before it"],
    ),
    "a rule behind one of the same condition": (
        default(", ".join([rule("a", "key.found"), rule("r", "key.found ")])),
        ["policies.default.rules[1]: can never be reached: a decides before it"],
    ),
    "a rule behind one in shadow": (
        default(
            ", ".join(
                [
                    rule("all", "true", "deny: {reason: invalid_api_key}, mode: shadow"),
                    rule("r", "key.found"),
                ]
            )
        ),
        [],
    ),
    "a rule that never applies": (
        default(rule("r", "1 > 2")),
        ["policies.default.rules[0].when: never applies: the condition is always false"],
    ),
    "a reason without a response": (
        default(rule("r", "key.found", "deny: {reason: odd}")),
        [("policies.default.rules[0].deny.reason: odd has no entry under responses; clients are"
         " told 403 'Request not allowed'")],
    ),
    "a reason with words of its own": (
        default(rule("r", "key.found", "deny: {reason: odd, message: no}")),
        [],
    ),
    "names of headers in capitals": (
        default(", ".join([
            rule("a", 'request.headers["X-Api-Key"] == ""'),
            rule("b", '"User-Agent" in request.headers && "x-ok" in request.headers'),
            rule("c", "has(request.headers.Cookie) && request.headers.Cookie == 'X-Y'"),
        ])),
        [
            ("policies.default.rules[0].when: there is no header X-Api-Key: their names are in"
             " lower case; write x-api-key"),
            ("policies.default.rules[1].when: there is no header User-Agent: their names are in"
             " lower case; write user-agent"),
            ("policies.default.rules[2].when: there is no header Cookie: their names are in"
             " lower case; write cookie"),
        ],
    ),
    "countries that are none": (
        default(", ".join([
            rule("a", 'source.country == "UK" || "GB" == source.country'),
            rule("b", '"EL" != key.home_country && source.country != ""'),
            rule("c", 'source.country in ["FR", "UA-43", "usa"]'),
            rule("d", 'key.plan == "UK" || request.host in ["UK"] || source.country == key.plan'),
        ])),
        [
            ("policies.default.rules[0].when: source.country is never UK: it is an ISO 3166-1"
             " code such as FR; did you mean GB?"),
            ("policies.default.rules[1].when: key.home_country is never EL: it is an ISO 3166-1"
             " code such as FR; did you mean GR?"),
            ("policies.default.rules[2].when: source.country is never UA-43: it is an ISO 3166-1"
             " code such as FR"),
            ("policies.default.rules[2].when: source.country is never usa: it is an ISO 3166-1"
             " code such as FR; did you mean US?"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_most_likely_not_meant_is_told(name: str) -> None:
    """Each finding names its place and what would settle it."""
    text, expected = MISTAKES[name]
    assert findings(text, keys=False) == expected


def test_a_careful_policy_has_nothing_to_tell() -> None:
    """A list with its territories, key rules, an allow-list: no finding."""
    assert findings(CAREFUL) == []


def test_subdivisions_need_a_database_that_knows_them() -> None:
    """Only lists that a condition names are looked at."""
    text = default(rule("r", '!source.within("part")'))
    assert findings(text, keys=False, subdivisions=True) == []
    assert findings(text, keys=False, subdivisions=False) == [
        (
            "regions.part: UA-43 can never match: the databases in use know countries alone; use a"
            " city-level database"
        )
    ]


EMPTY = {
    # a list, whether nothing is on it
    "[]": True,
    "[FI, AX]": False,
    "{union: [some], minus: [some]}": True,
    "{union: [part], minus: [country]}": True,
    "{union: [none]}": True,
    "{union: [country], minus: [part]}": False,
    "{union: [some], minus: [none]}": False,
}


@pytest.mark.parametrize("when", ['source.within("s")', '!source.within("s")'])
@pytest.mark.parametrize("written", EMPTY)
def test_a_list_with_nothing_on_it_is_told_of(written: str, when: str) -> None:
    """Written so or come to that: it refuses nobody, or everybody; an unused one does neither."""
    lists = f"{{some: [CU], part: [UA-43], country: [UA], none: [], s: {written}}}"
    text = f"""
version: 1
regions: {lists}
policies: {{default: {{rules: [{rule("r", when)}], otherwise: deny}}}}
"""
    told = 'is empty: source.within("s") is false for everybody; list the places that are meant'
    assert findings(text, keys=False) == ([f"regions.s: {told}"] if EMPTY[written] else [])


@pytest.mark.parametrize("counts", [True, False])
def test_a_suspension_needs_a_store_that_counts(*, counts: bool) -> None:
    """A key file does not, and neither does a service without a key store."""
    text = default(", ".join([
        rule("a", "source.tor"),
        rule("b", "source.vpn", f"{DENY}, suspend: {{after: 3, within: 24h}}"),
    ]))  # fmt: skip
    policies = policy.load("policy.yaml", text, str)
    found = lint(policies, NOW, subdivisions=True, counts=counts)
    told = "suspends no key: refusals are counted in SQLite and Redis, and keys.store is neither"
    expected = [] if counts else [f"policies.default.rules[1].suspend: {told}"]
    assert [f"{spell(one.path)}: {one.message}" for one in found] == expected


def test_a_policy_that_does_not_look_at_keys_is_told_of() -> None:
    """Where there is a key store, revoking a key or limiting its countries must mean something."""
    text = default(rule("r", 'source.country != "FR"'))
    assert findings(text, keys=False) == []
    assert findings(text, keys=True) == [
        (
            "policies.default: lets a revoked key pass; add a rule that denies"
            ' key.found && key.status != "active"'
        ),
        (
            "policies.default: lets a key pass outside its own countries; add a rule that denies"
            " !key.permits(source)"
        ),
    ]
