"""Conditions: CEL expressions, checked against the facts when a policy is loaded.

A misspelt field, a wrong type, an unknown region list or an expression that could cost too much
is refused here, with a caret under it, and never a surprise at the time of a request. This is
the only module that knows CEL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cel_expr_python import cel

from regiongate._pb.cel_syntax_pb2 import CheckedExpr, Serialized
from regiongate.facts import Key, Request, Source
from regiongate.policy import syntax
from regiongate.policy.regions import RegionList, permits
from regiongate.policy.syntax import ConditionError

MAX_LENGTH: Final = 4096
"""Characters of an expression."""
_SOURCE: Final = cel.Type(Source.DESCRIPTOR.full_name)
_KEY: Final = cel.Type(Key.DESCRIPTOR.full_name)
_REQUEST: Final = cel.Type(Request.DESCRIPTOR.full_name)


@dataclass(frozen=True, slots=True)
class Failed:
    """A condition that could not be evaluated; it neither held nor did not hold."""

    reason: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled expression.

    Attributes:
        text: the expression as the operator wrote it.
        reads: the facts it may look at, for instance `source.country`, `request.headers`, `now`;
            one that is used whole stands alone, for instance `key`.
        lists: the region lists it names.
        doubts: what it compares facts with that they never are, a sentence each.
    """

    text: str
    reads: frozenset[str]
    lists: frozenset[str]
    doubts: tuple[str, ...]
    _compiled: cel.Expression

    def may_read(self, fact: str) -> bool:
        """Say whether it may look at a fact, for instance `request` or `source.address`."""
        whole = fact.partition(".")[0]
        return any(name in (fact, whole) or name.startswith(f"{fact}.") for name in self.reads)

    def holds(self, facts: cel.Activation) -> bool | Failed:
        """Evaluate against bound facts; see `Language.bind`."""
        value = self._compiled.eval(facts).value()
        return value if isinstance(value, bool) else Failed(str(value))


class Language:
    """CEL with the facts, and with the region lists of one policy file."""

    def __init__(self, regions: Mapping[str, RegionList]) -> None:
        self._regions = regions
        self._lists = frozenset[str]()
        self._environment = cel.NewEnv(
            variables={
                "source": _SOURCE,
                "key": _KEY,
                "request": _REQUEST,
                "now": cel.Type.TIMESTAMP,
            },
            functions=[
                _member("within", [_SOURCE, cel.Type.STRING]),
                _member("permits", [_KEY, _SOURCE]),
            ],
        )

    def compile(self, text: str) -> Condition:
        """Compile an expression.

        Raises:
            ConditionError: it does not parse, does not fit the facts, is not a yes or no, names
                a region list that is not there, or may cost too much.
        """
        if len(text) > MAX_LENGTH:
            raise ConditionError(
                text[:MAX_LENGTH],
                MAX_LENGTH - 1,
                f"expected at most {MAX_LENGTH} characters (got {len(text)})",
            )
        try:
            compiled = self._environment.compile(text)
        except RuntimeError as error:
            raise _refused(text, str(error)) from None
        if compiled.return_type() != cel.Type.BOOL:
            kind = compiled.return_type().name()
            raise ConditionError(
                text, 0, f"expected a condition that is true or false (got {kind})"
            )
        serialized = Serialized.FromString(compiled.serialize())
        tree = CheckedExpr.FromString(serialized.value)
        reads, lists = syntax.reads(tree), syntax.lists(text, tree, self._regions.keys())
        doubts = syntax.doubts(tree)
        syntax.ask_beforehand(tree)
        serialized.value = tree.SerializeToString()
        ready = self._environment.deserialize(serialized.SerializeToString())
        self._lists |= lists
        return Condition(text, reads, lists, doubts, ready)

    def bind(self, source: Source, key: Key, request: Request, now: datetime) -> cel.Activation:
        """Bind the facts of one Check, for all conditions compiled so far."""
        facts: dict[str, Any] = {"source": source, "key": key, "request": request, "now": now}
        for name in self._lists:
            facts[syntax.within(name)] = self._regions[name].contains(source)
        facts[syntax.PERMITS] = permits(key, source)
        return self._environment.Activation(facts)


def _member(name: str, parameters: list[cel.Type]) -> cel.FunctionDecl:
    """Declare a function for the type checker; see `syntax.ask_beforehand`."""
    overload = cel.Overload(
        f"{name}_member", return_type=cel.Type.BOOL, parameters=parameters, is_member=True
    )
    return cel.FunctionDecl(name, [overload])


_COMMENT: Final = re.compile("//.*")

_FOUND: Final = re.compile(r"ERROR: <input>:(?P<line>\d+):(?P<column>\d+): (?P<reason>.*)")


def _refused(text: str, message: str) -> ConditionError:
    """Turn CEL's own message, of which the first finding is the telling one, into ours."""
    if not _COMMENT.sub("", text).strip():
        return ConditionError(text, 0, "expected a condition (got nothing)")
    if "recursion" in message:
        return ConditionError(text, 0, "expected at most 32 levels of nesting")
    found = _FOUND.search(message)
    if not found:
        return ConditionError(text, 0, message)
    before = sum(len(line) + 1 for line in text.split("\n")[: int(found["line"]) - 1])
    reason = found["reason"].removesuffix(" [INVALID_ARGUMENT]").removesuffix(" (in container '')")
    return ConditionError(text, before + int(found["column"]) - 1, reason)
