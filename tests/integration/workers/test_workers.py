"""Many workers: each on its own, kept running by a parent, and ended with it."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from regiongate.extauthz.service import SERVICE
from regiongate.geo import rehearsed
from regiongate.geo.rehearsed import HANDED_DOWN
from tests.integration.deployment import FRANCE, GERMANY, deploy, policy, question, rule
from tests.integration.process import COMMAND, NO_PROXY, PATIENCE, until
from tests.integration.workers.fleet import TWO, Fleet, alive, fleet

ENGINES = ("native", "grpcio")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Either engine."""
    chosen: str = request.param
    return chosen


@contextmanager
def asking(running: Fleet, worker: int) -> Iterator[list[bool]]:
    """Ask a worker over and over; the list tells which Checks were answered."""
    answered: list[bool] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            answered.append(running.answers(worker))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answered
    finally:
        ended.set()
        thread.join(PATIENCE)


def test_every_address_is_served_by_a_process_of_its_own(engine: str, tmp_path: Path) -> None:
    """Each answers Checks; none of them is the parent."""
    with fleet(tmp_path, engine=engine) as running:
        assert [running.ask(worker, question(FRANCE)).status for worker in (0, 1)] == [200, 200]
        assert [running.ask(worker, question(GERMANY)).status for worker in (0, 1)] == [451, 451]
        pids = running.workers()
        assert len({running.child.pid, *pids.values()}) == 3
        assert running.stop() == 0
        assert not any(map(alive, pids.values()))


def test_a_worker_that_crashes_is_started_again_and_the_other_does_not_notice(
    engine: str, tmp_path: Path
) -> None:
    """It comes back at its address; not one Check of the other fails meanwhile."""
    with fleet(tmp_path, engine=engine) as running, asking(running, 1) as answered:
        before = running.workers()
        os.kill(before[0], signal.SIGKILL)
        took = until(lambda: running.answers(0), "worker 0 answers again")
        until(lambda: running.sample("regiongate_worker_restarts_total", worker="0") == 1, "told")
        until(lambda: running.workers().keys() == before.keys(), "both report")
        after = running.workers()
    assert (after[0] != before[0], after[1]) == (True, before[1])
    assert all(answered)
    print(f"\n{engine}: back after {took:.2f} s; {len(answered)} Checks of the other, 0 lost")


def test_a_worker_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    """A machine that is short of something, as one is where a worker has just died of it."""
    with fleet(tmp_path) as running:
        descriptors = len([*Path(f"/proc/{running.child.pid}/fd").iterdir()])
        before = resource.prlimit(running.child.pid, resource.RLIMIT_NOFILE)
        ended = running.workers()[0]
        # One descriptor is free once the worker has ended: too few to start another.
        resource.prlimit(running.child.pid, resource.RLIMIT_NOFILE, (descriptors, before[1]))
        os.kill(ended, signal.SIGKILL)
        until(lambda: "worker 0 could not be run" in running.said(), "it is told")
        assert running.answers(1)
        resource.prlimit(running.child.pid, resource.RLIMIT_NOFILE, before)
        until(lambda: running.answers(0), "worker 0 answers again")
        assert running.stop() == 0


@pytest.mark.soak
def test_a_worker_that_crashes_again_and_again_is_restarted_more_and_more_slowly(
    tmp_path: Path,
) -> None:
    """Each wait is twice the one before; it is not given up, and the parent stays."""
    with fleet(tmp_path) as running:
        for times in range(1, 4):
            os.kill(running.workers()[0], signal.SIGKILL)
            until(
                lambda times=times: (  # type: ignore[misc]  # the default binds the loop's variable
                    running.sample("regiongate_worker_restarts_total", worker="0") == times
                    and 0 in running.workers()
                ),
                "it is started again",
            )
        said = running.said()
        assert [f"again in {delay} s" in said for delay in (0.1, 0.2, 0.4)] == [True] * 3


@pytest.mark.soak
def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    """Whatever says nothing any more is killed, and another takes its place."""
    with fleet(tmp_path) as running:
        before = running.workers()[0]
        os.kill(before, signal.SIGSTOP)
        until(lambda: running.workers().get(0, before) != before, "there is another", within=30)
        assert not alive(before)
        assert running.ask(0).status == 200
        assert "says nothing any more" in running.said()


def test_no_worker_outlives_its_parent(engine: str, tmp_path: Path) -> None:
    """After kill -9 of the parent the workers end by themselves, and kindly."""
    with fleet(tmp_path, engine=engine) as running:
        pids = running.workers().values()
        running.child.kill()
        took = until(lambda: not any(map(alive, pids)), "all have ended")
        assert running.said().count("stopping: health says NOT_SERVING") == 2
    print(f"\n{engine}: gone {took:.2f} s after kill -9 of the parent")


def test_a_worker_that_hangs_ends_with_its_parent_once_it_goes_on(tmp_path: Path) -> None:
    """A stopped process cannot end; it does as soon as it can."""
    with fleet(tmp_path) as running:
        pids = running.workers()
        os.kill(pids[0], signal.SIGSTOP)
        running.child.kill()
        until(lambda: not alive(pids[1]), "the other has ended")
        os.kill(pids[0], signal.SIGCONT)
        until(lambda: not alive(pids[0]), "it has ended")


