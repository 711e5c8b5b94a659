"""`regiongate serve` as a real process: how it starts, answers, and stops."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from click.testing import CliRunner

from regiongate.cli import main
from regiongate.extauthz.service import SERVICE
from regiongate.runtime.compiled import is_compiled
from tests.integration.deployment import FRANCE, GERMANY, deploy, question, read
from tests.integration.process import COMMAND, PATIENCE, Process, serving, until

ENGINES = ("native", "grpcio")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Either engine."""
    chosen: str = request.param
    return chosen


def failed(config: Path) -> subprocess.CompletedProcess[str]:
    """Serve what cannot be served, and return how that ended."""
    return subprocess.run(
        [*COMMAND, config], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


# ---------------------------------------------------------------------------------- the start


@pytest.fixture(scope="module", params=[("native", "127.0.0.1:0"), ("grpcio", "unix:{folder}/s")])
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, Process]]:
    """Each engine on a kind of address of its own: the engine, what was asked for, the process."""
    engine, listen = request.param
    folder = tmp_path_factory.mktemp(engine)
    address = listen.format(folder=folder)
    with serving(deploy(folder, engine=engine, listen={"grpc": [address]})) as process:
        yield engine, address, process


def test_it_says_where_it_serves(started: tuple[str, str, Process]) -> None:
    """The first line tells the address as it is bound, the engine and how it was built."""
    engine, address, process = started
    where = re.escape(address.removesuffix(":0"))
    first, *_ = process.said().splitlines()
    built = ", compiled" if is_compiled() else ""
    assert re.search(rf'"serving on {where}(:\d+)? \(engine {engine}{built}\)"', first)


def test_it_answers_where_it_says(started: tuple[str, str, Process]) -> None:
    """From that line on it is SERVING, and Checks are decided."""
    *_, process = started
    assert process.health() == "SERVING"
    assert process.ask(question(FRANCE))["outcome"] == "allow"
    assert process.ask(question(GERMANY)).status == 451


