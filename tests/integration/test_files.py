"""Files change under a running service: what is taken over, when, and what is not.

Most of it is shown with the state of one process, looked at step by step: a change that has held
still from one look to the next is taken over. That the service looks, and hears SIGHUP, is shown
with real processes.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml

from regiongate import reading
from regiongate.runtime.state import State
from regiongate.runtime.worker import POLL_SECONDS
from tests.integration.deployment import (
    GERMANY,
    PLAIN,
    SUPPORTED,
    answer,
    database,
    deploy,
    keys,
    policy,
    question,
    rule,
    settings,
)
from tests.integration.process import Process, serving, until

pytestmark = pytest.mark.usefixtures("unrehearsed")

NEW_KEY = "sk-new"
CDN = {"source": "header", "header": "x-client", "trusted_proxies": ["5.39.0.0/16"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of one file, and how it shows.

    Attributes:
        file: its name.
        content: the new one, made in the folder given.
        bad: content that cannot be put in force, and what is said about it.
        asked: a Check that is answered differently before and after.
        shows: the answer's metadata that tells the two apart.
        before, after: what is said there.
    """

    file: str
    content: Callable[[Path], bytes]
    bad: tuple[bytes, str]
    asked: bytes
    shows: str
    before: str
    after: str


CHANGES = {
    "policy": Change(
        file="policy.yaml",
        content=lambda _: policy(rule("closed", 'request.path == "/closed"')),
        bad=(policy(rule("closed", "request.pth")), "undefined field 'pth'"),
        asked=question(path="/closed"),
        shows="rule",
        before="",
        after="closed",
    ),
    "list": Change(
        file="supported.txt",
        content=lambda _: f"{SUPPORTED}DE\n".encode(),
        bad=(f"{SUPPORTED}Germany\n".encode(), "expected an ISO 3166 code"),
        asked=question(GERMANY),
        shows="outcome",
        before="deny",
        after="allow",
    ),
    "keys": Change(
        file="keys.yaml",
        content=lambda _: keys(NEW_KEY),
        bad=(b"version: 2\nkeys: []\n", "version"),
        asked=question(key=NEW_KEY),
        shows="key_id",
        before="",
        after="new",
    ),
    "database": Change(
        file="country.mmdb",
        content=lambda scratch: database(scratch, GB="SE"),
        bad=(b"<!doctype html><title>429 Too Many Requests</title>", "country.mmdb"),
        asked=question("2.1.1.1"),
        shows="country",
        before="GB",
        after="SE",
    ),
    "configuration": Change(
        file="regiongate.yaml",
        content=lambda _: settings(client_address=CDN),
        bad=(settings(polcy="policy.yaml"), "did you mean policy?"),
        asked=question(headers={"x-client": "8.8.8.8"}),
        shows="country",
        before="FR",
        after="US",
    ),
}


def rename_over(path: Path, content: bytes) -> None:
    """Replace a file as careful programs do."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)


def overwrite(path: Path, content: bytes) -> None:
    """Replace what a file holds, as `cp` does."""
    path.write_bytes(content)


def as_config_map(folder: Path) -> None:
    """Arrange the files of a folder as the kubelet does: links into a folder that is a link."""
    version = folder / "..version_0"
    version.mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(version / path.name)
        path.symlink_to(Path("..data") / path.name)
    (folder / "..data").symlink_to(version.name)


def swap_link(path: Path, content: bytes) -> None:
    """Replace a file of a ConfigMap: a whole new folder, then one link."""
    data = path.parent / "..data"
    old = data.resolve()
    number = int(old.name.rpartition("_")[2]) + 1
    new = old.with_name(f"..version_{number}")
    shutil.copytree(old, new)
    (new / path.name).write_bytes(content)
    data.with_name("..data_tmp").symlink_to(new.name)
    data.with_name("..data_tmp").rename(data)
    shutil.rmtree(old)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to change a file: how the folder is arranged, and how a file in it is replaced."""

    arrange: Callable[[Path], None]
    replace: Callable[[Path, bytes], None]


