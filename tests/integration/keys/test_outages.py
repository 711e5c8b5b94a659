"""When the store is away: what is remembered goes on, nothing waits for long, and it mends."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from regiongate.keys.cache import CachedStore, Limits
from regiongate.keys.record import KeyRecord
from regiongate.keys.register import Register, change_key
from regiongate.keys.stores import StoreError, UnusableEntryError, opening
from regiongate.keys.stores.sqlite.database import Location
from regiongate.keys.stores.sqlite.register import SqliteRegister
from regiongate.keys.stores.sqlite.source import POLL_DEADLINE
from tests.integration.keys.made_up import NOTE, adding, digest, following, key, numbered, until
from tests.integration.keys.servers import Server, running
from tests.unprivileged import unprivileged

STALE = Limits(ttl=timedelta(milliseconds=100))
DENY = Limits(ttl=timedelta(milliseconds=100), deny_when_away=True)
LONGEST = 0.25
"""Seconds that a look-up may take on a machine that does much else; its deadline is 0.1."""

OUTAGES: dict[str, tuple[Callable[[Server], None], Callable[[Server], None]]] = {
    "stopped": (Server.kill, Server.start),
    "hanging": (Server.hang, Server.go_on),
}


def seed(url: str, *names: str) -> Register:
    """Add keys to a store."""
    register = opening.register(url, Path("/"))
    register.commit([adding(name, key(name)) for name in names], NOTE)
    return register


async def timed(wanted: Awaitable[object]) -> tuple[object, float]:
    """Return what something comes to, an error too, and for how many seconds it was waited for."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        found = await wanted
    except StoreError as error:
        found = error
    return found, loop.time() - started


@pytest.mark.parametrize(("begin", "end"), OUTAGES.values(), ids=OUTAGES)
async def test_what_is_remembered_goes_on(
    server: Server, begin: Callable[[Server], None], end: Callable[[Server], None]
) -> None:
    """With `stale` a known key stays known, its age is told, an unknown one is unknown."""
    seed(server.url, "a", "b").close()
    async with following(server.url, STALE) as store:
        known = await store.find(digest("a"))
        begin(server)
        slowest = 0.0
        while not store.is_away:
            found, seconds = await timed(store.find(digest("a")))
            slowest = max(slowest, seconds)
            assert found is known
            await asyncio.sleep(0.01)
        found, seconds = await timed(store.find(digest("b")))
        assert found is None
        slowest = max(slowest, seconds)
        assert slowest < LONGEST
        later = datetime.now(UTC) + timedelta(seconds=30)
        assert 29 < store.age(later) < 33
        end(server)
        await until(lambda: not store.is_away)
        assert store.age(datetime.now(UTC)) == 0
        await until(lambda: _found(store, "b"))


@pytest.mark.parametrize(("begin", "end"), OUTAGES.values(), ids=OUTAGES)
async def test_what_is_not_remembered_is_denied(
    server: Server, begin: Callable[[Server], None], end: Callable[[Server], None]
) -> None:
    """With `deny` a key that is not remembered, or not lately, is refused while it lasts."""
    seed(server.url, "a", "b").close()
    async with following(server.url, DENY) as store:
        assert await store.find(digest("a"))
        begin(server)
        await until(lambda: store.is_away)
        await until(lambda: _is_refused(store, "a"))
        for name in "ab":
            found, seconds = await timed(store.find(digest(name)))
            assert str(found) == f"{opening.name(server.url)}: expected an answer, and it is away"
            assert seconds < LONGEST
        end(server)
        await until(lambda: not store.is_away)
        await until(lambda: _found(store, "b"))


def moved_away(file: Path) -> None:
    """Leave no file at all, as an unmounted volume does."""
    file.rename(file.with_suffix(".away"))


def spoilt(file: Path) -> None:
    """Put something in its place that is no store."""
    moved_away(file)
    file.write_bytes(b"not a store")


@pytest.mark.parametrize("begin", [moved_away, spoilt])
async def test_what_is_remembered_of_a_file_outlasts_it(
    tmp_path: Path, begin: Callable[[Path], None]
) -> None:
    """For as long as it would be remembered anyway; the file that comes back is read anew."""
    file = tmp_path / "keys.db"
    seed(url := f"sqlite:///{file}", "a", "b").close()
    async with following(url, Limits(ttl=timedelta(hours=1), deny_when_away=True)) as store:
        known = await store.find(digest("a"))
        assert known is not None
        begin(file)
        await until(lambda: store.is_away)
        assert await store.find(digest("a")) is known
        assert await _is_refused(store, "b")
        file.with_suffix(".away").replace(file)
        change = opening.register(url, Path("/"))
        change_key(change, "a", lambda key: key.model_copy(update={"plan": "x"}), NOTE)
        change.close()
        await until(lambda: not store.is_away)
        await until(lambda: _plan(store, "a", "x"))
        await until(lambda: _found(store, "b"))


