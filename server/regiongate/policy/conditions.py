"""Conditions: CEL expressions, checked against the facts when a policy is loaded.

A misspelt field, a wrong type, an unknown region list or an expression that could cost too much
is refused here, with a caret under it, and never a surprise at the time of a request. This is
the only module that knows CEL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cel_expr_python import cel

from regiongate._pb.cel_syntax_pb2 import CheckedExpr, Expr, Serialized
from regiongate.facts import Key, Request, Source
from regiongate.policy.regions import RegionList, permits

MAX_LENGTH: Final = 4096
"""Characters of an expression."""
MAX_NODES: Final = 512
"""Operators, names, fields and literals of an expression, macros expanded."""
MAX_COMPREHENSIONS: Final = 1
"""How deep `all`, `exists`, `map` and `filter` may stand inside one another."""

_SOURCE: Final = cel.Type(Source.DESCRIPTOR.full_name)
_KEY: Final = cel.Type(Key.DESCRIPTOR.full_name)
_REQUEST: Final = cel.Type(Request.DESCRIPTOR.full_name)

_PLACE: Final = frozenset({"source.country", "source.regions"})
_LISTS: Final = frozenset({"key.allowed_countries", "key.denied_countries", "key.restricted"})
_FUNCTIONS: Final = {"within": _PLACE, "permits": _PLACE | _LISTS}
"""Our own functions, and what they read of the facts they are given whole."""


class ConditionError(ValueError):
    """An expression that is no condition.

    Attributes:
        reason: what is wrong, one line.
        offset: the character of the expression that is to blame, counted from 0.
    """

    def __init__(self, expression: str, offset: int, reason: str) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(f"{reason}\n{_caret(expression, offset)}")


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
    """

    text: str
    reads: frozenset[str]
    lists: frozenset[str]
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
        self._environment = cel.NewEnv(
            variables={
                "source": _SOURCE,
                "key": _KEY,
                "request": _REQUEST,
                "now": cel.Type.TIMESTAMP,
            },
            functions=[
                _member("within", [_SOURCE, cel.Type.STRING], self._within),
                _member("permits", [_KEY, _SOURCE], permits),
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
        tree = CheckedExpr.FromString(Serialized.FromString(compiled.serialize()).value)
        return Condition(text, _reads(tree), self._check(text, tree), compiled)

    def bind(self, source: Source, key: Key, request: Request, now: datetime) -> cel.Activation:
        """Bind the facts of one Check, for any number of conditions."""
        return self._environment.Activation(
            {"source": source, "key": key, "request": request, "now": now}
        )

    def _within(self, source: Source, name: str) -> bool:
        return self._regions[name].contains(source)

    def _check(self, text: str, tree: CheckedExpr) -> frozenset[str]:
        """Hold the tree against the limits and the region lists; return the lists it names."""
        positions, lists = tree.source_info.positions, set[str]()
        for count, (node, depth) in enumerate(_walk(tree.expr), start=1):
            offset = positions.get(node.id, 0)
            if count > MAX_NODES:
                raise ConditionError(text, 0, f"expected at most {MAX_NODES} terms (got more)")
            if depth > MAX_COMPREHENSIONS:
                raise ConditionError(text, offset, "expected no comprehension inside another")
            if node.call_expr.function == "within":
                lists.add(self._list_of(text, node, positions))
        return frozenset(lists)

    def _list_of(self, text: str, call: Expr, positions: Mapping[int, int]) -> str:
        argument = call.call_expr.args[0]
        offset = positions.get(argument.id, 0)
        if not argument.HasField("const_expr"):
            raise ConditionError(text, offset, "expected the name of a region list in quotes")
        name = argument.const_expr.string_value
        if name not in self._regions:
            known = ", ".join(sorted(self._regions)) or "none is defined"
            raise ConditionError(text, offset, f"expected a region list ({known}; got {name!r})")
        return name


def _member(name: str, parameters: list[cel.Type], implementation: Any) -> cel.FunctionDecl:
    overload = cel.Overload(
        f"{name}_member",
        return_type=cel.Type.BOOL,
        parameters=parameters,
        is_member=True,
        impl=implementation,
    )
    return cel.FunctionDecl(name, [overload])


# --------------------------------------------------------------------------------- the tree


def _walk(node: Expr, depth: int = 0) -> Iterator[tuple[Expr, int]]:
    """Yield every expression of a tree with the number of comprehensions around it."""
    stack = [(node, depth)]
    while stack:
        node, depth = stack.pop()
        if node.HasField("comprehension_expr"):
            depth += 1
        yield node, depth
        stack.extend((child, depth) for child in _children(node))


def _children(node: Expr) -> list[Expr]:
    match node.WhichOneof("expr_kind"):
        case "select_expr":
            return [node.select_expr.operand]
        case "call_expr":
            call = node.call_expr
            return [*([call.target] if call.HasField("target") else []), *call.args]
        case "list_expr":
            return list(node.list_expr.elements)
        case "struct_expr":
            return [
                part for entry in node.struct_expr.entries for part in (entry.map_key, entry.value)
            ]
        case "comprehension_expr":
            loop = node.comprehension_expr
            return [
                loop.iter_range,
                loop.accu_init,
                loop.loop_condition,
                loop.loop_step,
                loop.result,
            ]
    return []


def _reads(tree: CheckedExpr) -> frozenset[str]:
    """Name the facts a tree may look at: `source.country`, or `source` where it is used whole."""
    reads, accounted = set[str](), set[int]()
    for node, _ in _walk(tree.expr):
        if node.id in accounted:
            continue
        if node.select_expr.operand.HasField("ident_expr"):
            operand = node.select_expr.operand
            reads.add(f"{operand.ident_expr.name}.{node.select_expr.field}")
            accounted.add(operand.id)
        elif node.call_expr.function in _FUNCTIONS:
            reads |= _FUNCTIONS[node.call_expr.function]
            accounted |= {child.id for child in _children(node) if child.HasField("ident_expr")}
        elif node.HasField("ident_expr"):
            reads.add(node.ident_expr.name)
    facts = ("source", "key", "request", "now")
    return frozenset(name for name in reads if name.partition(".")[0] in facts)


# ------------------------------------------------------------------------------- the messages

_FOUND: Final = re.compile(r"ERROR: <input>:(?P<line>\d+):(?P<column>\d+): (?P<reason>.*)")


def _refused(text: str, message: str) -> ConditionError:
    """Turn CEL's own message, of which the first finding is the telling one, into ours."""
    found = _FOUND.search(message)
    if not found:
        return ConditionError(text, 0, message.removesuffix(" [CANCELLED]"))
    lines = text.splitlines(keepends=True) or [""]
    before = sum(map(len, lines[: int(found["line"]) - 1]))
    reason = found["reason"].removesuffix(" [INVALID_ARGUMENT]").removesuffix(" (in container '')")
    return ConditionError(text, before + int(found["column"]) - 1, reason)


def _caret(text: str, offset: int) -> str:
    """Show the line of an offset with a caret under its character."""
    start = text.rfind("\n", 0, offset) + 1
    line = text[start:].partition("\n")[0]
    return f"  {line}\n  {' ' * (offset - start)}^"
