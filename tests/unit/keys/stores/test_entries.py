"""The form that every store keeps keys in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate.keys import entries
from regiongate.keys.entries import EntryError, KeyModel, OrganisationModel

DIGEST = f"sha256:{'0' * 64}"
COUNTRIES = st.lists(st.sampled_from(["FR", "DE", "UA-43", "XK"]), unique=True)
MOMENTS = st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001 the zone is added
    datetime(2100, 1, 1),  # noqa: DTZ001 likewise
    timezones=st.timezones(),
).map(lambda one: one.isoformat())
EXEMPTIONS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["EX-1", "b"]),
        "rule": st.sampled_from(["*", "region"]),
        "why": st.just("w"),
        "ticket": st.just("T"),
        "approved_by": st.just("é"),
        "ends": st.just("2030-01-01T00:00:00+05:30"),
    }
)
KEYS = st.fixed_dictionaries(
    {"id": st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.:@/-]{0,20}\Z"), "digest": st.just(DIGEST)},
    optional={
        "org": st.just("acme"),
        "plan": st.just("gold"),
        "status": st.sampled_from(["active", "suspended", "revoked"]),
        "allowed_countries": st.none() | COUNTRIES,
        "denied_countries": COUNTRIES,
        "ownership_countries": COUNTRIES,
        "labels": st.dictionaries(st.text(), st.text(), max_size=3),
        "exemptions": st.lists(EXEMPTIONS, max_size=2),
        "created": MOMENTS,
    },
)
NO_ENTRIES = {
    "no JSON": b"{",
    "no object": b"[]",
    "no id": b'{"digest":"x"}',
    "an unknown field": b'{"id":"a","digest":"x","plam":"y"}',
}


@given(KEYS)
def test_what_is_written_is_read(values: dict[str, Any]) -> None:
    """Nothing is lost on the way through a store."""
    key = KeyModel.model_validate(values)
    assert entries.read(entries.write(key), KeyModel) == key


@given(KEYS, st.lists(COUNTRIES, max_size=1))
def test_what_a_check_sees_does_not_depend_on_the_store(
    values: dict[str, Any], allowed: list[list[str]]
) -> None:
    """Of entries as they are kept, the same record is made as of the entries themselves."""
    key = KeyModel.model_validate(values)
    organisation = OrganisationModel.model_validate(
        {"plan": "team", **({"allowed_countries": allowed[0]} if allowed else {})}
    )
    kept = entries.write(key), entries.write(organisation)
    assert entries.brief(*kept).record() == entries.record(key, organisation)
    assert entries.brief(kept[0], None).record() == entries.record(key, None)


@pytest.mark.parametrize("kept", NO_ENTRIES.values(), ids=NO_ENTRIES)
def test_what_is_no_entry(kept: bytes) -> None:
    """It is an error that does not show what is kept."""
    with pytest.raises(EntryError) as refused:
        entries.read(kept, KeyModel)
    assert str(refused.value)
