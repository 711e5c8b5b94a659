"""Observations: they add up, and what another version has written is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate.doctor.observation import (
    Addresses,
    Observation,
    ObservationError,
    quantile,
    total,
)

counts = st.dictionaries(st.sampled_from(["0", "1", "2"]), st.integers(1, 99))
addresses = st.builds(Addresses, kinds=counts, distinct=st.integers(0, 99), most=counts)
observations = st.builds(
    Observation,
    checks=st.integers(0, 99),
    recent=st.integers(0, 99),
    unjudged=counts,
    peers=addresses,
    clients=addresses,
    entries=counts,
    p99=st.integers(0, 99),
)


@given(observations)
def test_what_is_written_is_read(observed: Observation) -> None:
    """Through JSON, and whatever else a newer version may tell."""
    written = json.loads(json.dumps({**observed.written(), "newer": {"deep": []}}))
    assert Observation.read(written) == observed


@given(observations, observations, observations)
def test_the_order_of_workers_does_not_matter(
    one: Observation, two: Observation, three: Observation
) -> None:
    """Counts are added, and the slowest worker's time stands for all."""
    summed = total([one, two, three])
    assert summed == total([three, one, two])
    assert summed.recent == one.recent + two.recent + three.recent
    assert summed.p99 == max(one.p99, two.p99, three.p99)


def test_no_worker_has_observed_nothing() -> None:
    """Which is not an error."""
    assert total([]) == Observation()


def test_one_address_at_every_worker_is_one_address() -> None:
    """Addresses are told apart by what is shown of them."""
    one = Observation(clients=Addresses(kinds={"private": 3}, distinct=1, most={"10.0.0.7": 3}))
    assert total([one, one]).clients == Addresses(
        kinds={"private": 6}, distinct=1, most={"10.0.0.7": 6}
    )


OTHER: dict[str, tuple[Any, str]] = {
    "a list": ([], "an observation: expected Mapping (got list)"),
    "text": ({"recent": "7"}, "recent: expected int (got str)"),
    "true": ({"recent": True}, "recent: expected int (got bool)"),
    "counts of text": ({"entries": {"1": "2"}}, "entries: expected int (got str)"),
    "entries that are no number": ({"entries": {"x": 2}}, "entries: expected numbers (got 'x')"),
    "addresses": ({"peers": 3}, "an observation: expected Mapping (got int)"),
}


@pytest.mark.parametrize(("written", "message"), OTHER.values(), ids=OTHER)
def test_something_else_is_refused(written: Any, message: str) -> None:
    """Whoever answers at the address."""
    with pytest.raises(ObservationError) as error:
        Observation.read(written)
    assert str(error.value) == message


QUANTILES = {"of none": ([], 0), "of one": ([7], 7), "of a hundred": (list(range(100)), 99)}


@pytest.mark.parametrize(("ordered", "value"), QUANTILES.values(), ids=QUANTILES)
def test_the_time_of_one_in_a_hundred(ordered: list[int], value: int) -> None:
    """The value that 99 of 100 do not exceed."""
    assert quantile(ordered, 0.99) == value
