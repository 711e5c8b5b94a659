"""The admin address: what it shows, what it does not, and that it disturbs nobody."""

from __future__ import annotations

import http.client
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as prometheus_families

from regiongate.runtime import admin
from regiongate.runtime.report import Report, Summary
from regiongate.runtime.sockets import BindError
from regiongate.telemetry import metrics
from regiongate.telemetry.metrics import Gauge, Tally
from tests.integration.deployment import (
    EXEMPT,
    FRANCE,
    GERMANY,
    NORTH_KOREA,
    PLAIN,
    SUSPENDED,
    UNKNOWN,
    policy,
    question,
    rule,
)
from tests.integration.process import PATIENCE, until
from tests.integration.workers.fleet import Fleet, fetch, fleet

LONG_AGO = "2020-01-01T00:00:00Z"

ASKED = [
    question(FRANCE),
    question(GERMANY),
    question(NORTH_KOREA, PLAIN),
    question(GERMANY, EXEMPT),
    question(key=SUSPENDED),
    question(key=UNKNOWN),
    question(route="watched"),
    question(route="made-up-by-a-caller"),
    b"\xff",
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two workers that have each answered every question of ASKED."""
    folder = tmp_path_factory.mktemp("admin")
    with fleet(folder, metrics={"countries": True}, decision_log={"path": "d.jsonl"}) as started:
        failing = rule("broken", "request.headers['absent'] == 'x'")
        (folder / "policy.yaml").write_bytes(policy({**failing, "phases": {"observe": LONG_AGO}}))
        until(lambda: started.sample("regiongate_reloads_total", part="policies") == 2, "reloaded")
        for worker in (0, 1):
            for asked in ASKED:
                started.ask(worker, asked)
        count = 2 * len(ASKED)
        until(lambda: started.sample("regiongate_decisions_total") == count, "all are counted")
        yield started


FORMATS = {
    "text": ("*/*", prometheus_families),
    "openmetrics": ("application/openmetrics-text; version=1.0.0", openmetrics_families),
}


@pytest.mark.parametrize(("accept", "parse"), FORMATS.values(), ids=FORMATS)
def test_the_metrics_can_be_read(accept: str, parse: object, running: Fleet) -> None:
    """In both formats, by the reference parser: every declared family, every label, once each."""
    assert callable(parse)
    samples = [
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in parse(running.page("/metrics", accept).body)
        for sample in family.samples
    ]
    assert len(samples) == len(set(samples))
    declared = metrics.exported()
    for name, labels in samples:
        assert {label for label, _ in labels} <= set(declared[name]), name


COUNTED = {
    "denials": (("decisions_total", {"verdict": "deny"}), 2 * 5),
    "a rule": (("decisions_total", {"rule": "unsupported-region"}), 2),
    "shadow": (("decisions_total", {"verdict": "allow", "policy_verdict": "deny"}), 2 * 4),
    "no policy of the file": (("decisions_total", {"reason": "unknown_policy"}), 2),
    "unreadable": (("decisions_total", {"reason": "malformed_check"}), 2),
    "latency": (("check_duration_seconds_count", {}), 2 * len(ASKED)),
    "condition errors": (("condition_failures_total", {"rule": "broken"}), 2 * 6),
    "workers": (("worker_up", {}), 2),
    "lines": (("decision_log_lines_total", {"result": "written"}), 2 * len(ASKED)),
    "policies": (("policy_info", {}), 2),
    "build": (("build_info", {}), 1),
    "undecodable": (("database_undecodable_lookups_total", {}), 0),
    "in flight": (("checks_in_flight", {}), 0),
}


@pytest.mark.parametrize(("sample", "value"), COUNTED.values(), ids=COUNTED)
def test_what_is_counted(sample: tuple[str, dict[str, str]], value: float, running: Fleet) -> None:
    """All workers are added up."""
    name, labels = sample
    until(lambda: running.sample(f"regiongate_{name}", **labels) == value, f"{sample} is {value}")


def test_a_name_that_a_caller_made_up_is_no_label(running: Fleet) -> None:
    """Whoever can call the service cannot make it remember names."""
    assert "made-up-by-a-caller" not in running.page("/metrics").body


def test_countries_are_counted_where_that_is_asked_for(running: Fleet) -> None:
    """By ISO code; there are no more of them than the standard has."""
    assert running.sample("regiongate_decisions_by_country_total", country="DE") == 4
    assert running.sample("regiongate_decisions_by_country_total", country="KP") == 2


def test_no_page_shows_a_key(running: Fleet) -> None:
    """Neither keys nor their digests, nor the addresses of clients."""
    shown = "".join(running.page(path).body for path in ("/metrics", "/info", "/readyz"))
    told = [PLAIN, SUSPENDED, UNKNOWN, EXEMPT, "sha256:", FRANCE, GERMANY, NORTH_KOREA]
    assert [one for one in told if one in shown] == []


def test_info_says_what_is_in_force(running: Fleet) -> None:
    """For each worker: engine, policy, database, keys."""
    first, second = running.page("/info").json()["workers"]
    assert first["policy"] == second["policy"]
    assert first["databases"][0]["type"] == "Test-Country"
    assert (first["engine"], first["keys"]["store"], first["tls"]) == ("native", "file", "off")


def test_there_is_nothing_else(running: Fleet) -> None:
    """Other paths are not found, and nothing can be changed."""
    url = f"http://{running.admin}"
    assert fetch(f"{url}/quit").status == 404
    assert {fetch(f"{url}/healthz", method=one).status for one in ("POST", "PUT", "DELETE")} == {
        501
    }
    assert fetch(f"{url}/healthz").body == "ok\n"


def test_a_slow_client_holds_up_neither_scrapes_nor_checks(running: Fleet) -> None:
    """Clients that send nothing are waited for by nobody else, and turned away when too many."""
    host, _, port = running.admin.rpartition(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(admin.CLIENTS - 1)]
    try:
        assert running.page("/healthz").status == 200
        assert running.ask(0).status == 200
        over = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(4)]
        assert b"" in [one.recv(1) for one in over[1:]]
        for one in over:
            one.close()
    finally:
        for one in idle:
            one.close()
    until(lambda: _is_there(running), "it answers again")


def _is_there(running: Fleet) -> bool:
    try:
        return running.page("/healthz").status == 200
    except OSError:
        return False


# ------------------------------------------------------------------------- what is ready

SERVING = Report(worker=0, pid=1, address="a", serving=True)
STOPPING = Report(worker=1, pid=2, address="b", serving=False)
STALE = Report(worker=0, pid=1, address="a", serving=True, problems=("the database is old",))

READINESS = {
    "serving": (Summary(reports=[SERVING]), 200, []),
    "one of two": (Summary(reports=[SERVING], missing=[1]), 200, ["worker 1: is not running"]),
    "none": (Summary(reports=[], missing=[0]), 503, ["worker 0: is not running"]),
    "stopping": (Summary(reports=[STOPPING]), 503, ["worker 1: does not serve"]),
    "stale": (Summary(reports=[STALE]), 200, ["worker 0: the database is old"]),
}


@pytest.mark.parametrize(("summary", "status", "problems"), READINESS.values(), ids=READINESS)
def test_what_is_not_ready_is_told(summary: Summary, status: int, problems: list[str]) -> None:
    """503 where no Check is answered; what else is wrong is told beside 200."""
    with admin.served("127.0.0.1:0", admin.pages(lambda: summary)) as bound:
        answer = fetch(f"http://{bound}/readyz")
    assert (answer.status, answer.json()["problems"]) == (status, problems)


def test_it_can_be_a_unix_socket(tmp_path: Path) -> None:
    """With permissions of its own, and in place of one that was left behind."""
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with admin.served(f"unix:{path}", admin.pages(lambda: Summary(reports=[SERVING])), 0o600):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
        connection.close()


def test_a_socket_in_use_is_not_taken_from_its_server(tmp_path: Path) -> None:
    """A second process on the same configuration does not make the first one mute."""
    address, pages = f"unix:{tmp_path}/admin.sock", admin.pages(lambda: Summary(reports=[SERVING]))
    with admin.served(address, pages):
        with (
            pytest.raises(BindError, match="expected a free address"),
            admin.served(address, pages),
        ):
            pass
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(tmp_path / "admin.sock"))


def test_a_request_has_to_come_whole_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All connections there are, kept busy with a byte now and then, are ended and given back."""
    monkeypatch.setattr(admin, "PATIENCE", 0.5)
    with admin.served("127.0.0.1:0", admin.pages(lambda: Summary(reports=[SERVING]))) as bound:
        host, _, port = bound.rpartition(":")
        busy = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(admin.CLIENTS)]
        for one in busy:
            one.sendall(b"GET /healthz HTTP/1.1\r\nx: ")

        def all_ended() -> bool:
            busy[:] = [one for one in busy if _takes_more(one)]
            return not busy

        until(all_ended, "no connection takes another byte")
        assert fetch(f"http://{bound}/healthz").status == 200


