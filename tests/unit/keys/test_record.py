"""What is known about a key: by the clock, and within what its organisation says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate.facts import Key, Source
from regiongate.keys.record import (
    ABSENT,
    PROFILE_FIELDS,
    UNKNOWN,
    KeyRecord,
    Profile,
    Status,
    malformed,
)
from regiongate.policy.exemptions import Exemption
from regiongate.policy.regions import permits

NOW = datetime(2024, 7, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
TOKYO = timezone(timedelta(hours=9))

# ------------------------------------------------------------------------------ by the clock

ACTIVE, SUSPENDED, REVOKED = Status.ACTIVE, Status.SUSPENDED, Status.REVOKED

# What is recorded, and what it is at NOW: the status, or None for a key that is not known.
STATUSES: dict[str, tuple[KeyRecord, str | None]] = {
    "active": (KeyRecord(id="k"), "active"),
    "suspended": (KeyRecord(id="k", status=SUSPENDED), "suspended"),
    "revoked": (KeyRecord(id="k", status=REVOKED), "revoked"),
    "expires later": (KeyRecord(id="k", expires=NOW + MOMENT), "active"),
    "expires now": (KeyRecord(id="k", expires=NOW), "expired"),
    "expired": (KeyRecord(id="k", expires=NOW - MOMENT), "expired"),
    "expired elsewhere": (KeyRecord(id="k", expires=NOW.astimezone(TOKYO)), "expired"),
    "expired while suspended": (KeyRecord(id="k", status=SUSPENDED, expires=NOW), "expired"),
    "revoked, and then expired": (KeyRecord(id="k", status=REVOKED, expires=NOW), "revoked"),
    "begins later": (KeyRecord(id="k", not_before=NOW + MOMENT), None),
    "begins now": (KeyRecord(id="k", not_before=NOW), "active"),
    "began": (KeyRecord(id="k", not_before=NOW - MOMENT), "active"),
    "revoked before it begins": (KeyRecord(id="k", status=REVOKED, not_before=NOW + DAY), None),
    "expired before it begins": (KeyRecord(id="k", not_before=NOW + DAY, expires=NOW), None),
    "begun and expired": (KeyRecord(id="k", not_before=NOW - DAY, expires=NOW), "expired"),
}


@pytest.mark.parametrize(("record", "expected"), STATUSES.values(), ids=STATUSES)
def test_status_by_the_clock(record: KeyRecord, expected: str | None) -> None:
    """A key is unknown before it begins, expired from its end on, and revoked for ever."""
    key = record.facts(NOW)
    assert (key.status or None, key.found, key.presented) == (expected, bool(expected), True)


def test_a_key_lives_through_its_time() -> None:
    """One record gives each answer at its time, whatever it was asked before."""
    record = KeyRecord(id="k", not_before=NOW, expires=NOW + DAY)
    moments = [NOW - MOMENT, NOW, NOW + DAY - MOMENT, NOW + DAY]
    expected = ["", "active", "active", "expired"]
    assert [record.facts(moment).status for moment in moments] == expected
    assert [record.facts(moment).status for moment in reversed(moments)] == expected[::-1]


def test_all_that_is_known() -> None:
    """A policy sees what is recorded, lists in order."""
    record = KeyRecord(
        id="key_1",
        org="acme",
        status_reason="not shown",
        created=NOW - DAY,
        expires=NOW + DAY,
        profile=Profile(
            plan="gold",
            home_country="FR",
            billing_country="DE",
            hq_country="NO",
            ownership_countries=("US", "CA"),
            allowed_countries=frozenset({"UA-43", "FR", "DE"}),
            denied_countries=frozenset({"RU", "IR"}),
            labels={"tier": "1"},
        ),
    )
    expected = Key(
        found=True,
        presented=True,
        id="key_1",
        org="acme",
        status="active",
        plan="gold",
        home_country="FR",
        billing_country="DE",
        hq_country="NO",
        ownership_countries=["US", "CA"],
        allowed_countries=["DE", "FR", "UA-43"],
        denied_countries=["IR", "RU"],
        labels={"tier": "1"},
        created=NOW - DAY,
        expires=NOW + DAY,
        restricted=True,
    )
    assert record.facts(NOW) == expected


RESTRICTIONS = {None: False, frozenset[str](): True, frozenset({"FR"}): True}


@pytest.mark.parametrize(("allowed", "restricted"), RESTRICTIONS.items())
def test_nowhere_is_not_everywhere(allowed: frozenset[str] | None, *, restricted: bool) -> None:
    """A list with nothing on it allows nothing; only no list at all allows everything."""
    key = KeyRecord(id="k", profile=Profile(allowed_countries=allowed)).facts(NOW)
    france = Source(status="located", country="FR")
    assert key.restricted is restricted
    assert permits(key, france) is (allowed is None or "FR" in allowed)


def test_keys_without_a_record() -> None:
    """No key, an unknown one and a malformed one are told apart, and none is found."""
    assert Key() == ABSENT
    assert Key(presented=True) == UNKNOWN
    assert malformed("the key is empty") == Key(presented=True, problem="the key is empty")


# --------------------------------------------------------------- within what the organisation says


def exemption(name: str) -> Exemption:
    """Make an exemption."""
    return Exemption(id=name, rule="*", why="w", ticket="t", approved_by="a", ends=NOW)


ONE, TWO = exemption("one"), exemption("two")
GERMANY, FRANCE, BOTH = frozenset({"DE"}), frozenset({"FR"}), frozenset({"DE", "FR"})

# field: what the organisation says, what the key says, what holds
INHERITED: list[tuple[str, object, object, object]] = [
    ("plan", "gold", "", "gold"),
    ("plan", "gold", "iron", "iron"),
    ("home_country", "FR", "", "FR"),
    ("home_country", "FR", "DE", "DE"),
    ("billing_country", "FR", "", "FR"),
    ("hq_country", "", "DE", "DE"),
    ("ownership_countries", ("US", "CA"), (), ("US", "CA")),
    ("ownership_countries", ("US", "CA"), ("FR",), ("FR",)),
    ("allowed_countries", None, None, None),
    ("allowed_countries", BOTH, None, BOTH),
    ("allowed_countries", None, FRANCE, FRANCE),
    ("allowed_countries", BOTH, FRANCE, FRANCE),
    ("allowed_countries", GERMANY, FRANCE, frozenset()),
    ("allowed_countries", frozenset(), FRANCE, frozenset()),
    ("allowed_countries", FRANCE, frozenset(), frozenset()),
    ("allowed_countries", frozenset({"UA"}), frozenset({"UA-43"}), frozenset({"UA-43"})),
    ("allowed_countries", frozenset({"UA-43"}), frozenset({"UA"}), frozenset({"UA-43"})),
    ("allowed_countries", frozenset({"UA-43"}), frozenset({"UA-40"}), frozenset()),
    ("denied_countries", GERMANY, frozenset(), GERMANY),
    ("denied_countries", GERMANY, FRANCE, BOTH),
    ("labels", {"a": "1", "b": "1"}, {"b": "2", "c": "2"}, {"a": "1", "b": "2", "c": "2"}),
    ("exemptions", (ONE,), (TWO,), (TWO, ONE)),
]


@pytest.mark.parametrize(("name", "outer", "inner", "expected"), INHERITED)
def test_what_a_key_inherits(name: str, outer: object, inner: object, expected: object) -> None:
    """A key has what its organisation says, and its own word within that."""
    narrowed = Profile(**{name: outer}).narrowed(Profile(**{name: inner}))  # type: ignore[arg-type]
    assert getattr(narrowed, name) == expected


def test_every_field_is_inherited() -> None:
    """A field added to a profile cannot be forgotten here."""
    assert {name for name, *_ in INHERITED} == {*PROFILE_FIELDS}


CODES = ["FR", "DE", "UA", "UA-43", "UA-40", "GB", "GB-ENG", "GB-LND"]
REGIONS = {"UA": ["UA-43", "UA-40"], "GB": ["GB-ENG", "GB-LND"]}
COUNTRIES = st.frozensets(st.sampled_from(CODES), max_size=4)
PROFILES = st.builds(
    Profile,
    allowed_countries=st.none() | COUNTRIES,
    denied_countries=COUNTRIES | st.just(frozenset()),
)
ANYWHERE = st.sampled_from(["", "FR", "DE", "UA", "GB"]).flatmap(
    lambda country: st.lists(st.sampled_from(REGIONS.get(country, [""])), unique=True).map(
        lambda regions: Source(country=country, regions=filter(None, regions))
    )
)
law = settings(max_examples=400, deadline=None, derandomize=True, database=None)


def allows(profile: Profile, source: Source) -> bool:
    """Say whether a key of this profile may be used where the source is."""
    return permits(KeyRecord(id="k", profile=profile).facts(NOW), source)


@law
@given(organisation=PROFILES, own=PROFILES, source=ANYWHERE)
def test_a_key_never_goes_where_its_organisation_may_not(
    organisation: Profile, own: Profile, source: Source
) -> None:
    """A key may only narrow what its organisation says, and what it says itself."""
    if allows(organisation.narrowed(own), source):
        assert allows(organisation, source)
        assert allows(own, source)


@law
@given(organisation=PROFILES, own=PROFILES, source=ANYWHERE)
def test_nothing_else_is_taken_away(organisation: Profile, own: Profile, source: Source) -> None:
    """Where both lists name the country itself, the key may be used."""
    bare = Source(country=source.country)
    both = allows(organisation, bare) and allows(own, bare)
    assert allows(organisation.narrowed(own), bare) is both


@law
@given(own=PROFILES, source=ANYWHERE)
def test_an_organisation_that_says_nothing_changes_nothing(own: Profile, source: Source) -> None:
    """A key of an organisation without restrictions has its own."""
    assert Profile().narrowed(own) == own == own.narrowed(Profile())
    assert allows(Profile().narrowed(own), source) is allows(own, source)


@law
@given(organisation=PROFILES, own=PROFILES)
def test_narrowing_twice_is_narrowing_once(organisation: Profile, own: Profile) -> None:
    """Saying the same again takes nothing away."""
    once = organisation.narrowed(own)
    assert organisation.narrowed(once) == once
