"""The decision log: every decision is a record of its own, and none waits for the disk."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from regiongate._pb.regiongate.v1.decision_pb2 import Decision
from regiongate.extauthz.service import Authorization, Event
from regiongate.runtime.state import State
from regiongate.telemetry.decision_log import BATCH, CAPACITY, DecisionLog
from regiongate.telemetry.record import record
from tests import databases
from tests.integration.deployment import (
    EXEMPT,
    FRANCE,
    GERMANY,
    NORTH_KOREA,
    PLAIN,
    SUSPENDED,
    UNKNOWN,
    Answer,
    answered,
    deploy,
    question,
    read,
)
from tests.integration.keys.test_outages import seed
from tests.integration.process import Process, serving, until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

ASKED = {
    "allowed": question(FRANCE),
    "denied": question(GERMANY),
    "denied for a territory": question(NORTH_KOREA, PLAIN),
    "a warning": question(path="/v0/models"),
    "an exemption": question(GERMANY, EXEMPT),
    "a suspended key": question(key=SUSPENDED),
    "an unknown key": question(key=UNKNOWN),
    "two keys": question(key=f"{PLAIN},{UNKNOWN}"),
    "another policy": question(GERMANY, route="internal"),
    "a policy in shadow": question(route="watched"),
    "a policy that is none": question(route="nowhere\n"),
    "a country that is unknown": question("77.1.1.1"),
    "an address of IPv6": question("2001:db8::1"),
    "no address": question(""),
    "a path with a query": question(path="/v1/models?limit=1"),
    "text of all kinds": question(path='/\u2028"\\\x00\x7f\U0001f600', host="bücher.example"),
    "ids": question(
        headers={"x-request-id": "r-1", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    ),
    "an AS number": question("12.81.92.1"),
    "bytes that are no Check": b"\xff",
    "nothing": b"",
}


def records(log: Path) -> list[dict[str, Any]]:
    """Return the records of a log; each must be one line."""
    return [json.loads(line) for line in log.read_bytes().split(b"\n")[:-1]]


def canonical(value: Any) -> Any:
    """Return a record with numbers and times in one form.

    protobuf writes 64-bit numbers as text and times with as few digits as will do.
    """
    match value:
        case dict():
            return {name: canonical(inner) for name, inner in value.items()}
        case list():
            return [canonical(inner) for inner in value]
        case int() if not isinstance(value, bool):
            return str(value)
        case str() if value.endswith("Z") and value[:2] == "20":
            return datetime.fromisoformat(value)
    return value


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where decisions are written."""
    return tmp_path / "decisions.jsonl"


@pytest.fixture
def config(tmp_path: Path, log: Path) -> Path:
    """A configuration with a decision log."""
    return deploy(tmp_path, decision_log={"path": log.name})


@dataclass(frozen=True, slots=True)
class History:
    """What a service was asked, and what it wrote.

    Attributes:
        config: what it served.
        answers: to ASKED, in order.
        log: what it wrote meanwhile.
    """

    config: Path
    answers: Mapping[str, Answer]
    log: Path

    def record(self, name: str) -> dict[str, Any]:
        """Return the record of an answer."""
        wanted = self.answers[name]["decision_id"]
        (found,) = (one for one in records(self.log) if one["decision_id"] == wanted)
        return found


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A service with every database that has been asked everything, and has ended."""
    folder = tmp_path_factory.mktemp("history")
    databases.asn_database(folder / "asn.mmdb")
    databases.anonymous_database(folder / "anonymous.mmdb")
    geo = {"country": "country.mmdb", "asn": "asn.mmdb", "anonymous": "anonymous.mmdb"}
    config = deploy(folder, geo=geo, decision_log={"path": "decisions.jsonl"})
    with serving(config) as process:
        answers = {name: process.ask(asked) for name, asked in ASKED.items()}
        assert process.stop() == 0
    return History(config, answers, folder / "decisions.jsonl")


def test_every_decision_is_written_once_and_in_order(history: History) -> None:
    """One line for each answer, whatever was asked."""
    written = [record["decision_id"] for record in records(history.log)]
    assert written == [answer["decision_id"] for answer in history.answers.values()]


@pytest.mark.parametrize("name", ASKED)
def test_a_line_is_the_message_in_its_json_form(name: str, history: History) -> None:
    """protobuf reads the line as a Decision, and would write the same fields and values."""
    record = history.record(name)
    message = ParseDict(record, Decision())
    again = MessageToDict(message, preserving_proto_field_name=True)
    assert canonical(record) == canonical(again)


SAME = ("decision_id", "policy_verdict", "policy", "rule", "reason", "phase", "exemption")


@pytest.mark.parametrize("name", ASKED)
def test_a_line_says_what_the_answer_said(name: str, history: History) -> None:
    """Envoy's access log and the decision log agree on every decision."""
    record, answer = history.record(name), history.answers[name]
    assert {field: record.get(field, "") for field in SAME} == {
        field: answer[field] for field in SAME
    }
    assert record["verdict"] == answer["outcome"]
    assert record.get("key", {}).get("id", "") == answer["key_id"]
    assert record.get("source", {}).get("country", "") == answer["country"]