async def test_a_change_during_an_outage_is_not_missed(server: Server) -> None:
    """What was changed while a reader was cut off takes effect when it is back."""
    register = seed(server.url, "a")
    async with following(server.url, STALE) as store:
        assert await store.find(digest("a"))
        server.kill()
        await until(lambda: store.is_away)
        server.start()
        change_key(register, "a", lambda key: key.model_copy(update={"plan": "x"}), NOTE)
        await until(lambda: _plan(store, "a", "x"))
    register.close()


async def test_a_store_that_is_emptied_knows_no_key(server: Server) -> None:
    """Keys that go without a word of history are gone as well."""
    seed(server.url, "a").close()
    async with following(server.url) as store:
        assert await store.find(digest("a"))
        server.empty()
        await until(lambda: _is_unknown(store, "a"))


async def test_expiry_is_judged_by_the_clock(server: Server) -> None:
    """A key that is remembered expires although the store is away."""
    expires = datetime.now(UTC) + timedelta(hours=1)
    register = opening.register(server.url, Path("/"))
    register.commit([adding("a", key("a", expires=expires.isoformat()))], NOTE)
    register.close()
    async with following(server.url, STALE) as store:
        await store.find(digest("a"))
        server.kill()
        await until(lambda: store.is_away)
        record = await store.find(digest("a"))
        assert record is not None
        assert record.facts(expires - timedelta(seconds=1)).status == "active"
        assert record.facts(expires).status == "expired"
        server.start()


def asked(server: Server, *command: str | bytes) -> Any:
    """Run a command on a server."""
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        return client.execute_command(*command)


async def test_an_entry_that_is_spoilt_spoils_no_other(server: Server) -> None:
    """It is refused, as it may be a revoked key's; those that are asked for with it are known."""
    seed(server.url, "a", "b", "c").close()
    asked(server, "HSET", f"regiongate:key:{digest('b').hex()}", "org", b"\xff\xfe")
    async with following(server.url, STALE) as store:
        looked_up = [store.find(digest(name)) for name in "abc"]
        a, b, c = await asyncio.gather(*looked_up, return_exceptions=True)
        assert (type(a), type(b), type(c)) == (KeyRecord, UnusableEntryError, KeyRecord)
        assert not store.is_away


async def test_after_a_failover_nobody_is_asked_but_the_new_server(
    server: Server, short: Path
) -> None:
    """Connections to the old one may hold; a key that the new one has revoked is revoked."""
    register = seed(server.url, "a")
    async with following(server.url, Limits(ttl=timedelta(milliseconds=100))) as store:
        assert await store.find(digest("a"))
        old = server.socket.rename(server.socket.with_name("old"))
        (short / "new").mkdir()
        with running(server.binary, short / "new") as new:
            new.socket.rename(server.socket)
            seed(server.url, "a").close()
            register.close()
            register = opening.register(server.url, Path("/"))
            change_key(register, "a", lambda key: key.model_copy(update={"plan": "x"}), NOTE)
            with redis.Redis(unix_socket_path=str(old)) as client:
                waiting = [one["id"] for one in client.client_list() if one["cmd"] == "xread"]
                for one in waiting:
                    client.client_kill_filter(_id=one)
            await until(lambda: _plan(store, "a", "x"))
            await asyncio.sleep(0.3)  # beyond the time it is remembered for
            assert await _plan(store, "a", "x")
        register.close()


async def test_who_may_not_follow_is_told_so_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """And is not taken for one that does, again and again."""
    seed(server.url, "a").close()
    asked(server, "ACL", "SETUSER", "default", "-xread")
    store = CachedStore("it", opening.source(server.url, Path("/")), STALE)
    task = asyncio.create_task(store.run())
    await until(lambda: store.counts.failures > 3)
    task.cancel()
    await asyncio.wait([task])
    assert store.is_away
    assert len(caplog.records) == 1


# -------------------------------------------------------------------------------------- SQLite


