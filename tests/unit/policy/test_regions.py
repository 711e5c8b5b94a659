"""Which places lie in a list, where a key may be used, and what two lists have in common."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate.countries import country_of
from regiongate.facts import Key, Source
from regiongate.policy.regions import RegionList, narrow, permits
from tests.policies import CODES, CRIMEA, UNKNOWN, US

LAW = settings(max_examples=200, derandomize=True, deadline=None)
LISTS = st.frozensets(st.sampled_from(CODES))
PLACES = st.sampled_from(CODES).map(
    lambda code: Source(country=country_of(code), regions=[code] if "-" in code else [])
)

CONTAINS = [
    # codes, source, whether it lies in the list
    ({"US"}, US, True),
    ({"FR"}, US, False),
    (set[str](), US, False),
    ({"UA"}, CRIMEA, True),
    ({"UA-43"}, CRIMEA, True),
    ({"UA-14"}, CRIMEA, False),
    ({"UA-43"}, Source(country="UA"), False),
    ({"US-CA"}, Source(country="US", regions=["US-NV", "US-CA"]), True),
    ({"US", "FR"}, UNKNOWN, False),
    ({""}, UNKNOWN, False),
    ({"UA-43"}, Source(regions=["UA-43"]), False),
    ({"US"}, Source(registered_country="US"), False),
]


@pytest.mark.parametrize(("codes", "source", "inside"), CONTAINS)
def test_a_place_lies_in_a_list_by_its_own_code_or_its_countrys(
    codes: set[str], source: Source, *, inside: bool
) -> None:
    """The unknown lies in no list, and where a network is registered does not count."""
    assert RegionList(frozenset(codes)).contains(source) is inside


WITHOUT = [
    # source, whether it lies in Ukraine without Crimea
    (Source(country="UA"), True),
    (Source(country="UA", regions=["UA-32"]), True),
    (CRIMEA, False),
    (Source(country="UA", regions=["UA-32", "UA-43"]), False),
    (US, False),
    (UNKNOWN, False),
]


@pytest.mark.parametrize(("source", "inside"), WITHOUT)
def test_a_list_may_hold_a_country_without_a_subdivision(source: Source, *, inside: bool) -> None:
    """What is taken away is out, whatever else the place lies in."""
    assert RegionList(frozenset({"UA"}), frozenset({"UA-43"})).contains(source) is inside


def key(allowed: list[str] | None = None, denied: list[str] | None = None) -> Key:
    """Make a key with an allowed list, where there is one, and denied countries."""
    return Key(
        restricted=allowed is not None,
        allowed_countries=allowed or [],
        denied_countries=denied or [],
    )


PERMITS = [
    # key, source, whether it may be used there
    (key(), US, True),
    (key(), UNKNOWN, True),
    (key(allowed=["US"]), US, True),
    (key(allowed=["FR"]), US, False),
    (key(allowed=["US"]), UNKNOWN, False),
    (key(allowed=[]), US, False),
    (key(allowed=[]), UNKNOWN, False),
    (key(denied=["US"]), US, False),
    (key(denied=["FR"]), US, True),
    (key(denied=["US"]), UNKNOWN, True),
    (key(allowed=["US"], denied=["US"]), US, False),
    (key(allowed=["UA"], denied=["UA-43"]), CRIMEA, False),
    (key(allowed=["UA"], denied=["UA-43"]), Source(country="UA"), True),
    (key(allowed=["UA-43"], denied=["UA"]), CRIMEA, False),
    (key(allowed=["UA-43"]), CRIMEA, True),
    (key(allowed=["UA-43"]), Source(country="UA"), False),
]


@pytest.mark.parametrize(("known", "source", "expected"), PERMITS, ids=str)
def test_a_denied_country_counts_before_an_allowed_one(
    known: Key, source: Source, *, expected: bool
) -> None:
    """An allowed list refuses the unknown, denied countries alone do not."""
    assert permits(known, source) is expected


NARROWED = [
    ({"US", "FR"}, {"FR", "NO"}, {"FR"}),
    ({"UA"}, {"UA-43"}, {"UA-43"}),
    ({"UA-43"}, {"UA"}, {"UA-43"}),
    ({"UA", "UA-43"}, {"UA"}, {"UA", "UA-43"}),
    ({"UA-14"}, {"UA-43"}, set[str]()),
    ({"US"}, set[str](), set[str]()),
    ({"US"}, {"FR"}, set[str]()),
]


@pytest.mark.parametrize(("outer", "inner", "both"), NARROWED)
def test_the_narrower_code_of_each_pair_is_kept(
    outer: set[str], inner: set[str], both: set[str]
) -> None:
    """A subdivision and its country have the subdivision in common."""
    assert narrow(frozenset(outer), frozenset(inner)) == both


@LAW
@given(LISTS, LISTS, LISTS)
def test_narrowing_is_an_intersection(
    one: frozenset[str], two: frozenset[str], three: frozenset[str]
) -> None:
    """Order and grouping do not matter, and a list has itself in common with itself."""
    assert narrow(one, two) == narrow(two, one)
    assert narrow(one, narrow(two, three)) == narrow(narrow(one, two), three)
    assert narrow(one, one) == one
    assert narrow(one, frozenset()) == frozenset()


@LAW
@given(LISTS, LISTS, PLACES)
def test_what_is_narrowed_holds_what_both_hold(
    one: frozenset[str], two: frozenset[str], place: Source
) -> None:
    """A place lies in what two lists have in common exactly when it lies in both."""
    in_both = RegionList(one).contains(place) and RegionList(two).contains(place)
    assert RegionList(narrow(one, two)).contains(place) == in_both


@LAW
@given(LISTS, LISTS, LISTS, PLACES)
def test_narrowing_never_permits_more(
    outer: frozenset[str], inner: frozenset[str], denied: frozenset[str], place: Source
) -> None:
    """A key with a list of its own may be used nowhere that its organisation's may not."""
    organisation = key(sorted(outer), sorted(denied))
    narrowed = key(sorted(narrow(outer, inner)), sorted(denied))
    assert permits(organisation, place) or not permits(narrowed, place)
