"""The schemas that editors are given: they know the files' shapes as the models do."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from regiongate.cli.policy.descriptions import DESCRIPTIONS
from regiongate.cli.policy.json_schema import FILES, json_schema
from regiongate.documents import DocumentError, parse

ROOT = Path(__file__).parents[3]
SCHEMAS = {kind: json_schema(model) for kind, model in FILES.items()}

GOOD = [
    ("policy", "examples/policy.yaml"),
    ("policy", "demo/policy.yaml"),
    ("cases", "examples/policy.tests.yaml"),
    ("keys", "examples/keys.yaml"),
    ("keys", "demo/keys.yaml"),
    ("config", "examples/regiongate.yaml"),
    ("config", "demo/regiongate.yaml"),
]
FOLDERS = {"policies": "policy", "config": "config", "keys": "keys", "cases": "cases"}
BAD = [
    (kind, path)
    for folder, kind in FOLDERS.items()
    for path in sorted((ROOT / "tests/data" / folder / "bad").glob("*.yaml"))
]

MEANING = {"value_error", "assertion_error"}
"""Mistakes that the models find by more than the shape."""

RULE = {"name": "a", "when": "true", "deny": {"reason": "b"}}
POLICY: dict[str, Any] = {
    "version": 1,
    "policies": {"default": {"rules": [], "otherwise": "allow"}},
}


def _with(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {**POLICY, "policies": {"default": {"rules": [rule], "otherwise": "allow"}}}


SHAPES: list[tuple[dict[str, Any], bool]] = [
    (POLICY, True),
    (_with(RULE), True),
    (_with({"name": "a", "when": "true", "allow": True}), True),
    (_with({"name": "a", "when": "true", "allow": False}), False),
    (_with({"name": "a", "when": "true", "allow": {"reason": "b"}}), True),
    (_with({"name": "a", "when": "true"}), False),
    (_with({**RULE, "allow": True}), False),
    (_with({**RULE, "deny": {"reason": "b", "status": 200}}), False),
    (_with({**RULE, "suspend": {"after": 1, "within": "24h"}}), True),
    (_with({**RULE, "suspend": {"after": 1, "within": "PT24H"}}), False),
    (_with({**RULE, "phases": {"enforce": "2024-07-09T00:00:00Z"}}), True),
    (_with({**RULE, "phases": {"zone": "Europe/Paris", "enforce": "2024-07-09"}}), True),
    (_with({**RULE, "phases": {"enforce": "tomorrow"}}), False),
    ({**POLICY, "regions": {"a": ["FR", "UA-43"], "b": {"file": "b.txt"}}}, True),
    ({**POLICY, "regions": {"a": {"union": ["b"], "minus": ["c"]}}}, True),
    ({**POLICY, "regions": {"a": ["fr"]}}, False),
    ({**POLICY, "regions": {"A": ["FR"]}}, False),
]


def errors(kind: str, data: object) -> list[str]:
    """Return what a schema has to say."""
    return [error.message for error in Draft202012Validator(SCHEMAS[kind]).iter_errors(data)]


def parsed(path: Path) -> Any:
    """Return what a file holds; nothing where it is not YAML or not what JSON can say."""
    try:
        data = parse(path.name, path.read_text(encoding="utf-8")).data
        json.dumps(data, allow_nan=False)
    except (DocumentError, ValueError):
        return {}
    return data if data is not None else {}


def refused_for_its_shape(kind: str, data: object) -> bool:
    """Say whether the model finds a mistake that needs no more than the shape."""
    try:
        FILES[kind].model_validate(data)
    except ValidationError as error:
        return any(found["type"] not in MEANING for found in error.errors(include_url=False))
    return False


@pytest.mark.parametrize("kind", FILES)
def test_a_schema_is_one(kind: str) -> None:
    """Each is of the draft that it names."""
    assert SCHEMAS[kind]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMAS[kind])
    json.dumps(SCHEMAS[kind])


@pytest.mark.parametrize(("kind", "name"), GOOD)
def test_a_shipped_file_is_accepted(kind: str, name: str) -> None:
    """An editor finds nothing wrong with what loads."""
    assert errors(kind, parsed(ROOT / name)) == []


@pytest.mark.parametrize(("kind", "path"), BAD, ids=lambda value: getattr(value, "stem", value))
def test_a_mistake_in_the_shape_is_found_by_the_schema_too(kind: str, path: Path) -> None:
    """What a schema cannot tell is what the words, dates and codes mean."""
    data = parsed(path)
    if refused_for_its_shape(kind, data):
        assert errors(kind, data)


@pytest.mark.parametrize(("data", "accepted"), SHAPES)
def test_the_schema_knows_the_shapes(data: dict[str, Any], *, accepted: bool) -> None:
    """Durations, dates, codes and alternatives are described as they are written."""
    assert (errors("policy", data) == []) is accepted


def test_defaults_are_written_as_in_the_file() -> None:
    """A duration is 30s and not PT30S."""
    assert SCHEMAS["config"]["$defs"]["Cache"]["properties"]["ttl"]["default"] == "30s"


def test_a_mode_is_written_in_quotes() -> None:
    """What a model holds as a number may be text in the file."""
    listen = {"socket_mode": "0600"}
    file = {"geo": {"country": "a.mmdb"}, "policy": "policy.yaml", "listen": listen}
    FILES["config"].model_validate(file)
    assert errors("config", file) == []


def test_every_key_is_described_and_nothing_else_is() -> None:
    """An editor shows a sentence for every key of every file."""
    described = {text for schema in SCHEMAS.values() for _, text in _properties(schema)}
    bare = [name for schema in SCHEMAS.values() for name, text in _properties(schema) if not text]
    assert bare == []
    assert set(DESCRIPTIONS.values()) - described == set()


def _properties(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for title, definition in {"": schema, **schema["$defs"]}.items():
        for name, value in definition.get("properties", {}).items():
            yield f"{title}.{name}", value.get("description", "")