def test_a_second_start_on_the_same_port_fails(engine: str, tmp_path: Path) -> None:
    """It fails with one clear line and exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = failed(deploy(tmp_path, engine=engine, listen={"grpc": [address]}))
    assert ended.returncode == 2
    assert (
        ended.stderr
        == f"{address}: expected a free address to listen on (Address already in use)\n"
    )


Spoil = Callable[[Path], object]
"""Makes a configuration in a folder one that cannot be served."""


def broken(name: str, content: str) -> Spoil:
    """Return what gives a file of the configuration other content."""
    return lambda folder: (folder / name).write_text(content)


def missing(name: str) -> Spoil:
    """Return what removes a file of the configuration."""
    return lambda folder: (folder / name).unlink()


def setting(**changes: object) -> Spoil:
    """Return what changes regiongate.yaml."""
    return lambda folder: deploy(folder, **changes)


UNUSABLE = {
    "no configuration": (missing("regiongate.yaml"), ["regiongate.yaml:1: "]),
    "no policy": (missing("policy.yaml"), ["regiongate.yaml:12: policy: policy.yaml: "]),
    "no keys": (missing("keys.yaml"), ["regiongate.yaml:11: keys.store: keys.yaml: "]),
    "no database": (
        missing("country.mmdb"),
        ["regiongate.yaml:7: geo.country: country.mmdb: "],
    ),
    "no list": (missing("supported.txt"), ["policy.yaml:4: regions.supported.file: "]),
    "three bad files": (
        lambda folder: (
            [
                broken(name, "version: 7\n")(folder)
                for name in ("policy.yaml", "keys.yaml", "country.mmdb")
            ]
        ),
        ["policy.yaml:1: version: ", "policy.yaml:1: ", "keys.yaml:1: version: ", "country.mmdb: "],
    ),
    "no YAML": (broken("regiongate.yaml", "policy: [\n"), ["regiongate.yaml:2: expected YAML"]),
    "a number that is too long": (
        broken("policy.yaml", f"version: {'1' * 5000}\n"),
        ["policy.yaml:1: version: "],
    ),
    "a misspelt key and a wrong value": (
        setting(engin="native", on_error="allow"),
        ["regiongate.yaml:17: on_error: ", "regiongate.yaml:16: engin: expected no key of this"],
    ),
    "native with TLS": (
        setting(engine="native", tls={"cert": "a.pem", "key": "b.pem"}),
        ["regiongate.yaml:16: engine: expected grpcio or auto where tls is asked for (got native)"],
    ),
}

UNSERVABLE = {
    "no configuration": UNUSABLE["no configuration"],
    "three bad files": UNUSABLE["three bad files"],
    "no certificate": (
        setting(tls={"cert": "a.pem", "key": "b.pem"}),
        [
            "regiongate.yaml:17: tls.cert: a.pem: expected a readable file",
            "regiongate.yaml:18: tls.key: b.pem: expected a readable file",
        ],
    ),
    "a certificate that is none": (
        setting(tls={"cert": "policy.yaml", "key": "policy.yaml"}),
        ["regiongate.yaml:17: tls.cert: policy.yaml: "],
    ),
    "no folder for the decision log": (
        setting(decision_log={"path": "missing/decisions.jsonl"}),
        ["regiongate.yaml:17: decision_log.path: missing/decisions.jsonl: "],
    ),
}


def judge(said: list[str], errors: str, folder: Path) -> None:
    """Make sure that every problem is told in a line that begins with its file."""
    lines = [line.replace(f"{folder}/", "") for line in errors.splitlines()]
    untold = [one for one in said if not any(line.startswith(one) for line in lines)]
    assert untold == [], lines


@pytest.mark.parametrize(("spoil", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_files_that_cannot_be_used_are_told(spoil: Spoil, said: list[str], tmp_path: Path) -> None:
    """Every problem is a line with its file; the exit code is 2."""
    config = deploy(tmp_path)
    spoil(tmp_path)
    result = CliRunner().invoke(main, ["serve", "-c", str(config)])
    assert (result.exit_code, result.stdout) == (2, "")
    judge(said, result.stderr, tmp_path)


@pytest.mark.parametrize(("spoil", "said"), UNSERVABLE.values(), ids=UNSERVABLE)
def test_what_cannot_be_served_ends_with_a_message(
    spoil: Spoil, said: list[str], tmp_path: Path
) -> None:
    """The process ends with exit code 2 and says why, without a traceback."""
    config = deploy(tmp_path)
    spoil(tmp_path)
    ended = failed(config)
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 2
    judge(said, ended.stderr, tmp_path)


# ----------------------------------------------------------------------------------- the end


@pytest.mark.parametrize(
    ("engine", "number"), [("native", signal.SIGTERM), ("grpcio", signal.SIGINT)]
)
def test_it_says_that_it_stops_before_it_does(
    engine: str, number: signal.Signals, tmp_path: Path
) -> None:
    """Health is NOT_SERVING first; Checks are answered on, until the notice is over; exit 0."""
    shutdown = {"notice": "500ms", "grace": "5s"}
    with serving(deploy(tmp_path, engine=engine, shutdown=shutdown)) as process:
        assert process.health() == "SERVING"
        process.signal(number)
        until(lambda: process.health() == "NOT_SERVING", "health is NOT_SERVING")
        assert process.ask(question())["outcome"] == "allow"
        assert process.child.poll() is None
        assert process.child.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGUSR1, "SIGUSR1 means nothing"), (signal.SIGUSR2, "SIGUSR2 is for the parent")],
)
def test_a_signal_that_is_not_for_it_ends_no_process(
    number: signal.Signals, said: str, tmp_path: Path
) -> None:
    """It says so, and goes on: whoever sends one did not mean an end."""
    with serving(deploy(tmp_path)) as process:
        process.signal(number)
        until(lambda: said in process.said(), "it is said")
        assert process.ask(question())["outcome"] == "allow"


def test_a_call_under_way_is_finished(tmp_path: Path) -> None:
    """A Check that has begun before the end is answered, though its bytes come after it.

    For the native engine a call begins with its bytes; test_engines shows such a call.
    """
    shutdown = {"notice": "1ms", "grace": "10s"}
    with serving(deploy(tmp_path, engine="grpcio", shutdown=shutdown)) as process:
        assert process.ask(question())["outcome"] == "allow"  # connected
        begun, answered = begin(process)
        process.signal(signal.SIGTERM)
        until(lambda: "stopping" in process.said(), "it says that it stops")
        begun.put(question(GERMANY))
        assert read(answered())["outcome"] == "deny"
        assert process.child.wait(PATIENCE) == 0


def test_a_call_that_hangs_does_not_keep_it(tmp_path: Path) -> None:
    """When the time for calls under way is over, the process ends all the same."""
    shutdown = {"notice": "1ms", "grace": "300ms"}
    with serving(deploy(tmp_path, engine="grpcio", shutdown=shutdown)) as process:
        assert process.ask(question())["outcome"] == "allow"
        begun, _ = begin(process)
        started = time.monotonic()
        process.signal(signal.SIGTERM)
        assert process.child.wait(PATIENCE) == 0
        assert time.monotonic() - started < 5
        begun.put(None)


def begin(process: Process) -> tuple[SimpleQueue[bytes | None], Callable[[], bytes]]:
    """Begin a Check whose bytes are not sent yet; return where to put them, and the answer."""
    asked: SimpleQueue[bytes | None] = SimpleQueue()
    sending = threading.Event()

    def messages() -> Iterator[bytes]:
        sending.set()
        try:
            message = asked.get(timeout=PATIENCE)
        except Empty:
            return
        if message is not None:
            yield message

    # To the server a call of one message that is sent late looks like any other.
    call = process.channel.stream_unary(f"/{SERVICE}/Check", bytes, bytes)
    future = call.future(messages(), timeout=PATIENCE)
    assert sending.wait(PATIENCE)
    # A second call on the same connection is answered after the first has arrived.
    process.ask(question())
    return asked, lambda: bytes(future.result())


def test_it_ends_in_the_middle_of_a_load(engine: str, tmp_path: Path) -> None:
    """Calls that the end meets are answered with a decision, or fail as calls; none hangs."""
    with serving(deploy(tmp_path, engine=engine)) as process:
        call = process.channel.unary_unary(f"/{SERVICE}/Check", bytes, bytes)
        futures = [call.future(question(), timeout=PATIENCE) for _ in range(300)]
        futures[0].result()
        process.signal(signal.SIGTERM)
        outcomes = [
            future.code().name if future.exception() else read(future.result())["outcome"]
            for future in futures
        ]
        assert process.child.wait(PATIENCE) == 0
    assert set(outcomes) <= {"allow", "UNAVAILABLE", "CANCELLED"}


def test_signals_that_come_twice_change_nothing(tmp_path: Path) -> None:
    """An impatient supervisor does not turn a clean end into a crash."""
    with serving(deploy(tmp_path, shutdown={"notice": "300ms", "grace": "5s"})) as process:
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
            process.signal(number)
        assert process.child.wait(PATIENCE) == 0
        assert "Traceback" not in process.said()