def test_a_line_names_the_inputs_of_the_decision(history: History) -> None:
    """Policy, database and keys are named, so that the decision can be repeated."""
    snapshot = State(history.config).snapshot()
    assert history.record("allowed")["inputs"] == {
        "policy_digest": snapshot.policies.digest,
        "database_type": "Test-Country",
        "database_built": "2026-11-01T00:00:00Z",
        "keys_version": snapshot.keys.version,
    }


def test_a_line_says_why_there_is_no_address(history: History) -> None:
    """Where there is none, and in no other line."""
    told = {name: history.record(name).get("address_problem") for name in ASKED}
    assert {name: why for name, why in told.items() if why} == {
        "no address": "the peer has no IP address: a pipe or an internal listener",
        "nothing": "the peer has no IP address: a pipe or an internal listener",
    }


def test_a_line_says_what_was_asked(history: History) -> None:
    """The request's own ids lead from here to Envoy's log and to the trace."""
    assert history.record("ids")["request"] == {
        "method": "GET",
        "host": "api.example",
        "path": "/v1/models",
        "request_id": "r-1",
        "trace_id": TRACE,
    }
    assert history.record("an AS number")["source"]["asn"] == 7018


def test_no_line_holds_a_key_or_a_query(history: History) -> None:
    """What must not leak is not written, not even of a key that is refused."""
    written = history.log.read_text()
    secrets = (PLAIN, SUSPENDED, UNKNOWN, EXEMPT, "limit=1")
    assert [secret for secret in secrets if secret in written] == []


def test_a_truncated_address_is_not_written_in_full(tmp_path: Path, log: Path) -> None:
    """With address: truncated the record names the client's network and not the client."""
    config = deploy(tmp_path, decision_log={"path": log.name, "address": "truncated"})
    with serving(config) as process:
        process.ask(question("5.39.77.88"))
        process.stop()
    (record,) = records(log)
    assert "5.39.77.88" not in json.dumps(record)


@pytest.mark.parametrize(
    ("on_store_error", "reason"), [("stale", "otherwise"), ("deny", "key_store_away")]
)
def test_a_line_says_that_the_key_store_was_away(
    tmp_path: Path, log: Path, on_store_error: str, reason: str
) -> None:
    """Also of a key that could not be looked up: it is told from one that nobody knows."""
    path = tmp_path / "keys.db"
    seed(f"sqlite:///{path}", "a").close()
    extract = [{"header": "x-api-key"}]
    keys = {"extract": extract, "store": "sqlite:///keys.db", "on_store_error": on_store_error}
    with serving(deploy(tmp_path, keys=keys, decision_log={"path": log.name})) as process:
        path.rename(tmp_path / "gone.db")
        until(lambda: "the key store is away" in process.said(), "it is told")
        until(lambda: process.ask(question(key=PLAIN))["reason"] == reason, reason)
        time.sleep(1.1)  # from when on the store has not been heard of
        last = process.ask(question(FRANCE, key=PLAIN))["decision_id"]
        process.stop()
    record = next(one for one in records(log) if one["decision_id"] == last)
    assert record["reason"] == reason
    assert record["source"]["country"] == "FR"
    assert record["request"]["method"] == "GET"
    assert record["key"].pop("age_seconds") > 1
    assert record["key"] == {"presented": True}


