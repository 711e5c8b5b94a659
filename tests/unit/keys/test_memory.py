"""What is remembered of keys: how much, for how long, and what a change makes of it."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate.keys.entries import Brief
from regiongate.keys.memory import CHANGED, Memory

A, B, C = (bytes([number]) * 32 for number in range(3))
FOREVER: Final = float("inf")


def brief(org: str = "") -> Brief:
    """Return an entry of an organisation."""
    return Brief(b'{"id":"a"}', org, b"{}" if org else None)


def is_fresh(memory: Memory, digest: bytes, now: float = 0.0) -> bool:
    """Say whether a key that is remembered may be used without a doubt."""
    return memory.fresh(digest, now) is not None


def test_a_key_is_fresh_until_its_time() -> None:
    """And after it is remembered still, as one that nothing is known to have happened to."""
    memory = Memory(2)
    record = memory.remember(A, brief(), until=5.0)
    assert is_fresh(memory, A, now=4.9)
    assert not is_fresh(memory, A, now=5.0)
    entry = memory.entry(A)
    assert entry is not None
    assert memory.is_unchanged(A, entry)
    assert memory.record(A, entry) is record


def test_an_unknown_key_is_unknown_until_its_time() -> None:
    """Then it may be anything."""
    memory = Memory(2)
    memory.remember_unknown(A, until=5.0)
    assert memory.entry(A) is None
    assert memory.is_unknown(A, now=4.9)
    assert not memory.is_unknown(A, now=5.0)


def test_each_kind_pushes_out_its_own_the_longest_unused_first() -> None:
    """A flood of made-up keys is no reason to forget a real one."""
    memory = Memory(2)
    for digest in (A, B):
        memory.remember(digest, brief(), FOREVER)
    for number in range(10, 100):
        memory.remember_unknown(bytes([number]) * 32, FOREVER)
    assert (memory.known, memory.unknown) == (2, 2)
    assert memory.entry(A) is not None
    memory.remember(C, brief(), FOREVER)
    assert memory.entry(B) is None
    assert memory.entry(A) is not None


def test_a_key_is_known_or_unknown_and_never_both() -> None:
    """What was said last counts."""
    memory = Memory(2)
    memory.remember_unknown(A, FOREVER)
    memory.remember(A, brief(), FOREVER)
    assert (memory.known, memory.unknown) == (1, 0)
    memory.remember_unknown(A, FOREVER)
    assert (memory.known, memory.unknown) == (0, 1)


@pytest.mark.parametrize("again", [brief("acme"), brief()], ids=["the same", "another"])
def test_the_record_changes_with_what_is_said(again: Brief) -> None:
    """And only then: decisions are remembered by the value of the record's facts."""
    memory = Memory(2)
    before = memory.remember(A, brief("acme"), until=1.0)
    assert (memory.remember(A, again, until=2.0) is before) == (again == brief("acme"))


@pytest.mark.parametrize(
    ("changed", "fresh"),
    [(["acme"], [B, C]), (["globex"], [A, C]), (["acme", "globex"], [C]), ([], [A, B, C])],
)
def test_a_change_of_an_organisation_is_one_of_its_keys(
    changed: list[str], fresh: list[bytes]
) -> None:
    """Of those that were looked up before it; the others are as they were."""
    memory = Memory(3)
    for digest, org in ((A, "acme"), (B, "globex"), (C, "")):
        memory.remember(digest, brief(org), FOREVER)
    memory.doubt_organisations(changed)
    assert [one for one in (A, B, C) if is_fresh(memory, one)] == fresh
    memory.remember(A, brief("acme"), FOREVER)
    assert is_fresh(memory, A)


def test_too_many_changed_organisations_are_a_change_of_everything() -> None:
    """They are counted, so that what is remembered of them has an end, too."""
    memory = Memory(3)
    memory.remember(A, brief("acme"), FOREVER)
    memory.doubt_organisations([str(number) for number in range(CHANGED)])
    assert is_fresh(memory, A)
    memory.doubt_organisations(["one more"])
    assert not is_fresh(memory, A)


def is_outdated(memory: Memory, digest: bytes) -> bool:
    """Say whether a key that is remembered is known to have changed."""
    entry = memory.entry(digest)
    assert entry is not None
    return memory.is_outdated(entry)


@pytest.mark.parametrize("then", ["nothing", "everything", "many organisations"])
def test_what_is_known_to_have_changed_stays_so(then: str) -> None:
    """Until it is looked up: a connection that was lost in between says nothing of it."""
    memory = Memory(3)
    for digest, org in ((A, "acme"), (B, ""), (C, "globex")):
        memory.remember(digest, brief(org), FOREVER)
    memory.doubt_organisations(["acme"])
    if then == "everything":
        memory.doubt_everything()
    if then == "many organisations":
        memory.doubt_organisations([str(number) for number in range(CHANGED)])
    assert is_outdated(memory, A)
    assert not is_outdated(memory, B)
    assert is_outdated(memory, C) == (then == "many organisations")
    memory.remember(A, brief("acme"), FOREVER)
    assert not is_outdated(memory, A)


STEPS: Final = st.one_of(
    st.tuples(st.just("known"), st.sampled_from([A, B, C]), st.sampled_from(["", "acme"])),
    st.tuples(st.just("unknown"), st.sampled_from([A, B, C]), st.just("")),
    st.tuples(st.just("doubt"), st.sampled_from([A, B, C]), st.just("")),
    st.tuples(st.just("organisation"), st.just(b""), st.just("acme")),
    st.tuples(st.just("everything"), st.just(b""), st.just("")),
)


@given(st.lists(STEPS, max_size=30))
def test_what_a_change_was_told_of_is_never_fresh(steps: list[tuple[str, bytes, str]]) -> None:
    """Until it is looked up again, whatever happens in between."""
    memory, expected = Memory(10), dict[bytes, tuple[str, bool]]()
    for what, digest, org in steps:
        match what:
            case "known":
                memory.remember(digest, brief(org), FOREVER)
                expected[digest] = (org, True)
            case "unknown":
                memory.remember_unknown(digest, FOREVER)
                expected.pop(digest, None)
            case "doubt":
                memory.doubt(digest)
                expected |= {one: (expected[one][0], False) for one in {digest} & expected.keys()}
            case "organisation":
                memory.doubt_organisations([org])
                expected |= {one: (o, f and o != org) for one, (o, f) in expected.items()}
            case "everything":
                memory.doubt_everything()
                expected |= {one: (o, False) for one, (o, _) in expected.items()}
        fresh = {one for one in (A, B, C) if is_fresh(memory, one)}
        assert fresh == {one for one, (_, f) in expected.items() if f}