def test_a_stop_ends_all_of_them(tmp_path: Path) -> None:
    """SIGTERM to the parent reaches every worker: each says that it stops, and all are gone."""
    with fleet(tmp_path, shutdown={"notice": "300ms", "grace": "2s"}) as running:
        pids = running.workers().values()
        assert running.stop() == 0
        assert running.said().count("stopping: health says NOT_SERVING") == 2
        assert not any(map(alive, pids))


@pytest.mark.soak
def test_a_worker_that_does_not_stop_does_not_keep_the_others(tmp_path: Path) -> None:
    """After notice, grace and a margin it is killed."""
    with fleet(tmp_path, shutdown={"notice": "1ms", "grace": "1ms"}) as running:
        pids = running.workers()
        os.kill(pids[0], signal.SIGSTOP)
        started = time.monotonic()
        running.signal(signal.SIGTERM)
        assert running.child.wait(30) == 0
        assert time.monotonic() - started < 10
        assert not any(map(alive, pids.values()))


def test_a_reload_goes_from_worker_to_worker(tmp_path: Path) -> None:
    """After SIGHUP every worker goes by the new policy; they load it one after the other."""
    with fleet(tmp_path) as running:
        (tmp_path / "policy.yaml").write_bytes(policy(rule("closed")))
        running.signal(signal.SIGHUP)
        until(lambda: running.ask(0)["reason"] == "closed", "worker 0 has reloaded")
        until(lambda: running.ask(1)["reason"] == "closed", "worker 1 has reloaded")
        name = "regiongate_reloads_total"
        until(lambda: running.sample(name, part="settings", result="taken") == 2, "both tell")


def test_what_a_reload_cannot_change_is_told(tmp_path: Path) -> None:
    """By every worker, for as long as the file says otherwise than the process does."""
    with fleet(tmp_path) as running:
        config = tmp_path / "regiongate.yaml"
        before = config.read_bytes()
        config.write_bytes(
            before + b"limits: {calls: 7}\ntracing: {endpoint: 'http://127.0.0.1:9'}\n"
        )
        told = [f"worker {n}: changes under limits, tracing need a restart" for n in (0, 1)]
        until(lambda: running.page("/readyz").json()["problems"] == told, "both tell")
        config.write_bytes(before)
        until(lambda: running.page("/readyz").json()["problems"] == [], "nothing is left to tell")


def test_what_one_worker_has_rehearsed_the_next_does_not_rehearse_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be remembered either: their parent hands it down."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with fleet(tmp_path) as running:
        told = [environment(pid)[HANDED_DOWN] for _, pid in sorted(running.workers().items())]
        digest = hashlib.sha256((tmp_path / "country.mmdb").read_bytes()).hexdigest()
    assert told == ["", rehearsed.entry(digest)]


def environment(pid: int) -> dict[str, str]:
    """Return what a process was given at its start."""
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_a_mistake_in_a_file_is_told_by_every_worker_and_changes_no_answer(tmp_path: Path) -> None:
    """The page that says what is not ready names the worker, the part and the reason."""
    with fleet(tmp_path) as running:
        (tmp_path / "policy.yaml").write_text("version: 7\n")

        def told() -> bool:
            problems = running.page("/readyz").json()["problems"]
            return len([one for one in problems if "policies failed" in one]) == 2

        until(told, "both tell")
        answer = running.page("/readyz")
        assert (answer.status, answer.json()["ready"]) == (200, True)
        assert "policy.yaml:1: version" in answer.body
        assert running.sample("regiongate_reload_failing", part="policies") == 2
        assert [running.ask(worker).status for worker in (0, 1)] == [200, 200]


def test_workers_are_restarted_in_turn(engine: str, tmp_path: Path) -> None:
    """SIGUSR2 replaces every process; at no moment do both not answer."""
    with fleet(tmp_path, engine=engine, shutdown={"notice": "200ms", "grace": "2s"}) as running:
        before = running.workers()
        running.signal(signal.SIGUSR1)
        until(lambda: "SIGUSR1 means nothing" in running.said(), "that one restarts nothing")
        running.signal(signal.SIGUSR2)
        neither = 0

        def replaced() -> bool:
            nonlocal neither
            neither += not (running.answers(0) or running.answers(1))
            now = running.workers()
            return len(now) == 2 and not set(now.values()) & set(before.values())

        took = until(replaced, "both are new", within=40)
        assert neither == 0
        assert running.sample("regiongate_worker_restarts_total") == 0
        until(lambda: running.said().count("was restarted in") == 2, "it is said of both")
    print(f"\n{engine}: both replaced in {took:.1f} s")