@pytest.mark.usefixtures("unrehearsed")
async def test_plain_allows_are_sampled_and_denials_are_not(config: Path, log: Path) -> None:
    """What is refused, will be, or is in shadow is written whatever the share of allows."""
    writer = DecisionLog(log, sample_allowed=0)
    authorization = Authorization(State(config).snapshot, writer.write)
    names = ("allowed", "denied", "a policy in shadow", "an exemption", "a warning")
    told = {name: read(await answered(authorization.check(ASKED[name], ()))) for name in names}
    writer.close()
    written = {record["decision_id"] for record in records(log)}
    assert [name for name in names if told[name]["decision_id"] in written] == [
        "denied",
        "a policy in shadow",
        "a warning",
    ]


def test_sighup_opens_the_file_anew(config: Path, log: Path) -> None:
    """After logrotate has renamed the file, decisions go to a new one, and none is lost."""
    old = log.with_suffix(".1")
    with serving(config) as process:
        told = [process.ask(question())["decision_id"]]
        until(lambda: log.stat().st_size > 0, "the first decision is written")
        log.rename(old)
        told.append(process.ask(question())["decision_id"])
        process.signal(signal.SIGHUP)

        def renewed() -> bool:
            told.append(process.ask(question())["decision_id"])
            return log.exists()

        until(renewed, "there is a new file")
        assert process.stop() == 0
    written = [record["decision_id"] for record in (*records(old), *records(log))]
    assert written == told


def test_a_file_that_cannot_be_opened_anew_is_tried_again(config: Path, log: Path) -> None:
    """Decisions go on in the file that logrotate has renamed, until they can go to a new one."""
    old = log.with_suffix(".1")
    with serving(config) as process:
        told = [process.ask(question())["decision_id"]]
        until(lambda: log.stat().st_size > 0, "the first decision is written")
        log.rename(old)
        log.mkdir()
        process.signal(signal.SIGHUP)

        def written() -> int:
            told.append(process.ask(question())["decision_id"])
            return old.read_bytes().count(b"\n")

        until(lambda: written() > 2 and "cannot be opened" in process.said(), "it is told")
        log.rmdir()
        until(lambda: written() > 2 and log.exists(), "there is a new file")
        assert process.stop() == 0
        assert process.said().count("cannot be opened anew") == 1
    assert [record["decision_id"] for record in (*records(old), *records(log))] == told


def test_a_full_disk_costs_lines_and_not_answers(tmp_path: Path) -> None:
    """The loss is told, once; the service answers on and ends as ever."""
    with serving(deploy(tmp_path, decision_log={"path": "/dev/full"})) as process:
        answer_on(process)
        until(lambda: "loses lines" in process.said(), "the loss is told")
        answer_on(process)
        assert process.stop() == 0
        assert process.said().count("the decision log loses lines") == 1


def test_a_disk_that_has_space_again_gets_whole_lines(config: Path, log: Path) -> None:
    """What a full disk has cut short does not spoil the line that follows."""
    with serving(config) as process:
        # Longer than what the process says at its start: the limit is on every file.
        first = process.ask(question(path="/" + "x" * 8000))["decision_id"]
        until(lambda: log.stat().st_size > 0, "the first decision is written")
        limit_files(process, log.stat().st_size + 20)
        process.ask(question())
        until(lambda: "loses lines" in process.said(), "the loss is told")
        limit_files(process, resource.RLIM_INFINITY)
        last = process.ask(question())["decision_id"]
        assert process.stop() == 0
    lines = log.read_bytes().split(b"\n")
    found = [json.loads(line)["decision_id"] for line in lines if is_json(line)]
    assert (found[0], found[-1]) == (first, last)


def limit_files(process: Process, size: int) -> None:
    """Let no file of a process grow beyond a size in bytes: writing then fails half-way."""
    limits = (size, resource.RLIM_INFINITY)
    resource.prlimit(process.child.pid, resource.RLIMIT_FSIZE, limits)