def damage(path: Path) -> None:
    """Overwrite a database with something else."""
    path.with_name("other").write_bytes(b"not a database at all" * 4096)
    path.with_name("other").rename(path)


def remove(path: Path) -> None:
    """Move a database away."""
    path.rename(path.with_name("elsewhere"))


@pytest.mark.parametrize("begin", [damage, remove])
async def test_a_file_that_cannot_be_read(tmp_path: Path, begin: Callable[[Path], None]) -> None:
    """A corrupt or missing file is a store that is away; a sound one in its place mends it."""
    path, spare = tmp_path / "keys.db", tmp_path / "spare.db"
    seed(f"sqlite:///{path}", "a").close()
    seed(f"sqlite:///{spare}", "b").close()
    async with following(f"sqlite:///{path}", STALE) as store:
        known = await store.find(digest("a"))
        begin(path)
        await until(lambda: store.is_away)
        assert await store.find(digest("a")) is known
        assert await store.find(digest("b")) is None
        spare.rename(path)
        await until(lambda: _found(store, "b"))
        assert await store.find(digest("a")) is None


async def test_a_look_that_took_too_long_loses_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it found after all was told to nobody: the next one tells that anything may be new."""
    url = f"sqlite:///{tmp_path}/keys.db"
    register = seed(url, "a")
    slow, look = threading.Event(), vars(Location)["identity"].fget

    def slowly(location: Location) -> object:
        if slow.is_set():
            slow.clear()
            time.sleep(POLL_DEADLINE + 0.3)
        return look(location)

    monkeypatch.setattr(Location, "identity", property(slowly))
    async with following(url) as store:
        assert await store.find(digest("a"))
        slow.set()
        change_key(register, "a", lambda key: key.model_copy(update={"plan": "x"}), NOTE)
        await until(lambda: not slow.is_set())
        await until(lambda: store.is_away)
        await until(lambda: not store.is_away)
        await until(lambda: _plan(store, "a", "x"))
    register.close()


async def test_a_corrupt_file_is_denied(tmp_path: Path) -> None:
    """With `deny`, nothing passes for unknown."""
    path = tmp_path / "keys.db"
    seed(f"sqlite:///{path}", "a").close()
    async with following(f"sqlite:///{path}", DENY) as store:
        damage(path)
        await until(lambda: store.is_away)
        found, _ = await timed(store.find(digest("a")))
        assert isinstance(found, StoreError)


async def test_a_file_that_is_only_read(tmp_path: Path) -> None:
    """A store with ?mode=ro answers Checks, and refuses a change with one clear error."""
    path = tmp_path / "keys.db"
    seed(f"sqlite:///{path}", "a").close()
    url = f"sqlite:///{path}?mode=ro"
    async with following(url) as store:
        await until(lambda: _found(store, "a"))
    register = opening.register(url, Path("/"))
    with pytest.raises(StoreError) as refused:
        register.commit([adding("b", key("b"))], NOTE)
    register.close()
    assert str(refused.value) == (
        f"{path}: expected a key store that can be used (attempt to write a readonly database)"
    )


def forbid_the_file(path: Path) -> None:
    """Take the right to write a file."""
    path.chmod(0o444)
    path.parent.chmod(0o777)


def forbid_the_folder(path: Path) -> None:
    """Take the right to write a file, and to make others beside it."""
    path.chmod(0o444)
    path.parent.chmod(0o555)


@pytest.fixture
def readable(short: Path) -> Iterator[Path]:
    """Return a store in a folder that everybody may look into."""
    short.chmod(0o755)
    folder = short / "keys"
    folder.mkdir()
    seed(f"sqlite:///{folder}/keys.db", "a").close()
    yield folder / "keys.db"
    folder.chmod(0o755)


@pytest.mark.parametrize("forbid", [forbid_the_file, forbid_the_folder])
@pytest.mark.parametrize("options", ["", "?mode=ro"])
async def test_a_file_that_may_only_be_read(
    forbid: Callable[[Path], None], readable: Path, options: str
) -> None:
    """Without the right to write, Checks are answered, and a change is one clear error."""
    forbid(readable)
    url = f"sqlite:///{readable}{options}"
    with unprivileged():
        async with following(url) as store:
            await until(lambda: _found(store, "a"))
            assert await store.find(digest("b")) is None
            assert not store.is_away
        with pytest.raises(StoreError, match=r"keys\.db: expected a key store that can be used"):
            opening.register(url, Path("/")).commit([adding("b", key("b"))], NOTE)


async def test_a_change_of_a_file_that_may_only_be_read(readable: Path) -> None:
    """What somebody else writes takes effect for those who may only read."""
    forbid_the_folder(readable)
    async with following(f"sqlite:///{readable}") as store:
        # Root may write all the time; the reader opens the file as nobody.
        with unprivileged():
            await until(lambda: _found(store, "a"))
            assert await store.find(digest("b")) is None
            assert await store.find(digest("c")) is None
        register = seed(f"sqlite:///{readable}", "b")
        with unprivileged():
            await until(lambda: _found(store, "b"))
        register.commit([adding("c", key("c"))], NOTE)
        register.close()
        with unprivileged():
            await until(lambda: _found(store, "c"))


WRITER = """
import sys
from pathlib import Path
from regiongate.keys.register import change_key
from regiongate.keys.stores import opening
from tests.integration.keys.made_up import NOTE, adding, key, numbered
register = opening.register(sys.argv[1], Path("/"))
print("begun", flush=True)
for number in range(10**6):
    names = [f"k{number}-{one}" for one in range(50)]
    register.commit([adding(name, key(name)) for name in names], NOTE)
    print(number, flush=True)
