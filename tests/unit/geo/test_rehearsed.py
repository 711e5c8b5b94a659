"""What is remembered of rehearsals, and what is not believed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from regiongate.geo import rehearsal, rehearsed
from regiongate.geo.database import Database
from tests.databases import country_database

ENTRY = rehearsed.entry(64 * "a")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a user's caches are in, with nothing in it."""
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.delenv(rehearsed.HANDED_DOWN, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "regiongate" / "rehearsed"


def test_a_file_is_rehearsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes are not decoded again, wherever they lie; other bytes are."""
    monkeypatch.setattr(rehearsal, "_rehearse", rehearsing := Recorder())
    first = Database.open(country_database(tmp_path / "a.mmdb"))
    copy = tmp_path / "b.mmdb"
    copy.write_bytes(first.path.read_bytes())
    for _ in range(2):
        rehearsal.rehearse(first)
    rehearsal.rehearse(Database.open(copy))
    assert rehearsing.seen == [first]
    copy.write_bytes(copy.read_bytes() + b"\0")
    other = Database.open(copy)
    rehearsal.rehearse(other)
    assert rehearsing.seen == [first, other]


class Recorder:
    """Takes note of the databases that it is called with."""

    def __init__(self) -> None:
        self.seen: list[Database] = []

    def __call__(self, database: Database) -> None:
        self.seen.append(database)


def test_another_reader_has_to_rehearse_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one release survives another may die of."""
    rehearsed.remember(ENTRY)
    monkeypatch.setattr("maxminddb.__version__", "99.0.0")
    assert rehearsed.entry(64 * "a") != ENTRY
    assert not rehearsed.is_remembered(rehearsed.entry(64 * "a"))


def test_only_the_user_can_make_entries(cache: Path) -> None:
    """The folder is for nobody else, whatever the umask."""
    before = os.umask(0)
    try:
        rehearsed.remember(ENTRY)
    finally:
        os.umask(before)
    assert (cache.stat().st_mode & 0o777, (cache / ENTRY).stat().st_mode & 0o777) == (0o700, 0o600)
    assert rehearsed.is_remembered(ENTRY)


def _folder_open_to_others(folder: Path) -> None:
    folder.chmod(0o777)


def _folder_that_is_a_link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def _entry_open_to_others(folder: Path) -> None:
    (folder / ENTRY).chmod(0o622)


def _entry_that_is_a_link(folder: Path) -> None:
    (folder / ENTRY).rename(folder / "elsewhere")
    (folder / ENTRY).symlink_to(folder / "elsewhere")


def _entry_that_is_a_folder(folder: Path) -> None:
    (folder / ENTRY).unlink()
    (folder / ENTRY).mkdir()


PLANTED: list[Callable[[Path], None]] = [
    _folder_open_to_others,
    _folder_that_is_a_link,
    _entry_open_to_others,
    _entry_that_is_a_link,
    _entry_that_is_a_folder,
]


@pytest.mark.parametrize("plant", PLANTED)
def test_what_somebody_else_may_have_planted_is_not_believed(
    plant: Callable[[Path], None], cache: Path
) -> None:
    """Then it is rehearsed again, which costs a moment."""
    rehearsed.remember(ENTRY)
    assert rehearsed.is_remembered(ENTRY)
    plant(cache)
    assert not rehearsed.is_remembered(ENTRY)


def test_nothing_is_written_through_a_link(cache: Path) -> None:
    """Where somebody else could put one in our folder, or it was ours and is no longer wanted."""
    cache.mkdir(0o700, parents=True)
    victim = cache.parent / "victim"
    (cache / ENTRY).symlink_to(victim)
    rehearsed.remember(ENTRY)
    assert not victim.exists()
    victim.touch()
    os.utime(victim, (1, 1))
    rehearsed.remember(ENTRY)
    assert victim.stat().st_mtime == 1


@pytest.mark.parametrize("plant", [_folder_open_to_others, _folder_that_is_a_link])
def test_nothing_is_written_to_a_folder_that_others_may_change(
    plant: Callable[[Path], None], cache: Path
) -> None:
    """Not only is it not believed."""
    cache.mkdir(0o700, parents=True)
    plant(cache)
    rehearsed.remember(ENTRY)
    assert not any(cache.iterdir())


def test_nothing_is_written_to_a_folder_of_another_user(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever it is may put links there."""
    cache.mkdir(0o700, parents=True)
    user = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    rehearsed.remember(ENTRY)
    assert not any(cache.iterdir())


def test_entries_of_another_user_are_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even in a folder with the right permissions."""
    rehearsed.remember(ENTRY)
    user = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert not rehearsed.is_remembered(ENTRY)


def test_where_nothing_can_be_written_nothing_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only root, or no home at all, is no reason not to start."""
    (tmp_path / "file").touch()
    for folder in (str(tmp_path / "file"), "/proc/nowhere", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", folder)
        rehearsed.remember(ENTRY)
        assert not rehearsed.is_remembered(ENTRY)
    assert not Path("relative").exists()


def test_a_service_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd's CacheDirectory= comes before that of the user; of several folders, the first."""
    monkeypatch.setenv("CACHE_DIRECTORY", f"{tmp_path / 'service'}:{tmp_path / 'more'}")
    rehearsed.remember(ENTRY)
    assert (tmp_path / "service" / "rehearsed" / ENTRY).is_file()


def test_a_parent_hands_down_what_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers need no folder for that."""
    monkeypatch.setenv(rehearsed.HANDED_DOWN, f"{rehearsed.entry(64 * 'b')} {ENTRY}")
    assert rehearsed.is_remembered(ENTRY)
    assert not rehearsed.is_remembered(ENTRY[:-1])