def test_a_restart_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    """Nothing is said to be done that is not; once its file is mended, the rest follows."""
    with fleet(tmp_path, shutdown={"notice": "1ms", "grace": "2s"}) as running:
        before = running.workers()
        (tmp_path / "policy.yaml").write_text("version: 7\n")
        running.signal(signal.SIGUSR2)
        told = "worker 0 did not come up again; the next ones are left as they are"
        until(lambda: told in running.said(), "it is told")
        assert "was restarted" not in running.said()
        assert running.ask(1).status == 200
        (tmp_path / "policy.yaml").write_bytes(policy())
        running.signal(signal.SIGUSR2)
        until(lambda: running.said().count("was restarted in") == 2, "both are restarted")
        assert running.workers()[1] != before[1]


def test_what_was_counted_outlives_the_process_that_counted_it(tmp_path: Path) -> None:
    """A counter of all workers never goes back, so that no rate is wrong."""
    with fleet(tmp_path) as running:
        for worker in (0, 0, 0, 1):
            running.ask(worker)

        def count() -> float:
            return running.sample("regiongate_decisions_total", verdict="allow")

        until(lambda: count() == 4, "4 are counted")
        os.kill(running.workers()[0], signal.SIGKILL)
        until(lambda: 0 not in running.workers(), "the worker is gone")
        assert (count(), running.sample("regiongate_check_duration_seconds_count")) == (4, 4)
        running.ask(0)
        until(lambda: count() == 5, "5 are counted")


def test_lines_of_several_workers_do_not_mix(tmp_path: Path) -> None:
    """They write to one pipe, longer lines than a pipe takes at once among them."""
    asked = question(path="/" + "x" * 6000)
    config = deploy(tmp_path, listen={"grpc": TWO}, decision_log={"path": "-"})
    with (tmp_path / "stderr").open("wb") as errors:
        child = subprocess.Popen([*COMMAND, config], stdout=subprocess.PIPE, stderr=errors)
    assert child.stdout is not None
    received: list[bytes] = []
    reading = threading.Thread(target=lambda: received.extend(child.stdout or ()))
    reading.start()
    until(lambda: "serving on" in (tmp_path / "stderr").read_text(), "it serves")
    first = (tmp_path / "stderr").read_text().partition("serving on ")[2].split(" (")[0]
    _load(first.split(", "), asked, 300)
    child.terminate()
    assert child.wait(PATIENCE) == 0
    reading.join(PATIENCE)
    child.stdout.close()
    assert len(received) == 600
    assert all(line.startswith(b'{"time"') and line.endswith(b"}\n") for line in received)


def _load(addresses: list[str], asked: bytes, times: int) -> None:
    channels = [grpc.insecure_channel(one, options=NO_PROXY) for one in addresses]
    calls = [one.unary_unary(f"/{SERVICE}/Check", bytes, bytes) for one in channels]
    futures = [call.future(asked, timeout=PATIENCE) for _ in range(times) for call in calls]
    for future in futures:
        future.result()
    for channel in channels:
        channel.close()


def test_a_worker_that_cannot_serve_keeps_no_other_from_saying_that_it_does(tmp_path: Path) -> None:
    """What is in force is told once all have tried; why one cannot serve, it says itself."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        with fleet(tmp_path, {"grpc": ["127.0.0.1:0", busy]}) as running:
            assert running.ask(0).status == 200
            assert f"{busy}: expected a free address to listen on" in running.said()
            problems = running.page("/readyz").json()["problems"]
            assert problems == ["worker 1: is not running"]


NOT_STARTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bad policy": (lambda folder: (folder / "policy.yaml").write_text("x: 1\n"), "policy.yaml:1"),
    "no database": (lambda folder: (folder / "country.mmdb").unlink(), "country.mmdb"),
}


@pytest.mark.parametrize(("spoil", "said"), NOT_STARTED.values(), ids=NOT_STARTED)
def test_what_cannot_be_served_is_told_once(
    spoil: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    """Not by every worker: the first is tried alone, and its exit code is the parent's."""
    config = deploy(tmp_path, listen={"grpc": TWO})
    spoil(tmp_path)
    ended = subprocess.run(
        [*COMMAND, config], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 2
    # A bad policy has more than one thing wrong with it; each line is there once.
    lines = ended.stderr.splitlines()
    assert any(said in line for line in lines)
    assert len(lines) == len(set(lines))
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("written", "mode", "engine"),
    [("0600", 0o600, "native"), ("0666", 0o666, "grpcio"), (None, 0o660, "grpcio")],
)
def test_a_unix_socket_has_the_permissions_that_are_asked_for(
    written: str | None, mode: int, engine: str, tmp_path: Path
) -> None:
    """Whoever may open the file may ask; by default the owner and the group."""
    sockets = [tmp_path / f"{number}.sock" for number in (0, 1)]
    listen = {"grpc": [f"unix:{one}" for one in sockets]}
    permissions = {} if written is None else {"socket_mode": written}
    with fleet(tmp_path, listen={**listen, **permissions}, engine=engine) as running:
        assert [running.ask(worker).status for worker in (0, 1)] == [200, 200]
        assert [stat.S_IMODE(one.stat().st_mode) for one in sockets] == [mode, mode]
