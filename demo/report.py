"""Ask every case through Envoy, compare what happened with what the policy says, and print it."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.access_log import Entry, entries
from demo.cases import Case, Outcome
from demo.client import Answer, ask
from demo.stack import Stack

TO_UPSTREAM = {
    "x-regiongate-country": "country",
    "x-regiongate-decision-id": "decision_id",
    "x-regiongate-key-id": "key_id",
    "x-regiongate-org": "org",
}
"""The headers of an allowed request, by the access log's name for each; no others may arrive."""

TO_CLIENT = {"code": "reason", "decision_id": "decision_id"}
"""Likewise for the body of a refusal."""


@dataclass(frozen=True, slots=True)
class Row:
    """A case and what became of it.

    Attributes:
        case: what was asked.
        outcome: status as the client got it; country, rule and reason from Envoy's access log.
        fault: what is wrong; empty where nothing is.
    """

    case: Case
    outcome: Outcome
    fault: str


def run(stack: Stack, cases: Sequence[Case]) -> list[Row]:
    """Send every case through Envoy as a trusted load balancer would, and judge what happened.

    Raises:
        DemoError: Envoy did not log a decision that it acted on.
    """
    answers = [ask(stack.proxy, case.path, _headers(case)) for case in cases]
    decisions = [_decision(answer) for answer in answers]
    log = entries(stack.access_log, [decision for decision in decisions if decision])
    return [
        _judge(case, answer, log.get(decision, {}))
        for case, answer, decision in zip(cases, answers, decisions, strict=True)
    ]


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the rows as a table, and below it how many are as they should be."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("client", "country", "key", "status", "rule", "reason", ""):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)
    console.print(_summary(rows), soft_wrap=True)


def _cells(row: Row) -> list[str | Text]:
    case, outcome = row.case, row.outcome
    facts = [case.client, outcome.country, case.key, str(outcome.status)]
    facts += [outcome.rule, outcome.reason]
    verdict = Text(f"not ok: {row.fault}", "red") if row.fault else Text("ok", "green")
    return [*(fact or "-" for fact in facts), verdict]


def _summary(rows: Sequence[Row]) -> str:
    good = sum(not row.fault for row in rows)
    countries = {row.outcome.country for row in rows} - {""}
    return (
        f"{good} of {len(rows)} requests through Envoy, from {len(countries)} countries, "
        "were answered as the policy says."
    )


def _headers(case: Case) -> list[tuple[str, str]]:
    return [("x-forwarded-for", case.client), *case.headers]


def _decision(answer: Answer) -> str:
    told = dict(_told(answer))
    return told.get("x-regiongate-decision-id") or told.get("decision_id", "")


def _told(answer: Answer) -> list[tuple[str, str]]:
    """Return what RegionGate told: the client in a refusal's body, the upstream in headers."""
    try:
        body = answer.json()
    except ValueError:
        return []
    if answer.status == HTTPStatus.OK:
        seen = ((str(name), str(value)) for name, value in body["headers"])
        return sorted(pair for pair in seen if pair[0].startswith("x-regiongate-"))
    return [(name, str(body["error"].get(name))) for name in ("code", "decision_id")]


def _logged(status: int, entry: Entry) -> list[tuple[str, str]]:
    """Return what must have been told, going by the access log."""
    names = TO_UPSTREAM if status == HTTPStatus.OK else TO_CLIENT
    return [(told, str(entry[name])) for told, name in names.items() if entry[name]]


def _judge(case: Case, answer: Answer, entry: Entry) -> Row:
    country, rule, reason = (str(entry.get(name) or "") for name in ("country", "rule", "reason"))
    outcome = Outcome(answer.status, country, rule, reason)
    return Row(case, outcome, _fault(case.expected, outcome, answer, entry))


def _fault(expected: Outcome, outcome: Outcome, answer: Answer, entry: Entry) -> str:
    if not entry:
        return f"no decision (got {answer.body[:60]!r})"
    if outcome != expected:
        return f"expected {expected}"
    told, logged = _told(answer), _logged(answer.status, entry)
    return "" if told == logged else f"told {told}, logged {logged}"
