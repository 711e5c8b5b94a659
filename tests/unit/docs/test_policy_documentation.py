"""docs/policy.md says what is so: its examples load, decide and are refused as it tells.

Each block of YAML is tagged: `policy` is a file, `rules` are those of a default policy, `cases` are
run against the block before them, `keys` is a key file, and `refused` is a file that is refused
with the message in the block of text after it.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from regiongate import policy
from regiongate.documents import DocumentError
from regiongate.facts import Key, Request, Source
from regiongate.keys.digest import Digester
from regiongate.keys.stores import file
from regiongate.policy import PolicySet, cases
from regiongate.policy.conditions import MAX_LENGTH
from regiongate.policy.syntax import MAX_MATCHES, MAX_NODES, MAX_PATTERN

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/policy.md").read_text(encoding="utf-8")
PROTO = (ROOT / "protos/regiongate/v1/facts.proto").read_text(encoding="utf-8")

AROUND_RULES = """\
version: 1
regions: {supported: [CA, FR, UA, US], embargoed: [CU, IR, KP, UA-43]}
policies:
  default:
    otherwise: allow
    rules:
"""
"""What rules are shown in the documentation without."""
AROUND_CASES = "version: 1\ndefaults: {at: 2024-08-01T00:00:00Z}\ncases:\n"


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        line: of the fence.
        policy: the policy that stands before it.
        told: the text of the block after it.
    """

    line: int
    tag: str
    text: str
    policy: str
    told: str


def _blocks() -> Iterator[Block]:
    found = list(re.finditer(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
    current = ""
    for number, match in enumerate(found):
        kind, tag, text = match.groups()
        current = {"policy": text, "rules": _around(text)}.get(tag, current)
        if kind == "yaml":
            told = found[number + 1][3] if tag == "refused" else ""
            line = TEXT.count("\n", 0, match.start()) + 1
            yield Block(line, tag or "", text, current, told)


def _around(rules: str) -> str:
    """Write rules that are shown alone into a file."""
    return AROUND_RULES + textwrap.indent(rules, "      ")


BLOCKS = list(_blocks())
TAGS = {"policy", "rules", "cases", "keys", "refused"}


def load(text: str) -> PolicySet:
    """Load a policy; a list that is a file holds one code."""
    return policy.load("policy.yaml", text, lambda _: "FR  # France\n")


def of(*tags: str) -> list[Block]:
    """Return the blocks with one of these tags."""
    return [block for block in BLOCKS if block.tag in tags]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line {block.line}")
def test_every_block_of_yaml_is_of_a_kind_that_is_tested(block: Block) -> None:
    """An example without a tag would be an example without a test."""
    assert block.tag in TAGS


AROUND = [line.strip() for line in (*AROUND_RULES.splitlines(), *AROUND_CASES.splitlines())]


@pytest.mark.parametrize("line", sorted({*AROUND} - {"policies:", "rules:"}))
def test_what_is_left_out_of_the_examples_is_said_before_them(line: str) -> None:
    """Whoever tries one knows what to put around it."""
    introduction, _, _ = TEXT.partition("\n## ")
    assert line.removesuffix(":") in introduction


@pytest.mark.parametrize("block", of("policy", "rules"), ids=lambda block: f"line {block.line}")
def test_a_policy_loads(block: Block) -> None:
    """What is shown can be taken as it stands."""
    load(block.policy)


@pytest.mark.parametrize("block", of("keys"), ids=lambda block: f"line {block.line}")
def test_a_key_file_loads(block: Block) -> None:
    """What is shown can be taken as it stands."""
    assert len(file.load("keys.yaml", block.text, Digester())) == 1


@pytest.mark.parametrize("block", of("cases"), ids=lambda block: f"line {block.line}")
def test_a_case_passes(block: Block) -> None:
    """The policy above decides what is said of it."""
    policies = load(block.policy)
    text = block.text if block.text.startswith("version:") else AROUND_CASES + block.text
    outcomes = [cases.run(policies, case) for case in cases.load("cases.yaml", text)]
    assert [(one.case.name, one.mismatches) for one in outcomes if one.mismatches] == []


@pytest.mark.parametrize("block", of("refused"), ids=lambda block: f"line {block.line}")
def test_a_mistake_is_refused_as_it_is_told(block: Block) -> None:
    """The message is shown to the letter."""
    with pytest.raises(DocumentError) as error:
        load(block.text)
    assert str(error.value) == block.told.rstrip("\n")


TYPES = {
    "string": "string",
    "bool": "bool",
    "int64": "int",
    "google.protobuf.Timestamp": "timestamp",
}
LISTS = {"repeated string": "list(string)", "map<string, string>": "map(string, string)"}


def _facts() -> dict[str, tuple[str, str]]:
    """Return type and comment of every fact in facts.proto."""
    facts: dict[str, tuple[str, str]] = {}
    message, comment = "", list[str]()
    for line in map(str.strip, PROTO.splitlines()):
        if found := re.fullmatch(r"message (\w+) \{", line):
            message, comment = found[1].lower(), []
        elif line.startswith("//"):
            comment.append(line.removeprefix("// "))
        elif found := re.fullmatch(r"(.+) (\w+) = \d+;", line):
            facts[f"{message}.{found[2]}"] = ({**TYPES, **LISTS}[found[1]], " ".join(comment))
            comment = []
    return facts


FACTS = _facts()
ROWS = {
    name: (kind, words)
    for name, kind, words in re.findall(
        r"^\| `((?:source|key|request)\.\w+)` \| `([^`]+)` \| (.+) \|$", TEXT, re.MULTILINE
    )
}


def test_every_fact_is_read_from_the_proto() -> None:
    """The reading above misses none."""
    messages: dict[str, Any] = {"source": Source, "key": Key, "request": Request}
    assert list(FACTS) == [
        f"{name}.{field.name}" for name, one in messages.items() for field in one.DESCRIPTOR.fields
    ]


@pytest.mark.parametrize("name", FACTS)
def test_every_fact_is_documented_as_in_the_proto(name: str) -> None:
    """The comment in facts.proto is a fact's documentation, word for word."""
    kind, comment = FACTS[name]
    assert ROWS[name][0] == kind
    assert ROWS[name][1] == (comment or ROWS[name][1])


def test_no_fact_is_documented_that_there_is_not() -> None:
    """A fact that goes takes its row with it."""
    assert ROWS.keys() == FACTS.keys()


@pytest.mark.parametrize(
    "sentence",
    [
        f"{MAX_LENGTH} characters",
        f"{MAX_NODES} terms",
        f"at most {MAX_MATCHES} times",
        f"at most {MAX_PATTERN} characters",
    ],
)
def test_limits_are_those_of_the_code(sentence: str) -> None:
    """The numbers are the numbers."""
    assert sentence in " ".join(TEXT.split())