WAYS: Mapping[str, Way] = {
    "rename over it": Way(lambda _: None, rename_over),
    "overwrite it": Way(lambda _: None, overwrite),
    "swap a ConfigMap's link": Way(as_config_map, swap_link),
}


def notice(state: State) -> None:
    """Look as often as it takes to see a change and to see that it holds still."""
    state.poll()
    state.poll()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration, all of whose files are good."""
    return deploy(tmp_path)


async def shown(state: State, change: Change) -> str:
    """Return what the answers of a state show of a change."""
    return (await answer(state, change.asked))[change.shows]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_changed_file_is_taken_over(change: Change, way: Way, config: Path) -> None:
    """Each file is taken over on its own, whichever way it was replaced."""
    way.arrange(config.parent)
    state = State(config)
    assert await shown(state, change) == change.before
    way.replace(config.with_name(change.file), change.content(config.parent))
    notice(state)
    assert await shown(state, change) == change.after


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_bad_file_keeps_the_old_one_in_force(
    change: Change, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake changes no answer, is told once with its file, and can be mended."""
    state = State(config)
    path = config.with_name(change.file)
    content, said = change.bad
    overwrite(path, content)
    for _ in range(5):
        state.poll()
    assert await shown(state, change) == change.before
    (problem,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert change.file in problem.getMessage()
    assert said in problem.getMessage()
    overwrite(path, change.content(config.parent))
    notice(state)
    assert await shown(state, change) == change.after


PARTS = ("policy", "keys", "database", "configuration")
LOOKS: Mapping[str, Callable[[State], None]] = {"looking": notice, "SIGHUP": State.reload}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("bad", PARTS)
async def test_a_bad_file_does_not_hold_up_the_others(
    bad: str, look: Callable[[State], None], config: Path
) -> None:
    """Beside one that cannot be used, every other changed file is taken over."""
    state = State(config)
    rest = {name: CHANGES[name] for name in PARTS if name not in {bad, "configuration"}}
    overwrite(config.with_name(CHANGES[bad].file), CHANGES[bad].bad[0])
    for change in rest.values():
        overwrite(config.with_name(change.file), change.content(config.parent))
    look(state)
    assert {name: await shown(state, change) for name, change in rest.items()} == {
        name: change.after for name, change in rest.items()
    }


PART_OF = {
    "policy": "policies",
    "list": "policies",
    "keys": "keys",
    "database": "country database country.mmdb",
    "configuration": "settings (client_address)",
}


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged since the last time this was asked."""
    messages = list(caplog.messages)
    caplog.clear()
    return messages


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged, information too."""
    caplog.set_level("INFO")
    return caplog


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("name", CHANGES)
async def test_a_reload_names_what_has_changed_and_nothing_else(
    name: str, look: Callable[[State], None], config: Path, heard: pytest.LogCaptureFixture
) -> None:
    """One line for each part; the rest was read again and says what it said."""
    state, change = State(config), CHANGES[name]
    said(heard)
    overwrite(config.with_name(change.file), change.content(config.parent))
    look(state)
    assert said(heard) == [f"in force from now on: the new {PART_OF[name]}"]


async def test_a_reload_of_what_has_not_changed_says_so_and_leaves_it(
    config: Path, heard: pytest.LogCaptureFixture
) -> None:
    """What is remembered of the files, locations among it, is not made anew."""
    state = State(config)
    before = state.snapshot()
    said(heard)
    for change in CHANGES.values():
        os.utime(config.with_name(change.file), (1, 1))
    notice(state)
    assert said(heard) == []
    state.reload()
    assert said(heard) == ["read again: every file says what is in force"]
    assert state.snapshot() is before


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("name", CHANGES)
async def test_a_bad_file_that_is_put_back_is_told_once(
    name: str, look: Callable[[State], None], config: Path, heard: pytest.LogCaptureFixture
) -> None:
    """That the problem is over, although nothing new is in force."""
    state, change = State(config), CHANGES[name]
    path = config.with_name(change.file)
    before = path.read_bytes()
    overwrite(path, change.bad[0])
    look(state)
    said(heard)
    overwrite(path, before)
    look(state)
    part = PART_OF[name].partition(" (")[0]
    assert said(heard) == [f"nothing is wrong with the {part} any more: what is in force stays"]
    notice(state)
    assert said(heard) == []


async def test_a_policy_that_is_put_back_with_a_new_configuration_is_told(
    config: Path, heard: pytest.LogCaptureFixture
) -> None:
    """Which has parts of its own, made of the same files."""
    state, path = State(config), config.with_name("policy.yaml")
    before = path.read_bytes()
    overwrite(path, CHANGES["policy"].bad[0])
    state.reload()
    said(heard)
    overwrite(path, before)
    overwrite(config, settings(on_error="defer"))
    state.reload()
    assert said(heard) == [
        "in force from now on: the new settings (on_error)",
        "nothing is wrong with the policies any more: what is in force stays",
    ]


async def test_what_changes_together_with_the_configuration_is_named(
    config: Path, heard: pytest.LogCaptureFixture
) -> None:
    """The parts of a new configuration are compared with those of the one before."""
    state = State(config)
    said(heard)
    for name in ("configuration", "policy"):
        change = CHANGES[name]
        overwrite(config.with_name(change.file), change.content(config.parent))
    state.reload()
    assert said(heard) == [
        f"in force from now on: the new {PART_OF[name]}" for name in ("configuration", "policy")
    ]


async def test_a_change_that_needs_a_restart_is_told_until_it_is_put_back(
    config: Path, heard: pytest.LogCaptureFixture
) -> None:
    """It is held against what the process began with, not against what the file said last."""
    state = State(config)
    said(heard)
    told = {
        "changed": settings(limits={"calls": 7}),
        "another beside it": settings(limits={"calls": 7}, on_error="defer"),
        "put back": settings(on_error="defer"),
    }
    lines = {}
    for step, content in told.items():
        overwrite(config, content)
        state.reload()
        lines[step] = said(heard)
    assert lines == {
        "changed": ["changes under limits need a restart"],
        "another beside it": ["in force from now on: the new settings (on_error)"],
        "put back": ["no change needs a restart any more"],
    }


async def test_a_line_that_goes_from_one_list_to_another_is_a_change(config: Path) -> None:
    """Although the files say the same, one after the other."""
    lists = {"supported": {"file": "supported.txt"}, "embargoed": {"file": "embargoed.txt"}}
    written = yaml.safe_load(policy())
    config.with_name("policy.yaml").write_text(yaml.safe_dump({**written, "regions": lists}))
    supported, embargoed = (config.with_name(f"{name}.txt") for name in lists)
    embargoed.write_text("KP\n")
    supported.write_text("FR\nUS\n")
    state = State(config)
    assert (await answer(state, question()))["outcome"] == "allow"
    embargoed.write_text("KP\nFR\n")
    supported.write_text("US\n")
    notice(state)
    assert (await answer(state, question()))["rule"] == "embargoed-territory"


async def test_what_a_new_configuration_waits_for_is_awaited(config: Path) -> None:
    """A configuration that names a file which comes later is in force once that has come."""
    state = State(config)
    other = config.with_name("policy-2.yaml")
    overwrite(config, settings(policy=other.name))
    notice(state)
    overwrite(other, policy(rule("second")))
    notice(state)
    assert (await answer(state, question()))["rule"] == "second"


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_file_that_still_grows_is_not_taken_over(change: Change, config: Path) -> None:
    """As long as each look finds the file changed, the old one is in force and nothing is said."""
    state = State(config)
    content = change.content(config.parent)
    with config.with_name(change.file).open("wb", buffering=0) as file:
        for start in range(0, len(content), step := -(-len(content) // 5)):
            file.write(content[start : start + step])
            state.poll()
            assert await shown(state, change) == change.before
    state.poll()
    assert await shown(state, change) == change.after


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_file_that_is_removed_is_missed_and_found_again(
    change: Change, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the file the old content is in force; when it is back, the new one is."""
    state = State(config)
    path = config.with_name(change.file)
    path.unlink()
    notice(state)
    assert await shown(state, change) == change.before
    assert change.file in caplog.text
    path.write_bytes(change.content(config.parent))
    notice(state)
    assert await shown(state, change) == change.after


async def test_the_pepper_is_part_of_the_keys(tmp_path: Path) -> None:
    """A new pepper and the digests made with it are taken over together."""
    extract = [{"header": "x-api-key"}]
    written = {"extract": extract, "store": "file:keys.yaml", "pepper_file": "pepper.txt"}
    config = deploy(tmp_path, keys=written)
    write_pepper(config, "first")
    state = State(config)
    assert (await answer(state, question(key=PLAIN)))["key_id"] == "plain"
    write_pepper(config, "second")
    notice(state)
    assert (await answer(state, question(key=PLAIN)))["key_id"] == "plain"


async def test_a_pepper_that_is_gone_is_missed(tmp_path: Path) -> None:
    """A file that was emptied does not make every key unknown."""
    extract = [{"header": "x-api-key"}]
    written = {"extract": extract, "store": "file:keys.yaml", "pepper_file": "pepper.txt"}
    config = deploy(tmp_path, keys=written)
    write_pepper(config, "first")
    state = State(config)
    config.with_name("pepper.txt").write_text("\n")
    notice(state)
    assert (await answer(state, question(key=PLAIN)))["key_id"] == "plain"
    expected = (
        rf"keys\.pepper_file: {config.with_name('pepper.txt')}: expected a pepper \(got nothing\)"
    )
    assert re.search(expected, state.problems["keys"])


def write_pepper(config: Path, pepper: str) -> None:
    """Write a pepper, and the keys as digests made with it."""
    config.with_name("pepper.txt").write_text(f"{pepper}\n")
    config.with_name("keys.yaml").write_bytes(keys(pepper=pepper))


UNREADABLE_SETTINGS = {
    "a number that is too long": b"policy: policy.yaml\nx: " + b"1" * 5000,
    "lists in lists in lists": b"policy: " + b"[" * 5000,
    "a path with a NUL": settings(policy="policy\0.yaml"),
    "bytes that are not UTF-8": b"policy: \xff\n",
    "a list": b"- policy\n",
    "nothing": b"",
}


@pytest.mark.parametrize("content", UNREADABLE_SETTINGS.values(), ids=UNREADABLE_SETTINGS)
async def test_no_content_ends_the_looking(content: bytes, config: Path) -> None:
    """Whatever a file holds, it is a bad file, and the next change is still taken over."""
    state = State(config)
    overwrite(config, content)
    notice(state)
    change = CHANGES["configuration"]
    overwrite(config, change.content(config.parent))
    notice(state)
    assert await shown(state, change) == change.after


# ---------------------------------------------------------------------------------- a process

PROMPTLY = 2.0
"""Seconds within which a change is in force by itself."""


def shows(process: Process, change: Change) -> bool:
    """Say whether the answers of a service show that a change is in force."""
    return process.ask(change.asked)[change.shows] == change.after


@pytest.mark.parametrize("name", ["policy.yaml", "supported.txt"])
def test_a_pipe_in_place_of_a_file_holds_up_nothing(
    name: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody writes to it; what it stands for stays in force, and the keys are renewed."""
    monkeypatch.setattr(reading, "PATIENCE", 0.05)
    state = State(config)
    before = state.snapshot()
    config.with_name(name).unlink()
    os.mkfifo(config.with_name(name))
    keys = config.with_name("keys.yaml")
    keys.write_text(keys.read_text().replace("plan: team", "plan: gold"))
    state.reload()
    assert "nothing has come for 0.05 s" in state.problems["policies"]
    assert state.snapshot().policies is before.policies
    assert state.snapshot().keys.version != before.keys.version


def test_changes_take_effect_by_themselves(config: Path) -> None:
    """Every file that is changed is in force soon after, and nobody has to say so."""
    with serving(config) as process:
        rest = {name: change for name, change in CHANGES.items() if name != "configuration"}
        for together in (rest, {"configuration": CHANGES["configuration"]}):
            for change in together.values():
                rename_over(config.with_name(change.file), change.content(config.parent))
            for name, change in together.items():
                until(partial(shows, process, change), f"the new {name} is in force", PROMPTLY)


def test_changes_take_effect_at_once_on_sighup(config: Path) -> None:
    """SIGHUP takes over what looking at the files could not even see."""
    for change in CHANGES.values():
        path = config.with_name(change.file)
        path.write_bytes(padded(path, path.read_bytes()))
    with serving(config) as process:
        for name, change in CHANGES.items():
            overwrite_unseen(config.with_name(change.file), change.content(config.parent))
            assert not shows(process, change)
            process.signal(signal.SIGHUP)
            until(partial(shows, process, change), f"the new {name} is in force")


def test_a_file_that_could_not_be_read_is_read_later(config: Path) -> None:
    """Out of file descriptors a change is not lost, and told once."""
    with serving(config) as process:
        process.ask(question())
        before = resource.prlimit(process.child.pid, resource.RLIMIT_NOFILE)
        open_now = len([*Path(f"/proc/{process.child.pid}/fd").iterdir()])
        resource.prlimit(process.child.pid, resource.RLIMIT_NOFILE, (open_now, before[1]))
        change = CHANGES["keys"]
        rename_over(config.with_name(change.file), change.content(config.parent))
        until(lambda: "Too many open files" in process.said(), "it is told")
        time.sleep(4 * POLL_SECONDS)
        resource.prlimit(process.child.pid, resource.RLIMIT_NOFILE, before)
        until(partial(shows, process, change), "the new keys are in force", PROMPTLY)
        assert process.said().count("the new keys cannot be used") == 1


@pytest.mark.parametrize("name", ["supported.txt", "keys.yaml"])
async def test_what_the_system_keeps_from_being_read_is_tried_again(
    name: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that a policy names as well; what is wrong in itself is read once."""
    state, text, tries = State(config), reading.text, list[Path]()

    def failing(path: Path) -> str:
        tries.append(path)
        if path.name == name:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return text(path)

    monkeypatch.setattr(reading, "text", failing)
    change = config.with_name(name)
    change.write_text(f"{change.read_text()}\n# changed\n")
    for _ in range(6):
        state.poll()
    assert len([one for one in tries if one.name == name]) > 1
    monkeypatch.setattr(reading, "text", text)
    for _ in range(2):
        state.poll()
    assert not any(state.problems.values())


def padded(path: Path, content: bytes) -> bytes:
    """Return content of a size that does not depend on what it says."""
    return content if path.suffix == ".mmdb" else content.ljust(8192, b"#")


def overwrite_unseen(path: Path, content: bytes) -> None:
    """Replace what a file holds, and leave its size and its time of change as they were."""
    before = path.stat()
    path.write_bytes(padded(path, content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


@pytest.mark.parametrize("renew", ["reload", "poll"])
def test_keys_do_not_wait_for_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renew: str
) -> None:
    """A database takes seconds to be judged; a key that was revoked meanwhile is revoked."""
    state = State(deploy(tmp_path))
    before, seen = state.snapshot().keys.version, list[str]()
    monkeypatch.setattr(
        "regiongate.geo.gate.rehearse", lambda _: seen.append(state.snapshot().keys.version)
    )
    (tmp_path / "keys.yaml").write_bytes(keys(NEW_KEY))
    (tmp_path / "country.mmdb").write_bytes(database(tmp_path))
    os.utime(tmp_path / "country.mmdb", (1, 1))
    for _ in range(2):
        getattr(state, renew)()
    assert seen
    assert before not in seen
