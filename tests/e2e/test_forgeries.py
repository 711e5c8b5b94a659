"""No forgery changes the country that is decided: each is tried on a real Envoy, in every wiring.

A forged request is decided as of the country that the client really is in, or it is refused; it is
never decided as of the country it claims, nor as of a proxy's.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.forgeries.attempts import FORGERIES, Attempt, Header, Protocol
from tests.e2e.forgeries.edge import Edge, Outcome, running_edge
from tests.e2e.forgeries.wirings import CLAIMED, MISTAKES, WIRINGS, Wiring

ALLOWED = 200
PROTOCOLS: tuple[Protocol, ...] = ("HTTP/1.0", "HTTP/1.1", "HTTP/2")


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    """Every wiring, right or wrong; in a folder whose name is short enough for Unix sockets."""
    with (
        tempfile.TemporaryDirectory(prefix="regiongate-") as directory,
        running_edge(Path(directory), {**WIRINGS, **MISTAKES}) as running,
    ):
        yield running


def forged(forgery: str, wiring: Wiring) -> Attempt:
    """Return a forgery as it is made for a wiring."""
    return FORGERIES[forgery](Header(wiring.reads.encode()))


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_honest_request_is_decided_as_of_where_it_is_from(
    edge: Edge, wiring: str, protocol: Protocol
) -> None:
    """Without a forgery the client is where it is, or nobody vouches for it."""
    outcome = edge.outcome(wiring, WIRINGS[wiring], Attempt(protocol=protocol))
    country = WIRINGS[wiring].honest
    assert outcome == Outcome(ALLOWED, country, country)


def harmless(outcome: Outcome, attempt: Attempt, wiring: Wiring) -> bool:
    """Say whether a forgery came to nothing, and did not keep the client out where it must not."""
    where = {wiring.honest, ""} if attempt.refusable or wiring.strict else {wiring.honest}
    passed = outcome.status == ALLOWED or attempt.refusable
    return passed and outcome.decided in where and outcome.told == outcome.decided


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_changes_nothing(edge: Edge, forgery: str) -> None:
    """In every wiring the client is where it is, or refused, and the upstream is told no more."""
    harm = {}
    for name, wiring in WIRINGS.items():
        attempt = forged(forgery, wiring)
        outcome = edge.outcome(name, wiring, attempt)
        if not harmless(outcome, attempt, wiring):
            harm[name] = outcome
    assert harm == {}


@pytest.mark.parametrize("wiring", MISTAKES)
def test_the_table_would_notice(edge: Edge, wiring: str) -> None:
    """Where a wiring does let clients choose, many of the forgeries get what they want."""
    decided = Counter(
        edge.outcome(wiring, MISTAKES[wiring], forged(forgery, MISTAKES[wiring])).decided
        for forgery in FORGERIES
    )
    assert decided[CLAIMED] >= 10, decided


def test_there_are_enough() -> None:
    """The table is of at least forty forgeries for each of the wirings that are in use."""
    assert len(FORGERIES) >= 40
    assert len(WIRINGS) >= 13