"""


def test_a_writer_that_is_killed(tmp_path: Path) -> None:
    """kill -9 in the middle of a write: what was committed is there, and nothing by halves."""
    url = f"sqlite:///{tmp_path}/keys.db"
    seed(url, "a").close()
    for round_ in range(3):
        path = tmp_path / f"{round_}.db"
        url = f"sqlite:///{path}"
        writer = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(2 + round_):
            done = writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
        told = int([done, *rest][-1]) + 1
        register = opening.register(url, Path("/"))
        kept = len(list(register.every_key()))
        assert kept % 50 == 0
        assert kept >= 50 * told
        assert len(list(register.history())) == kept
        assert list(register.problems()) == []
        register.commit([adding("after", key("after"))], NOTE)
        register.close()


IMPORTER = """
import os, sys
from pathlib import Path
from regiongate.keys.stores import opening
from tests.integration.keys.made_up import NOTE, numbered
with opening.register(sys.argv[1], Path("/")).load(NOTE, replace=False) as loading:
    assert loading.add(numbered("a", "b")) == []
    os.kill(os.getpid(), 9)
"""


def test_an_import_that_is_killed(server: Server) -> None:
    """What a killed import leaves is not to be found, is told, and undone by the next one."""
    subprocess.run([sys.executable, "-c", IMPORTER, server.url], check=False)
    register = opening.register(server.url, Path("/"))
    assert register.key("a") is None
    with pytest.raises(StoreError) as refused, register.load(NOTE, replace=False):
        pass
    assert str(refused.value).endswith("expected no other import to be under way")
    server.delete("regiongate:importing")  # as its time does
    (problem,) = register.problems()
    assert problem.endswith("an import was not finished; the next one undoes what it left")
    with register.load(NOTE, replace=False) as loading:
        assert loading.add(numbered("a", "c")) == []
        loading.finish()
    assert [json.loads(one)["id"] for one in register.every_key()] == ["a", "c"]
    assert list(register.problems()) == []
    register.close()


def test_an_import_that_there_is_no_room_for(tmp_path: Path) -> None:
    """SQLite undoes it by itself; what is told is why."""
    register = SqliteRegister(Location(tmp_path / "keys.db"), patience=1.0)
    register.commit([adding("a", key("a"))], NOTE)
    ((pages,),) = register._db.execute("PRAGMA page_count")
    register._db.execute(f"PRAGMA max_page_count = {pages + 10}")
    many = [str(number) for number in range(2000)]
    with pytest.raises(StoreError) as full, register.load(NOTE, replace=False) as loading:
        loading.add(numbered(*many))
    assert str(full.value).endswith("can be used (database or disk is full)")
    assert [json.loads(one)["id"] for one in register.every_key()] == ["a"]
    register.close()


async def _is_refused(store: CachedStore, name: str) -> bool:
    found, _ = await timed(store.find(digest(name)))
    return isinstance(found, StoreError)


async def _found(store: CachedStore, name: str) -> bool:
    return await store.find(digest(name)) is not None


async def _is_unknown(store: CachedStore, name: str) -> bool:
    return await store.find(digest(name)) is None


async def _plan(store: CachedStore, name: str, plan: str) -> bool:
    record = await store.find(digest(name))
    return record is not None and record.profile.plan == plan
