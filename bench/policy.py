"""What a decision costs: by the size of a region list, by the number of rules, and remembered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from bench.pairs import Turns, in_turns
from bench.report import Section
from regiongate import policy
from regiongate.countries import countries, subdivisions
from regiongate.extauthz import remembered
from regiongate.extauthz.remembered import Memory, Remembered
from regiongate.extauthz.responses import Told, allow
from regiongate.facts import Key, Located, Request, Source
from regiongate.policy import Facts, PolicySet, decide

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FACTS = Facts(
    Source(address="192.0.2.1", status="located", country="US", network="192.0.2.0/24"),
    Key(found=True, presented=True, id="k", status="active"),
    Request(method="GET", path="/v1/models", host="api.example"),
)
LOCATED = Located.of(FACTS.source)
CODES = ["US", *sorted((countries() | subdivisions()) - {"US"})]
SIZES = (10, 100, 1_000, 10_000)
RULES = (1, 2, 4, 8, 16)


def measure() -> list[Section]:
    """Measure bare decisions."""
    return [
        Section(
            title="A bare decision, by entries of the region list",
            unit="µs",
            floor=str(SIZES[0]),
            rows=_by_size(),
            goals={str(SIZES[-1]): "within 10 %"},
        ),
        Section(
            title="A bare decision, by rules that read the request and so cannot be remembered",
            unit="µs",
            floor=str(RULES[0]),
            rows=_by_rules(),
        ),
        Section(title="The same decision again", unit="µs", floor="made", rows=_remembered()),
    ]


def _by_size() -> dict[str, Turns]:
    return in_turns({str(size): _deciding(_listing(size)) for size in SIZES}, calls=300)


def _by_rules() -> dict[str, Turns]:
    return in_turns({str(count): _deciding(_reading(count)) for count in RULES}, calls=200)


def _remembered() -> dict[str, Turns]:
    policies = _listing(SIZES[-1])
    default, memory = policies.policies["default"], Memory()
    decision = decide(policies, "default", FACTS, NOW)
    answer = allow(Told(outcome="allow", reason="otherwise"))
    place = remembered.place(default, LOCATED, FACTS.key, grpc=False)
    until = remembered.until(default, FACTS, NOW)
    memory.remember(place, Remembered(decision, answer, FACTS.key, NOW, until))

    def recall() -> object:
        return memory.recall(remembered.place(default, LOCATED, FACTS.key, grpc=False), NOW)

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
