"""Who may import whom: the rule that keeps the decision pure and each library in one place."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import regiongate

PACKAGE = Path(regiongate.__file__).parent

LAYERS = (
    {"cli"},
    {"runtime"},
    {"telemetry"},
    {"extauthz"},
    {"geo", "keys"},
    {"policy", "address", "doctor"},
    {"facts", "countries", "documents", "durations", "printable", "reading", "deadline"},
    {"errors"},
)
"""A room imports from itself and from the lines below its own, never from beside or above."""

ANYWHERE = {"regiongate"}
"""The package itself holds no more than the version."""

ONLY_IN = {
    "click": {"cli"},
    "rich": {"cli"},
    "grpc": {"runtime"},
    "grpc_health": {"runtime"},
    "grpc_reflection": {"runtime"},
    "pygrpc_native": {"runtime.engines"},
    "uvloop": {"runtime.app"},
    "pycountry": {"countries"},
    "yaml": {"documents.parsing"},
    "maxminddb": {"geo"},
    "urllib3": {"geo.update.fetch", "deadline.pools", "telemetry.exchange"},
    "requests": {"telemetry.exchange"},
    "redis": {"keys.stores.redis"},
    "sqlite3": {"keys.stores.sqlite"},
    "cel_expr_python": {"policy.conditions"},
    "pydantic": {
        "documents.checking",
        "policy.schema",
        "policy.cases",
        "keys.entries",
        "runtime.config",
        "cli.policy.json_schema",
    },
    "pydantic_core": {"cli.policy.json_schema"},
    "prometheus_client": {"telemetry", "runtime.admin"},
    "opentelemetry": {"telemetry"},
    "regiongate._pb.cel_syntax_pb2": {"policy.conditions", "policy.syntax"},
    "regiongate._pb.ext_authz_pb2": {
        "extauthz.headers",
        "extauthz.responses",
        "extauthz.wire",
        "runtime.engines",
    },
    "regiongate._pb.regiongate.v1.facts_pb2": {"facts"},
    "regiongate._pb.regiongate.v1.decision_pb2": set[str](),
}
"""For what comes from outside or is generated, the rooms or modules that know of it."""

PURE = {
    "policy", "address", "doctor", "facts", "countries", "documents", "durations", "printable",
    "errors",
}  # fmt: skip
IMPURE = {
    "asyncio", "concurrent", "fcntl", "glob", "grpc", "http", "io", "logging", "mmap",
    "multiprocessing", "os", "pathlib", "queue", "random", "sched", "secrets", "select",
    "selectors", "shutil", "signal", "socket", "socketserver", "sqlite3", "ssl", "subprocess",
    "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
"""Files, networks, threads, clocks and chance."""
IMPURE_FUNCTIONS = {"open", "print", "input", "exec", "eval", "__import__"}
IMPURE_METHODS = {"now", "utcnow", "today"}
"""What does the same without an import of its own."""


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {
    _name(path): ast.parse(path.read_text(encoding="utf-8"), path)
    for path in sorted(PACKAGE.rglob("*.py"))
}
OURS = {name: tree for name, tree in MODULES.items() if not name.startswith("regiongate._pb")}


def imports(name: str, tree: ast.AST) -> Iterator[str]:
    """Name the modules that a module imports, wherever in it that is done.

    Args:
        name: of the module.
        tree: its source.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}, line {node.lineno}: expected an absolute import"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else node.module or ""


def room(name: str) -> str:
    """Return the room that a module of ours belongs to; the entry point is part of cli."""
    inside = name.removeprefix("regiongate.").partition(".")[0]
    return "cli" if inside == "__main__" else inside


def among(name: str, modules: set[str]) -> bool:
    """Say whether a module is one of these or lies in one of these packages."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


IMPORTS: Mapping[str, frozenset[str]] = {
    name: frozenset(imports(name, tree)) for name, tree in OURS.items()
}
LAYER = {one: number for number, layer in enumerate(LAYERS) for one in layer}

SNIPPETS = {
    "import os.path, re": {"os.path", "re"},
    "from os import path": {"os"},
    "from regiongate import policy": {"regiongate.policy"},
    "from regiongate import __version__": {"regiongate"},
    "from regiongate.policy import decide": {"regiongate.policy.decide"},
    "def f():\n    import time": {"time"},
    "if TYPE_CHECKING:\n    from grpc import aio": {"grpc"},
}


@pytest.mark.parametrize(("source", "expected"), SNIPPETS.items())
def test_every_form_of_import_is_seen(source: str, expected: set[str]) -> None:
    """An import counts however it is written and wherever it stands."""
    assert set(imports("snippet", ast.parse(source))) == expected


def test_every_room_has_its_place() -> None:
    """A new room is given its place among the others before it imports anything."""
    assert {room(name) for name in OURS} - ANYWHERE == LAYER.keys()


@pytest.mark.parametrize("name", OURS)
def test_a_module_imports_from_its_own_room_or_from_below(name: str) -> None:
    """Dependencies point one way: from what runs to what decides."""
    wrong = {
        other
        for other in IMPORTS[name] - ANYWHERE
        if among(other, {"regiongate"})
        and not among(other, {"regiongate._pb"})
        and room(other) != room(name)
        and LAYER[room(other)] <= LAYER[room(name)]
    }
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    """The modules can be read one after the other, each after those it is made of."""
    TopologicalSorter(IMPORTS).prepare()


@pytest.mark.parametrize(("known", "where"), ONLY_IN.items(), ids=ONLY_IN)
def test_a_library_is_known_where_it_is_used_and_nowhere_else(known: str, where: set[str]) -> None:
    """What comes from outside can be replaced in one place."""
    found = {
        name.removeprefix("regiongate.")
        for name, imported in IMPORTS.items()
        if any(among(one, {known}) for one in imported)
    }
    assert {name for name in found if not among(name, where)} == set()
    assert {place for place in where if not any(among(name, {place}) for name in found)} == set()


@pytest.mark.parametrize("name", [name for name in OURS if room(name) in PURE])
def test_what_decides_does_no_input_or_output_and_has_no_clock(name: str) -> None:
    """A decision depends on what is handed in: policy, facts and the time."""
    called = [call.func for call in ast.walk(OURS[name]) if isinstance(call, ast.Call)]
    functions = {one.id for one in called if isinstance(one, ast.Name)}
    methods = {one.attr for one in called if isinstance(one, ast.Attribute)}
    assert {one for one in IMPORTS[name] if among(one, IMPURE)} == set()
    assert functions & IMPURE_FUNCTIONS == set()
    assert methods & IMPURE_METHODS == set()


def test_the_bottom_imports_nothing_of_ours() -> None:
    """Facts, countries, documents and their like are understood each by itself."""
    known = {"regiongate._pb.regiongate.v1.facts_pb2", "regiongate.errors"}
    for name in OURS:
        others = {one for one in IMPORTS[name] if room(one) != room(name)}
        ours = {one for one in others if among(one, {"regiongate"})}
        if room(name) in LAYERS[-2]:
            assert ours <= known, name
        if room(name) in LAYERS[-1]:
            assert ours == set(), name


def test_nothing_but_the_standard_library_and_what_is_declared_is_imported() -> None:
    """Each import from outside is of a library that ONLY_IN places, or that needs no place."""
    unplaced = {"google", "orjson"}
    known = {one.partition(".")[0] for one in ONLY_IN} | unplaced | sys.stdlib_module_names
    assert {one.partition(".")[0] for every in IMPORTS.values() for one in every} <= known
