"""Keys in a YAML file: what a good one holds, and what is said of each mistake."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from regiongate.documents import DocumentError
from regiongate.facts import Source
from regiongate.keys.digest import Digester
from regiongate.keys.record import KeyRecord, Profile, Status
from regiongate.keys.stores.file import EMPTY, FileStore, load
from regiongate.policy.exemptions import Exemption
from regiongate.policy.regions import RegionList, permits

KEY = b"sk-secret"
DIGEST = f"sha256:{hashlib.sha256(KEY).hexdigest()}"
PEPPERED = f"hmac-sha256:{hmac.digest(b'pepper', KEY, 'sha256').hex()}"
OTHER = f"sha256:{'0' * 64}"

GOOD = f"""
version: 1
organisations:
  acme:
    name: Acme Corporation
    plan: gold
    hq_country: NO
    allowed_countries: [NO, FR, UA]
    labels: {{tier: one}}
    exemptions:
      - id: ex_1
        rule: unsupported-region
        countries: [BR]
        why: Contract 7
        ticket: LEGAL-7
        approved_by: jane@example.com
        begins: 2024-01-01T00:00:00Z
        ends: 2025-01-01T00:00:00+01:00
keys:
  - id: key_1
    digest: {DIGEST}
    org: acme
    status: suspended
    status_reason: three strikes
    display: sk-…ret
    home_country: NO
    allowed_countries: [UA-43, NO]
    denied_countries: [RU]
    created: 2024-01-01T00:00:00Z
    not_before: 2024-01-02T00:00:00Z
    expires: 2025-01-01T00:00:00Z
  - id: key_2
    digest: {OTHER}