def is_json(line: bytes) -> bool:
    """Say whether a line is whole."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def test_a_closed_pipe_costs_lines_and_not_answers(tmp_path: Path) -> None:
    """The end of whoever read standard output is not the end of the service."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as stdout:
        config = deploy(tmp_path, decision_log={"path": "-"})
        with serving(config, stdout) as process:
            stdout.close()
            process.ask(question())
            assert b"decision_id" in os.read(reader, 65536)
            os.close(reader)
            answer_on(process)
            until(lambda: "loses lines" in process.said(), "the loss is told")
            answer_on(process)
            assert process.stop() == 0
            assert "Traceback" not in process.said()


def test_a_reader_that_stands_still_costs_lines_and_not_answers(tmp_path: Path) -> None:
    """A pipe that nobody empties holds up neither the answers nor the end."""
    soon = {"notice": "1ms", "grace": "500ms"}
    config = deploy(tmp_path, decision_log={"path": "-"}, shutdown=soon)
    with serving(config, subprocess.PIPE) as process:
        asked = question(path="/" + "x" * 8000)
        for _ in range(120):  # four times what a pipe holds
            assert process.ask(asked)["outcome"] == "allow"
        assert process.stop() == 0
        assert process.child.stdout is not None
        process.child.stdout.close()


def answer_on(process: Process) -> None:
    """Ask a few Checks, each of which must be answered."""
    for _ in range(20):
        assert process.ask(question())["outcome"] == "allow"


@pytest.mark.usefixtures("unrehearsed")
async def test_what_the_writer_cannot_keep_up_with_is_counted(config: Path, tmp_path: Path) -> None:
    """Of more events than may wait, each is written or counted as dropped."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = DecisionLog(pipe)
    events: list[Event] = []
    await answered(Authorization(State(config).snapshot, events.append).check(ASKED["denied"], ()))
    for _ in range(3 * CAPACITY):
        log.write(events[0])
    # Nobody has read yet: what the pipe does not hold has filled the queue.
    assert log.dropped > 0
    assert drain(reader, log) + log.dropped == 3 * CAPACITY


HOLD = """
import fcntl, sys
file = open(sys.argv[1])
fcntl.lockf(file, fcntl.LOCK_SH)
print(flush=True)
input()
"""
"""A program that locks a file until it is told to end; reading it is enough to."""


async def test_what_waits_is_bounded_in_bytes(config: Path, tmp_path: Path) -> None:
    """Where the disk stands still, long lines fill no more memory than short ones."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = DecisionLog(pipe, capacity=100_000)
    events: list[Event] = []
    asked = question(GERMANY, path="/" + "x" * 60_000)
    await answered(Authorization(State(config).snapshot, events.append).check(asked, ()))
    for _ in range(1000):
        log.write(events[0])
    line = len(records_of(events[0]))
    assert log.queued * line <= 100_000 + BATCH * line
    assert drain(reader, log) + log.dropped == 1000


def records_of(event: Event) -> bytes:
    """Return the line of an event."""
    return json.dumps(record(event), default=str).encode()


async def test_a_long_path_is_cut(config: Path, log: Path) -> None:
    """A client does not decide how much of the log its request takes."""
    writer = DecisionLog(log)
    authorization = Authorization(State(config).snapshot, writer.write)
    await answered(authorization.check(question(path="/" + "x" * 60_000), ()))
    writer.close()
    assert records(log)[0]["request"]["path"] == "/" + "x" * 2047


def test_who_keeps_the_file_locked_does_not_end_the_log(config: Path, log: Path) -> None:
    """A lock that is not given back is waited for a tenth of a second, and no longer."""
    log.touch()
    command = [sys.executable, "-c", HOLD, str(log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        writer = DecisionLog(log)
        authorization = Authorization(State(config).snapshot, writer.write)
        asyncio.run(answered(authorization.check(ASKED["denied"], ())))
        writer.close()
        assert len(records(log)) == 1
        holder.communicate(b"\n")


def drain(reader: int, log: DecisionLog) -> int:
    """Empty a pipe while the log that writes to it is closed, and return how many lines came."""
    received: list[bytes] = []
    os.set_blocking(reader, True)
    with os.fdopen(reader, "rb") as pipe:
        reading = threading.Thread(target=lambda: received.append(pipe.read()))
        reading.start()
        log.close()
        os.close(log._descriptor)
        reading.join()
    return b"".join(received).count(b"\n")
