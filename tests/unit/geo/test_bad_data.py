"""What becomes of files that are wrong in every way that has been thought of: none is used."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regiongate.geo.database import Database, DatabaseError
from regiongate.geo.gate import Gate
from tests.bad_databases import BAD, GOOD, ODD, SEPARATORS

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def judge(path: Path, content: bytes, *, careful: bool) -> None:
    """Put a file through all that it goes through before it is used.

    Raises:
        DatabaseError: it is refused.
    """
    path.write_bytes(content)
    Gate("country").check(Database.open(path, careful=careful), now=NOW)


@pytest.fixture(autouse=True)
def _forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember no rehearsal."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("careful", [False, True], ids=["c", "python"])
@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD)
def test_a_good_file_is_used(tmp_path: Path, content: bytes, *, careful: bool) -> None:
    """What is built byte by byte here is as it should be, but for what is made wrong."""
    judge(tmp_path / "x.mmdb", content, careful=careful)


@pytest.mark.parametrize("careful", [False, True], ids=["c", "python"])
@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_bad_file_is_refused(tmp_path: Path, content: bytes, *, careful: bool) -> None:
    """By either reader, and with its name; no process that could not be spared ends of it."""
    path = tmp_path / "x.mmdb"
    with pytest.raises(DatabaseError) as caught:
        judge(path, content, careful=careful)
    assert str(caught.value).startswith(f"{path}: expected ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", SEPARATORS.values(), ids=SEPARATORS)
def test_a_node_that_leads_to_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    """Between the tree and the data there is nothing to read."""
    with pytest.raises(DatabaseError, match=": expected "):
        judge(tmp_path / "x.mmdb", content, careful=False)


@pytest.mark.parametrize("careful", [False, True], ids=["c", "python"])
@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_an_odd_file_is_used_or_refused(tmp_path: Path, content: bytes, *, careful: bool) -> None:
    """The specification leaves these to the readers."""
    with suppress(DatabaseError):
        judge(tmp_path / "x.mmdb", content, careful=careful)