"""


def loaded(text: str, pepper: bytes = b"") -> FileStore:
    """Load a key file."""
    return load("keys.yaml", text, Digester(pepper))


async def found(store: FileStore, pepper: bytes = b"") -> KeyRecord:
    """Return the record of KEY."""
    record = await store.find(Digester(pepper).digest(KEY))
    assert record is not None
    return record


# ------------------------------------------------------------------------------- what is right


async def test_a_record() -> None:
    """A key is found by its digest, with all that the file says of it and its organisation."""
    exemption = Exemption(
        id="ex_1",
        rule="unsupported-region",
        countries=RegionList(frozenset({"BR"})),
        why="Contract 7",
        ticket="LEGAL-7",
        approved_by="jane@example.com",
        begins=datetime(2024, 1, 1, tzinfo=UTC),
        ends=datetime(2024, 12, 31, 23, tzinfo=UTC),
    )
    assert await found(loaded(GOOD)) == KeyRecord(
        id="key_1",
        org="acme",
        status=Status.SUSPENDED,
        status_reason="three strikes",
        created=datetime(2024, 1, 1, tzinfo=UTC),
        not_before=datetime(2024, 1, 2, tzinfo=UTC),
        expires=datetime(2025, 1, 1, tzinfo=UTC),
        profile=Profile(
            plan="gold",
            home_country="NO",
            hq_country="NO",
            allowed_countries=frozenset({"NO", "UA-43"}),
            denied_countries=frozenset({"RU"}),
            labels={"tier": "one"},
            exemptions=(exemption,),
        ),
    )


async def test_a_key_of_nobody() -> None:
    """A key needs an id and a digest, and is then active and without restrictions."""
    assert await loaded(GOOD).find(bytes(32)) == KeyRecord(id="key_2")


@pytest.mark.parametrize("digest", [b"", KEY, b"\1" * 32])
async def test_unknown_keys(digest: bytes) -> None:
    """What is not in the file is not found."""
    assert await loaded(GOOD).find(digest) is None
    assert await EMPTY.find(digest) is None


async def test_a_pepper() -> None:
    """With a pepper a key is found by its HMAC, and by nothing else."""
    store = loaded(f"version: 1\nkeys: [{{id: key_1, digest: '{PEPPERED}'}}]", b"pepper")
    assert (await found(store, b"pepper")).id == "key_1"
    assert await store.find(Digester().digest(KEY)) is None


@pytest.mark.parametrize("written", ["''", '""'])
async def test_a_country_may_be_left_open(written: str) -> None:
    """Nothing in quotes is what a key says that says nothing."""
    store = loaded(f"version: 1\nkeys: [{{id: k, digest: '{DIGEST}', home_country: {written}}}]")
    assert await found(store) == KeyRecord(id="k")


@pytest.mark.parametrize("written", ["NO", "'NO'", '"NO"'])
async def test_norway_stays_a_country(written: str) -> None:
    """In this YAML NO is Norway and never false."""
    store = loaded(
        f"version: 1\nkeys: [{{id: k, digest: '{DIGEST}', allowed_countries: [{written}]}}]"
    )
    key = (await found(store)).facts(datetime.now(UTC))
    assert list(key.allowed_countries) == ["NO"]
    assert permits(key, Source(country="NO"))
    assert not permits(key, Source(country="SE"))


def test_exemptions() -> None:
    """Every exemption is told with a key that it belongs to."""
    assert [(key, one.id) for key, one in loaded(GOOD).exemptions()] == [("key_1", "ex_1")]
    assert not list(EMPTY.exemptions())


def test_versions() -> None:
    """The version of a file changes with its text, and with nothing else."""
    versions = {loaded(text).version for text in (GOOD, GOOD, f"{GOOD}\n")}
    assert len(versions) == 2
    assert all(len(version) == 16 for version in versions)


def test_a_store_shows_no_digest() -> None:
    """What a log or a traceback may print of a store says how many keys it has, not which."""
    store = loaded(GOOD)
    assert repr(store) == str(store) == f"FileStore(2 keys, version {store.version})"
    assert (len(store), len(EMPTY)) == (2, 0)


def test_no_keys_yet() -> None:
    """A file without keys is a file."""
    assert len(loaded("version: 1")) == 0


# ------------------------------------------------------------------------------- what is wrong


def key(*fields: str, digest: str = DIGEST) -> str:
    """Write a file of one key, each further field on a line of its own."""
    lines = ["version: 1", "keys:", "  - id: key_1", f"    digest: {digest}"]
    return "\n".join([*lines, *(f"    {field}" for field in fields)])


EXEMPTION = "id: x, rule: r, why: w, ticket: t, approved_by: a, ends: '2025-01-01T00:00:00Z'"
CODE = "expected an ISO 3166 code such as FR or UA-43"
ALGORITHM = "expected sha256: or hmac-sha256: and 64 hexadecimal digits"

MISTAKES: dict[str, tuple[str, str]] = {
    "no YAML": (
        "version: yes: no",
        "1: expected YAML (mapping values are not allowed in this context)",
    ),
    "a list": ("- a", "1: expected a mapping (got ['a'])"),
    "empty": ("", "1: version: expected this key, got nothing"),
    "no version": ("keys: []", "1: version: expected this key, got nothing"),
    "another version": ("version: 2", "1: version: expected 1, the one version there is (got 2)"),
    "a misspelt key": (
        "version: 1\nkees: []",
        "2: kees: expected no key of this name; did you mean keys?",
    ),
    "a key twice": ("version: 1\nversion: 1", "2: version: expected this key once, got it twice"),
    "keys as a mapping": ("version: 1\nkeys: {}", "2: keys: expected a list (got {})"),
    "a key without an id": (
        f"version: 1\nkeys: [{{digest: '{DIGEST}'}}]",
        "2: keys[0].id: expected this key, got nothing",
    ),
    "a key without a digest": (
        "version: 1\nkeys: [{id: key_1}]",
        "2: keys[0].digest: expected this key, got nothing",
    ),
    "the key itself": (key(digest="sk-secret"), f"4: keys[0].digest: {ALGORITHM}"),
    "the key itself beside its digest": (
        key("key: sk-secret"),
        "5: keys[0].key: expected no key of this name; did you mean keys?",
    ),
    "a digest cut short": (key(digest=DIGEST[:-1]), f"4: keys[0].digest: {ALGORITHM}"),
    "a digest by another algorithm": (
        key(digest=PEPPERED),
        "4: keys[0].digest: expected sha256, as no pepper is configured (got hmac-sha256)",
    ),
    "a digest twice": (
        key() + f"\n  - {{id: key_2, digest: '{DIGEST}'}}",
        "5: keys[1].digest: expected each key once (got it twice)",
    ),
    "an id twice": (
        key() + f"\n  - {{id: key_1, digest: '{OTHER}'}}",
        "5: keys[1].id: expected ids that differ (got key_1 twice)",
    ),
    "an unknown organisation": (
        key("org: acme"),
        "5: keys[0].org: expected an organisation (got acme)",
    ),
    "an unknown status": (
        key("status: expired"),
        "5: keys[0].status: expected 'active', 'suspended' or 'revoked' (got 'expired')",
    ),
    "a country that is none": (
        key("allowed_countries: [FR, ZZ]"),
        f"5: keys[0].allowed_countries[1]: {CODE} (got 'ZZ')",
    ),
    "a country in small letters": (
        key("home_country: fr"),
        f"5: keys[0].home_country: {CODE} (got 'fr'); did you mean FR?",
    ),
    "a country that is no text": (
        key("home_country: false"),
        "5: keys[0].home_country: expected text (got false)",
    ),
    "a false country": (
        key("denied_countries: [false]"),
        "5: keys[0].denied_countries[0]: expected text (got false)",
    ),
    "one country": (
        key("denied_countries: FR"),
        "5: keys[0].denied_countries: expected a list (got 'FR')",
    ),
    "a time without an offset": (
        key("expires: 2024-01-01T00:00:00"),
        "5: keys[0].expires: expected a date with an offset from UTC (got 2024-01-01T00:00:00)",
    ),
    "a time that is none": (
        key("not_before: tomorrow"),
        "5: keys[0].not_before: expected a date such as 2024-07-09T00:00:00Z (got 'tomorrow')",
    ),
    "a label that is no text": (
        key("labels: {tier: 1}"),
        "5: keys[0].labels.tier: expected text (got 1)",
    ),
    "two lines": (
        key('status_reason: "a\\nb"'),
        "5: keys[0].status_reason: expected printable text on one line",
    ),
    "an id no header may hold": (
        f"version: 1\nkeys: [{{id: 'a b', digest: '{DIGEST}'}}]",
        "2: keys[0].id: expected text that matches ^[A-Za-z0-9][A-Za-z0-9_.:@/-]*$ (got 'a b')",
    ),
    "an id with a line break": (
        f"version: 1\nkeys: [{{id: \"a\\n\", digest: '{DIGEST}'}}]",
        r"2: keys[0].id: expected text that matches ^[A-Za-z0-9][A-Za-z0-9_.:@/-]*$ (got 'a\n')",
    ),
    "an exemption without a ticket": (
        key(f"exemptions: [{{{EXEMPTION.replace('ticket: t, ', '')}}}]"),
        "5: keys[0].exemptions[0].ticket: expected this key, got nothing",
    ),
    "an exemption without end": (
        key(f"exemptions: [{{{EXEMPTION.rpartition(', ')[0]}}}]"),
        "5: keys[0].exemptions[0].ends: expected this key, got nothing",
    ),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(text: str, message: str) -> None:
    """Each mistake is told with file, line, place, what was expected and what was found."""
    with pytest.raises(DocumentError) as caught:
        loaded(text)
    assert str(caught.value) == f"keys.yaml:{message}"


def test_every_mistake_is_told_at_once() -> None:
    """Nobody has to mend a file line by line."""
    text = f"{key('org: acme', digest='x')}\n  - {{id: key_1, digest: y}}"
    with pytest.raises(DocumentError) as caught:
        loaded(text)
    assert str(caught.value).splitlines() == [
        f"keys.yaml:4: keys[0].digest: {ALGORITHM}",
        "keys.yaml:5: keys[0].org: expected an organisation (got acme)",
        f"keys.yaml:6: keys[1].digest: {ALGORITHM}",
        "keys.yaml:6: keys[1].id: expected ids that differ (got key_1 twice)",
    ]


def test_no_mistake_shows_a_key() -> None:
    """A key that was written in place of its digest does not go on into a log."""
    for digest in ("sk-secret", "'sha256:sk-secret'", f"{DIGEST}sk-secret"):
        with pytest.raises(DocumentError) as caught:
            loaded(key(digest=digest))
        assert "sk-secret" not in str(caught.value)
