"""What every store that commands can change does alike."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from regiongate.keys import entries, status
from regiongate.keys.cache import CachedStore
from regiongate.keys.entries import KeyModel, OrganisationModel
from regiongate.keys.record import Status
from regiongate.keys.register import (
    Change,
    Conflict,
    Kept,
    Kind,
    Numbered,
    Register,
    change_key,
    change_organisation,
)
from regiongate.keys.stores import opening
from tests.integration.keys.made_up import (
    NOON,
    NOTE,
    adding,
    digest,
    following,
    key,
    numbered,
    strikes,
    until,
)

ACME = OrganisationModel(plan="team", allowed_countries=["FR", "DE"])


def added(register: Register, *names: str) -> None:
    """Add keys that nothing is said about."""
    register.commit([adding(name, key(name)) for name in names], NOTE)


def labelled(key: KeyModel, label: str) -> KeyModel:
    """Add a label to what a key has."""
    return key.model_copy(update={"labels": {**key.labels, label: "yes"}})


# ------------------------------------------------------------------------- keeping and finding


def test_what_is_added_is_kept(register: Register) -> None:
    """A key is found by its id and by its digest, as it was written."""
    entry = key("a", plan="gold", allowed_countries=[], labels={"x": "é"}, expires=NOON.isoformat())
    register.commit([adding("a", entry)], NOTE)
    by_id, by_digest = register.key("a"), register.key_of(digest("a"))
    assert isinstance(by_id, Kept)
    assert by_id == by_digest
    assert by_id.entry == entry
    assert by_id.revision


def test_what_is_not_there_is_not_found(register: Register) -> None:
    """An unknown id or digest is None."""
    assert register.key("a") is None
    assert register.key_of(digest("a")) is None
    assert register.organisation("acme") is None


def test_lists_are_in_the_order_of_the_ids(register: Register) -> None:
    """Every key and organisation is listed once."""
    names = [f"k{number}" for number in range(1200)]
    register.commit([adding("z", ACME), adding("b", OrganisationModel())], NOTE)
    added(register, *names)
    listed = [entries.read(kept, KeyModel).id for kept in register.every_key()]
    assert listed == sorted(names)
    assert [id_ for id_, _ in register.every_organisation()] == ["b", "z"]


async def test_a_key_speaks_within_its_organisation(register: Register, url: str) -> None:
    """What a Check sees is the key's word narrowed by the organisation's."""
    within = key("a", org="acme", allowed_countries=["DE", "US"])
    register.commit([adding("acme", ACME), adding("a", within)], NOTE)
    async with following(url) as store:
        record = await store.find(digest("a"))
    assert record is not None
    assert record.profile.allowed_countries == frozenset({"DE"})
    assert record.profile.plan == "team"


async def test_exemptions_are_told_with_their_key(register: Register, url: str) -> None:
    """The exemptions of keys and of their organisations are found among many keys."""
    exemption = {
        "id": "EX",
        "rule": "*",
        "why": "w",
        "ticket": "T",
        "approved_by": "b",
        "ends": "2030-01-01T00:00:00Z",
    }
    org = OrganisationModel.model_validate({"exemptions": [exemption]})
    entry = key("a", exemptions=[{**exemption, "id": "EX-A"}])
    changes = [adding("acme", org), adding("a", entry), adding("b", key("b", org="acme"))]
    register.commit(changes, NOTE)
    added(register, "c")
    told = opening.source(url, Path("/")).exemptions()
    assert sorted((id_, one.id) for id_, one in told) == [("a", "EX-A"), ("b", "EX")]


# ------------------------------------------------------------------------------------- changes


MISFITS: Sequence[tuple[str, Callable[[int], Change], str]] = (
    ("an id twice", lambda _: adding("a", key("a")), "a: expected an id that is new"),
    (
        "a digest twice",
        lambda _: adding("b", key("b", digest=key("a").digest)),
        "b: expected a digest that no other key has, and another one has it",
    ),
    (
        "no such organisation",
        lambda _: adding("b", key("b", org="nobody")),
        "b: expected an organisation that is there (got nobody)",
    ),
    (
        "an old revision",
        lambda revision: Change(kind=Kind.KEY, id="a", revision=revision + 7, entry=key("a")),
        "a: expected it as it was read, and it is changed",
    ),
    (
        "gone",
        lambda revision: Change(kind=Kind.KEY, id="x", revision=revision, entry=key("x")),
        "x: expected it as it was read, and it is gone",
    ),
    (
        "an organisation with keys",
        lambda revision: Change(
            kind=Kind.ORGANISATION, id="acme", revision=revision - 1, entry=None
        ),
        "acme: expected an organisation without keys",
    ),
)


@pytest.mark.parametrize(
    ("make", "said"), [case[1:] for case in MISFITS], ids=[case[0] for case in MISFITS]
)
def test_what_does_not_fit_changes_nothing(
    register: Register, make: Callable[[int], Change], said: str
) -> None:
    """A change that does not fit is refused, with all that was to be made with it."""
    register.commit([adding("acme", ACME)], NOTE)
    register.commit([adding("a", key("a", org="acme"))], NOTE)
    kept = register.key("a")
    assert kept is not None
    with pytest.raises(Conflict) as refused:
        register.commit([adding("new", key("new")), make(kept.revision)], NOTE)
    assert str(refused.value) == said
    assert register.key("new") is None
    assert register.key("a") == kept


def test_removing(register: Register) -> None:
    """What is removed is gone, and its id and digest are free."""
    register.commit([adding("acme", ACME), adding("a", key("a", org="acme"))], NOTE)
    for kind, id_ in ((Kind.KEY, "a"), (Kind.ORGANISATION, "acme")):
        kept = register.key(id_) if kind is Kind.KEY else register.organisation(id_)
        assert kept is not None
        register.commit([Change(kind=kind, id=id_, revision=kept.revision, entry=None)], NOTE)
    assert register.key("a") is None
    assert register.organisation("acme") is None
    added(register, "a")


def test_no_change_is_no_line_of_history(register: Register) -> None:
    """What is set to what it is already is not recorded."""
    added(register, "a")
    change_key(register, "a", lambda key: key.model_copy(), NOTE)
    change_organisation(register, "nobody", lambda one: one, NOTE)
    assert [one.note.what for one in register.history("a")] == ["test"]


def _label(url: str, name: str) -> None:
    register = opening.register(url, Path("/"))
    for number in range(15):
        change_key(register, "a", lambda key: labelled(key, f"{name}{number}"), NOTE)  # noqa: B023 called at once
    register.close()


def test_no_change_is_lost_to_another(register: Register, url: str) -> None:
    """Three processes that change one key at once all get their way."""
    added(register, "a")
    processes = [
        multiprocessing.get_context("spawn").Process(target=_label, args=(url, name))
        for name in "xyz"
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    kept = register.key("a")
    assert kept is not None
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(kept.entry.labels) == 45
    assert len(list(register.history("a"))) == 46


# ------------------------------------------------------------------------------------- history


def test_history(register: Register) -> None:
    """Every change of a key is told with who, when, what and why, and what it was before."""
    added(register, "a", "b")
    change_key(register, "a", lambda key: key.model_copy(update={"plan": "gold"}), NOTE)
    first, second = register.history("a")
    assert (first.note, first.kind, first.id, first.before) == (NOTE, Kind.KEY, "a", b"")
    assert second.before == first.after
    assert entries.read(second.after, KeyModel).plan == "gold"
    assert [one.id for one in register.history()] == ["a", "b", "a"]
    assert list(register.history("nobody")) == []


async def test_a_history_is_pruned(register: Register, url: str) -> None:
    """What is older is forgotten, and that is recorded; readers notice nothing."""
    note = replace(NOTE, at=NOON + timedelta(days=1), what="prune")
    added(register, "a", "b")
    change_key(register, "a", lambda key: labelled(key, "x"), replace(NOTE, at=note.at))
    async with following(url) as store:
        before = await store.find(digest("a"))
        assert register.prune(note.at, note) == 2
        assert register.prune(note.at, note) == 0
        assert [(one.kind, one.id) for one in register.history()] == [
            (Kind.KEY, "a"),
            (Kind.HISTORY, "2"),
        ]
        assert [one.note.what for one in register.history("a")] == ["test"]
        assert list(register.history("b")) == []
        assert await store.find(digest("a")) is before
        lookups = store.counts.lookups
        added(register, "c")
        await until(lambda: _found(store, "c"))
        assert await store.find(digest("a")) is before
        assert store.counts.lookups - lookups <= 2


def test_the_last_line_of_a_history_stays(register: Register) -> None:
    """However old it is: readers know by it where they were."""
    names = [f"k{number}" for number in range(1100)]
    added(register, *names)
    assert register.prune(NOON + timedelta(days=1), NOTE) == 1099
    assert [one.id for one in register.history()] == [names[-1], "1099"]
    assert register.key("k0") is not None


# ------------------------------------------------------------------------------- many at once


def imported(
    register: Register, lines: list[Numbered], *, replace: bool = False, finish: bool = True
) -> list[tuple[int, str]]:
    """Import in two batches."""
    with register.load(NOTE, replace=replace) as loading:
        problems = loading.add(lines[:2]) + loading.add(lines[2:])
        if finish:
            loading.finish()
    return problems


def test_an_import_is_all(register: Register) -> None:
    """What is imported is there, with one line of history for all of it."""
    assert imported(register, numbered("a", "b", "c")) == []
    assert register.key("b") is not None
    assert [(one.kind, one.id) for one in register.history()] == [(Kind.IMPORT, "3")]
    assert [one.kind for one in register.history("b")] == [Kind.IMPORT]


def test_an_import_is_nothing_before_it_is_finished(register: Register, url: str) -> None:
    """Others see nothing of an import under way, and nothing is left of one that was given up."""
    other = opening.register(url, Path("/"))
    with register.load(NOTE, replace=False) as loading:
        assert loading.add([Numbered(1, "acme", ACME), *numbered("a", org="acme")]) == []
        assert other.key("a") is None
        assert other.organisation("acme") is None
        assert list(other.every_key()) == []
        assert list(other.every_organisation()) == []
    other.close()
    assert register.key("a") is None
    assert list(register.history()) == []
    assert imported(register, [Numbered(1, "acme", ACME), *numbered("a", org="acme")]) == []


def test_an_import_tells_the_lines_that_do_not_fit(register: Register) -> None:
    """Each line that cannot be added is told with the reason."""
    added(register, "a")
    twice = Numbered(3, "c", key("c", digest=key("b").digest))
    lines = [*numbered("a", "b"), twice, Numbered(4, "d", key("d", org="nobody"))]
    assert imported(register, lines, finish=False) == [
        (1, "a: expected an id that is new"),
        (3, "c: expected a digest that no other key has, and another one has it"),
        (4, "d: expected an organisation that is there (got nobody)"),
    ]
    assert register.key("b") is None


def test_an_import_may_replace(register: Register) -> None:
    """With leave to replace, what is there becomes what is imported; each change is recorded."""
    added(register, "a", "b")
    lines = numbered("a", "b", "c", plan="gold")
    again = Numbered(4, "a", key("a"))
    assert imported(register, [*lines, again], replace=True, finish=False) == [
        (4, "a: expected ids that differ, got it twice")
    ]
    assert imported(register, lines, replace=True) == []
    plans = [entries.read(kept, KeyModel).plan for kept in register.every_key()]
    assert plans == ["gold"] * 3
    assert [one.kind for one in register.history("a")] == [Kind.KEY, Kind.KEY]


def test_an_import_brings_no_revoked_key_back(register: Register) -> None:
    """Revoking is for good, whatever an older export says; one that says so too is as before."""
    register.commit([adding("a", key("a", status="revoked")), adding("b", key("b"))], NOTE)
    lines = [*numbered("a", plan="gold"), Numbered(2, "b", key("b", status="revoked"))]
    assert imported(register, lines, replace=True, finish=False) == [
        (1, "a: expected status revoked, which is for good")
    ]
    assert imported(register, lines[1:], replace=True) == []
    gold = Numbered(1, "a", key("a", status="revoked", plan="gold"))
    assert imported(register, [gold], replace=True) == []
    kept = {one.id: one for one in (entries.read(it, KeyModel) for it in register.every_key())}
    assert {name: one.status for name, one in kept.items()} == {"a": "revoked", "b": "revoked"}
    assert kept["a"].plan == "gold"


def test_an_import_counts_what_becomes_of_entries(register: Register) -> None:
    """What was not there, was another, and was the same; what cannot be added is none of these."""
    added(register, "a", "b")
    changed, same, new = numbered("a", plan="gold"), numbered("b"), numbered("c", "d")
    again = Numbered(5, "b", key("b", plan="gold"))
    with register.load(NOTE, replace=True) as loading:
        assert loading.add([*changed, *same, *new]) == []
        assert loading.add([again]) == [(5, "b: expected ids that differ, got it twice")]
        assert dict(loading.became) == {"added": 2, "replaced": 1, "unchanged": 1}


# ------------------------------------------------------------------------------------- strikes


def test_strikes_count_once(register: Register) -> None:
    """A strike that is told twice, also by another replica, counts once."""
    register.strike(strikes("a", 1, 2))
    (tally,) = register.strike(strikes("a", 2, 3))
    assert (tally.strikes, tally.first, tally.last) == (
        3,
        NOON + timedelta(seconds=1),
        NOON + timedelta(seconds=3),
    )
    assert tally.countries == ("IR", "KP")
    assert tally.is_over


def test_strikes_that_are_over_do_not_count(register: Register) -> None:
    """Only those within the time before the latest count."""
    register.strike(strikes("a", 0, 1, 2))
    (tally,) = register.strike(strikes("a", 3601))
    assert tally.strikes == 2
    assert not tally.is_over


def test_strikes_of_keys_and_rules_are_apart(register: Register) -> None:
    """Each key and each rule has a count of its own."""
    some = [*strikes("a", 1, 2), *strikes("b", 1, prefix="b"), *strikes("a", 3, rule="other")]
    counts = {(one.key_id, one.rule): one.strikes for one in register.strike(some)}
    assert counts == {("a", "region"): 2, ("b", "region"): 1, ("a", "other"): 1}


def test_forgiven_strikes_are_gone(register: Register) -> None:
    """A reinstated key starts from nothing, also for strikes from before that come late."""
    added(register, "a")
    register.strike(strikes("a", -3, -2))
    change_key(register, "a", status.setting(Status.ACTIVE, NOTE), NOTE, forgive=True)
    register.strike(strikes("a", -1))
    (tally,) = register.strike(strikes("a", 1))
    assert tally.strikes == 1


def test_a_sound_store_has_no_problems(register: Register) -> None:
    """Nothing is wrong with a store that was used as it should be."""
    imported(register, numbered("a", "b", "c"))
    assert list(register.problems()) == []


# --------------------------------------------------------------------------------- taking effect


async def test_a_change_takes_effect(register: Register, url: str) -> None:
    """A key that is remembered, known or unknown, is what it was changed to within a second."""
    register.commit([adding("acme", ACME), adding("a", key("a", org="acme"))], NOTE)
    async with following(url) as store:
        assert await store.find(digest("b")) is None
        before = await store.find(digest("a"))
        added(register, "b")
        assert await until(lambda: _found(store, "b"), 1.0) < 1.0
        change_key(register, "a", status.setting(Status.REVOKED, NOTE), NOTE)
        assert await until(lambda: _is(store, "a", Status.REVOKED), 1.0) < 1.0
        change_organisation(register, "acme", lambda _: OrganisationModel(plan="new"), NOTE)
        assert await until(lambda: _plan(store, "a", "new"), 1.0) < 1.0
        assert before is not await store.find(digest("a"))


async def test_an_import_takes_effect(register: Register, url: str) -> None:
    """Keys that were unknown before an import are known within a second after it."""
    async with following(url) as store:
        assert await store.find(digest("c")) is None
        imported(register, numbered("a", "b", "c"))
        assert await until(lambda: _found(store, "c"), 1.0) < 1.0


async def test_what_has_not_changed_is_the_same_value(register: Register, url: str) -> None:
    """Decisions are remembered by the identity of what they were made from."""
    added(register, "a", "b")
    async with following(url) as store:
        before = await store.find(digest("a"))
        imported(register, numbered("c", "d", "e"))
        await until(lambda: _found(store, "e"))
        assert await store.find(digest("a")) is before


async def _found(store: CachedStore, name: str) -> bool:
    return await store.find(digest(name)) is not None


async def _is(store: CachedStore, name: str, status_: Status) -> bool:
    record = await store.find(digest(name))
    return record is not None and record.status is status_


async def _plan(store: CachedStore, name: str, plan: str) -> bool:
    record = await store.find(digest(name))
    return record is not None and record.profile.plan == plan