def _takes_more(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"y")
    except ConnectionError:
        connection.close()
        return False
    return True


UNUSUAL = (
    "application/openmetrics-text; version=abc.1",
    "application/openmetrics-text; version=\xff",
    "text/plain; version=1.x",
    "application/openmetrics-text; version=2.x",
    "text/plain; version=" + "9" * 5000,
    "text/plain;q=0.x, \xff",
)


@pytest.mark.parametrize("accept", UNUSUAL)
def test_whoever_accepts_what_there_is_not_gets_the_plain_format(accept: str) -> None:
    """And not a connection that is closed without a word."""
    with admin.served("127.0.0.1:0", admin.pages(lambda: Summary(reports=[SERVING]))) as bound:
        page = fetch(f"http://{bound}/metrics", accept)
    assert page.status == 200
    assert list(prometheus_families(page.body))


def test_a_page_that_fails_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asked gets nothing; who reads the log gets to know why."""

    def failing() -> Summary:
        raise ValueError("a fault")

    with admin.served("127.0.0.1:0", admin.pages(failing)) as bound:
        with pytest.raises(http.client.RemoteDisconnected):
            fetch(f"http://{bound}/readyz")
        assert fetch(f"http://{bound}/healthz").status == 200
    assert [record.levelname for record in caplog.records] == ["ERROR"]


# ---------------------------------------------------------------------------------- sums


def test_a_report_of_a_newer_worker_is_understood() -> None:
    """A parent goes on when the version on the disk is the next one."""
    report = Report(worker=0, pid=1, address="a", serving=True)
    line = orjson.dumps({**orjson.loads(report.line()), "weather": "fine"})
    assert Report.read(line) == report


def test_tallies_add_up() -> None:
    """Row by row, whatever one of them lacks, and through the pipe's form."""
    first, second, total = Tally(), Tally(), Tally()
    first.count(metrics.LIMITED, ("calls",), 2)
    second.count(metrics.LIMITED, ("calls",))
    second.count(metrics.LIMITED, ("caller",))
    first.observe(metrics.DURATION, 0.00002)
    second.observe(metrics.DURATION, 100.0)
    for one in (first, second):
        report = Report(worker=0, pid=1, address="a", serving=True, tally=one)
        total.include(Report.read(report.line()).tally)
    assert total.family(metrics.LIMITED) == {("calls",): [3], ("caller",): [1]}
    (row,) = total.family(metrics.DURATION).values()
    assert (sum(row[:-1]), row[1], row[-2]) == (2, 1, 1)


def test_what_all_workers_have_in_common_is_told_once() -> None:
    """Two equal samples would spoil the whole page."""
    gauge = Gauge(metrics.BUILD.name, ("1", "3.11", "native"), 1)
    reports = [
        Report(worker=number, pid=1, address="a", serving=True, gauges=(gauge,))
        for number in (0, 1)
    ]
    assert Summary(reports=reports).gauges().count(gauge) == 1
