"""The syntax tree of a condition: what it reads, what it may cost, and our own functions in it.

Works on the tree that CEL has parsed and type-checked, before anything is evaluated. Knows
nothing of how it was made or what it is evaluated with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from regiongate._pb.cel_syntax_pb2 import CheckedExpr, Expr, Reference
from regiongate.countries import is_code, meant

MAX_NODES: Final = 512
"""Operators, names, fields and literals of an expression, macros expanded."""
MAX_COMPREHENSIONS: Final = 1
"""How deep `all`, `exists`, `map` and `filter` may stand inside one another."""
MAX_MATCHES: Final = 4
"""How often `matches` may stand in an expression, and never inside a comprehension."""
MAX_PATTERN: Final = 256
"""Characters of a regular expression, which has to be written out."""

FACTS: Final = frozenset({"source", "key", "request", "now"})
"""The variables of every condition."""

_HEADERS: Final = "request.headers"

_PLACE: Final = frozenset({"source.country", "source.regions"})
_LISTS: Final = frozenset({"key.allowed_countries", "key.denied_countries", "key.restricted"})
_READ_BY: Final = {"within": _PLACE, "permits": _PLACE | _LISTS}
"""Our own functions, and what they read of the facts they are asked of."""

_OPERANDS: Final = {"within": ["source"], "permits": ["key", "source"]}
_FORMS: Final = {"within": 'source.within("…")', "permits": "key.permits(source)"}

_QUOTED: Final = 100
"""Characters of a line that a message shows."""


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


def _caret(text: str, offset: int) -> str:
    """Show the line of an offset, or what of it stands around, with a caret under its character."""
    start = text.rfind("\n", 0, offset) + 1
    line, column = text[start:].partition("\n")[0].replace("\t", " "), offset - start
    cut = max(0, column - _QUOTED // 2)
    return f"  {line[cut : cut + _QUOTED]}\n  {' ' * (column - cut)}^"


# ------------------------------------------------------------------------------------- reading


def reads(tree: CheckedExpr) -> frozenset[str]:
    """Name the facts a tree may look at: `source.country`, or `source` where it is used whole."""
    read, accounted = set[str](), set[int]()
    for node, _ in _walk(tree.expr):
        if node.id in accounted:
            continue
        if node.select_expr.operand.HasField("ident_expr"):
            operand = node.select_expr.operand
            read.add(f"{operand.ident_expr.name}.{node.select_expr.field}")
            accounted.add(operand.id)
        elif node.call_expr.function in _READ_BY:
            read |= _READ_BY[node.call_expr.function]
            accounted |= {child.id for child in _children(node) if child.HasField("ident_expr")}
        elif node.HasField("ident_expr"):
            read.add(node.ident_expr.name)
    return frozenset(name for name in read if name.partition(".")[0] in FACTS)


def _walk(node: Expr, depth: int = 0) -> Iterator[tuple[Expr, int]]:
    """Yield every expression of a tree with the number of comprehensions that repeat it."""
    stack = [(node, depth)]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        ranged = node.comprehension_expr.iter_range
        for child in _children(node):
            once = not node.HasField("comprehension_expr") or child.id == ranged.id
            stack.append((child, depth if once else depth + 1))


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


# -------------------------------------------------------------------------------------- doubts


def doubts(tree: CheckedExpr) -> tuple[str, ...]:
    """Say what a tree compares facts with that they never are."""
    found = (doubt for node, _ in _walk(tree.expr) for doubt in _doubts(node))
    return tuple(dict.fromkeys(found))


def _doubts(node: Expr) -> Iterator[str]:
    call = node.call_expr
    names = [_text(one) for one in call.args]
    if call.function == "_[_]" and _fact(call.args[0]) == _HEADERS:
        yield from _of_header(names[1])
    elif call.function == "@in" and _fact(call.args[1]) == _HEADERS:
        yield from _of_header(names[0])
    elif _fact(node.select_expr.operand) == _HEADERS:
        yield from _of_header(node.select_expr.field)
    elif call.function in {"_==_", "_!=_"}:
        for fact, text in zip(map(_fact, call.args), reversed(names), strict=True):
            yield from _of_country(fact, text)
    elif call.function == "@in":
        for element in call.args[1].list_expr.elements:
            yield from _of_country(_fact(call.args[0]), _text(element))


def _of_header(name: str) -> Iterator[str]:
    if name != name.lower():
        yield f"there is no header {name}: their names are in lower case; write {name.lower()}"


def _of_country(fact: str, code: str) -> Iterator[str]:
    if fact.endswith("country") and code and ("-" in code or not is_code(code)):
        yield f"{fact} is never {code}: it is an ISO 3166-1 code such as FR{meant(code)}"


def _fact(node: Expr) -> str:
    """Name the fact that is read; empty for anything else."""
    select = node.select_expr
    name = select.operand.ident_expr.name
    return f"{name}.{select.field}" if name in FACTS else ""


def _text(node: Expr) -> str:
    """Return a text that is written out; empty for anything else."""
    return node.const_expr.string_value


# -------------------------------------------------------------------------------------- limits


def lists(text: str, tree: CheckedExpr, known: Collection[str]) -> frozenset[str]:
    """Hold a tree against what an expression may be; return the region lists it names.

    Args:
        text: the expression.
        tree: of the expression.
        known: the names of the region lists there are.

    Raises:
        ConditionError: it names another list, or may cost too much.
    """
    examination = _Examination(text, tree, known)
    for count, (node, depth) in enumerate(_walk(tree.expr), start=1):
        if count > MAX_NODES:
            raise ConditionError(text, 0, f"expected at most {MAX_NODES} terms (got more)")
        examination.of(node, depth)
    return frozenset(examination.lists)


class _Examination:
    """Goes over a tree node by node and remembers what it has seen."""

    def __init__(self, text: str, tree: CheckedExpr, known: Collection[str]) -> None:
        self._text = text
        self._positions = tree.source_info.positions
        self._known = known
        self._matches = 0
        self.lists = set[str]()

    def of(self, node: Expr, depth: int) -> None:
        function = node.call_expr.function
        if node.HasField("comprehension_expr"):
            self._comprehension(node, depth)
        elif function == "matches":
            self._pattern(node, depth)
        elif function == "within":
            self.lists.add(self._list_of(node))
        if function in _OPERANDS:
            self._operands(node)

    def _refuse(self, node: Expr, reason: str) -> ConditionError:
        return ConditionError(self._text, self._positions.get(node.id, 0), reason)

    def _comprehension(self, node: Expr, depth: int) -> None:
        loop = node.comprehension_expr
        if depth >= MAX_COMPREHENSIONS:
            raise self._refuse(node, "expected no comprehension inside another")
        if not FACTS.isdisjoint({loop.iter_var, loop.iter_var2}):
            raise self._refuse(node, f"expected a variable that is no fact (got {loop.iter_var})")

    def _pattern(self, call: Expr, depth: int) -> None:
        """Bound what regular expressions cost: each takes time in proportion to what it reads."""
        self._matches += 1
        if depth:
            raise self._refuse(call, "expected no matches inside a comprehension")
        if self._matches > MAX_MATCHES:
            raise self._refuse(call, f"expected matches at most {MAX_MATCHES} times")
        pattern = call.call_expr.args[-1]
        written = pattern.HasField("const_expr")
        if not written or len(pattern.const_expr.string_value) > MAX_PATTERN:
            expected = f"expected a pattern in quotes of at most {MAX_PATTERN} characters"
            raise self._refuse(call, expected)

    def _operands(self, call: Expr) -> None:
        """Make sure that a function of ours is asked of the facts themselves."""
        operands = [call.call_expr.target, *call.call_expr.args]
        names = [one.ident_expr.name for one in operands if not one.HasField("const_expr")]
        function = call.call_expr.function
        if names != _OPERANDS[function]:
            raise self._refuse(call, f"expected {_FORMS[function]}, of the facts themselves")

    def _list_of(self, call: Expr) -> str:
        argument = call.call_expr.args[0]
        if not argument.HasField("const_expr"):
            raise self._refuse(argument, "expected the name of a region list in quotes")
        name = argument.const_expr.string_value
        if name not in self._known:
            known = ", ".join(sorted(self._known)) or "none is defined"
            raise self._refuse(argument, f"expected a region list ({known}; got {name!r})")
        return name


# ------------------------------------------------------------------------------- our functions

PERMITS: Final = "@permits"
"""The hidden variable that stands for `key.permits(source)`; no expression can spell it."""


def within(name: str) -> str:
    """Name the hidden variable that stands for `source.within(name)`."""
    return f"@within {name}"


def ask_beforehand(tree: CheckedExpr) -> None:
    """Put a variable in the place of each call of a function of ours.

    Its value is worked out when the facts are bound. cel-expr-python 0.1.3 never releases the
    arguments of a call into Python, about a kilobyte each time.
    """
    for node, _ in list(_walk(tree.expr)):
        function = node.call_expr.function
        if function in _OPERANDS:
            listed = function == "within"
            name = within(node.call_expr.args[0].const_expr.string_value) if listed else PERMITS
            node.ident_expr.name = name
            tree.reference_map[node.id].CopyFrom(Reference(name=name))
