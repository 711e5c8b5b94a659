"""What a decision costs: by the size of a region list, by the number of rules, and remembered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from bench.pairs import Timing, in_turns
from regiongate import policy
from regiongate.countries import countries, subdivisions
from regiongate.extauthz import remembered
from regiongate.extauthz.remembered import Memory, Remembered
from regiongate.extauthz.responses import Told, allow
from regiongate.facts import Key, Request, Source
from regiongate.policy import Facts, PolicySet, decide

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FACTS = Facts(
    Source(address="192.0.2.1", status="located", country="US", network="192.0.2.0/24"),
    Key(found=True, presented=True, id="k", status="active"),
    Request(method="GET", path="/v1/models", host="api.example"),
)
CODES = ["US", *sorted((countries() | subdivisions()) - {"US"})]
SIZES = (10, 100, 1_000, 10_000)
RULES = (1, 2, 4, 8, 16)


def main() -> None:
    """Measure, and print a table for each question."""
    console = Console()
    console.print(_table("region list entries", "10", _by_size()))
    console.print(_table("rules that read the request", "1", _by_rules()))
    console.print(_table("the same decision", "made", _remembered()))


def _by_size() -> dict[str, Timing]:
    return in_turns({str(size): _deciding(_listing(size)) for size in SIZES}, calls=300)


def _by_rules() -> dict[str, Timing]:
    return in_turns({str(count): _deciding(_reading(count)) for count in RULES}, calls=200)


def _remembered() -> dict[str, Timing]:
    policies = _listing(SIZES[-1])
    default, memory = policies.policies["default"], Memory()
    decision = decide(policies, "default", FACTS, NOW)
    answer = allow(Told(outcome="allow", reason="otherwise"))
    place = remembered.place(default, FACTS, grpc=False)
    until = remembered.until(default, FACTS, NOW)
    memory.remember(place, Remembered(decision, answer, FACTS.key, NOW, until))

    def recall() -> object:
        return memory.recall(remembered.place(default, FACTS, grpc=False), NOW)

    return in_turns({"made": _deciding(policies), "recalled": recall}, calls=300)


def _deciding(policies: PolicySet) -> Callable[[], object]:
    return lambda: decide(policies, "default", FACTS, NOW)


def _listing(size: int) -> PolicySet:
    """Make a policy of one allow-list; what exceeds all the codes there are goes into a second."""
    rule = """{name: r, when: '!source.within("some")', deny: {reason: no}}"""
    some, more = CODES[:size], CODES[: max(0, size - len(CODES))]
    return _load(f"some: [{', '.join(some)}], more: [{', '.join(more)}]", rule)


def _reading(count: int) -> PolicySet:
    """Make a policy of rules that none can be remembered."""
    rules = (
        f"""{{name: r{n}, when: 'request.path == "/{n}"', deny: {{reason: no}}}}"""
        for n in range(count)
    )
    return _load("some: [US]", ", ".join(rules))


def _load(regions: str, rules: str) -> PolicySet:
    text = f"""
        version: 1
        regions: {{{regions}}}
        policies: {{default: {{rules: [{rules}], otherwise: allow}}}}
    """
    return policy.load("bench.yaml", text, lambda name: name)


def _table(subject: str, floor: str, timings: dict[str, Timing]) -> Table:
    table = Table(title=f"{subject} (ratio to {floor!r}, turn by turn)")
    for heading in (subject, "µs, median", "ratio: least", "median", "largest"):
        table.add_column(heading, justify="right")
    for name, timing in timings.items():
        least, median, largest = timing.ratio(timings[floor])
        ratios = (f"{least:.2f}", f"{median:.2f}", f"{largest:.2f}")
        table.add_row(name, f"{timing.median * 1e6:.1f}", *ratios)
    return table


if __name__ == "__main__":
    main()
