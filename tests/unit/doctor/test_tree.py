"""Envoy's configuration as it is written: two spellings, two formats, and what is neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from regiongate.doctor.tree import Node, UnclearError, read
from regiongate.documents import DocumentError

YAML = """\
static_resources:
  listeners:
    - name: http
      use_remote_address: true
      timeout: 0.25s
"""
JSON = """{"staticResources": {"listeners": [
    {"name": "http", "useRemoteAddress": true, "timeout": "0.250s"}]}}"""


@pytest.mark.parametrize("text", [YAML, JSON], ids=["yaml", "json"])
def test_either_spelling_is_read(text: str) -> None:
    """A field is asked for by its name with underscores."""
    listener = read("envoy", text).at("static_resources", "listeners", 0)
    assert listener["name"].text == "http"
    assert listener["use_remote_address"].on
    assert listener["timeout"].seconds == 0.25


def test_a_place_in_yaml_has_a_line_and_one_in_json_has_none() -> None:
    """A dump is mostly one line, or nobody's own."""
    steps = ("static_resources", "listeners", 0, "use_remote_address")
    assert str(read("envoy.yaml", YAML).at(*steps).place) == (
        "envoy.yaml:4: static_resources.listeners[0].use_remote_address"
    )
    assert str(read("dump.json", JSON).at(*steps).place) == (
        "dump.json: staticResources.listeners[0].useRemoteAddress"
    )


def test_what_is_absent_can_be_asked_on() -> None:
    """It is false, empty, no number, and has the place where it would stand."""
    node = read("envoy.yaml", YAML).at("static_resources", "listeners", 7, "name", "deeper")
    assert not node
    assert (node.text, node.on, node.number, node.seconds, node.type) == ("", False, None, None, "")
    assert list(node) == []
    assert node.place.path == "static_resources.listeners[7].name.deeper"


READ: dict[str, tuple[str, Callable[[Node], Any], Any]] = {
    "yes": ("yes", lambda node: node.switch, True),
    "On": ("On", lambda node: node.switch, True),
    "Y": ("Y", lambda node: node.switch, True),
    "TRUE": ("TRUE", lambda node: node.switch, True),
    "true in quotes": ('"true"', lambda node: node.switch, True),
    "OFF": ("OFF", lambda node: node.switch, False),
    "n": ("n", lambda node: node.switch, False),
    "no switch": ("~", lambda node: node.switch, None),
    "5 in quotes": ('"5"', lambda node: node.number, 5),
    "octal": ("010", lambda node: node.whole, 8),
    "octal with a sign": ("+010", lambda node: node.whole, 8),
    "no octal digits": ("080", lambda node: node.whole, 80),
    "octal in quotes": ('"010"', lambda node: node.whole, 10),
    "hexadecimal": ("0x10", lambda node: node.whole, 16),
    "0": ("0", lambda node: node.whole, 0),
    "5.0": ("5.0", lambda node: node.whole, 5),
    "1e1": ("1e1", lambda node: node.whole, 10),
    "by name": ("B", lambda node: node.choice("A", "B"), "B"),
    "by number": ("1", lambda node: node.choice("A", "B"), "B"),
    "by number in quotes": ('"1"', lambda node: node.choice("A", "B"), "B"),
    "by nothing": ("~", lambda node: node.choice("A", "B"), "A"),
}


@pytest.mark.parametrize(("text", "way", "value"), READ.values(), ids=READ)
def test_a_value_is_read_as_envoy_reads_it(
    text: str, way: Callable[[Node], Any], value: Any
) -> None:
    """Its YAML is of version 1.1, and its JSON that of protobuf."""
    assert way(read("envoy.yaml", f"a: {text}\n")["a"]) == value


UNCLEAR: dict[str, tuple[str, Callable[[Node], Any], str]] = {
    "a word": ("maybe", lambda node: node.on, "expected true or false (got 'maybe')"),
    "1": ("1", lambda node: node.on, "expected true or false (got 1)"),
    "not a number": (".nan", lambda node: node.number, "expected a number (got nan)"),
    "no end": (".inf", lambda node: node.number, "expected a number (got inf)"),
    "below nothing": ("-1", lambda node: node.number, "expected a number (got -1)"),
    "true": ("true", lambda node: node.number, "expected a number (got true)"),
    "a part": ("0.5", lambda node: node.whole, "expected a whole number (got 0.5)"),
    "no choice": ("C", lambda node: node.choice("A", "B"), "expected one of A, B (got 'C')"),
    "above all": ("2", lambda node: node.choice("A", "B"), "expected one of A, B (got 2)"),
    "no text": ("[1]", lambda node: node.text, "expected text (got [1])"),
    "no duration": ("250ms", lambda node: node.seconds, "expected a duration such as 0.25s"),
    "no fields": ("b", lambda node: node["c"], "expected a mapping (got 'b')"),
    "no key": ("[b]", lambda node: node.key("c"), "expected a mapping (got ['b'])"),
    "no list": ("b", lambda node: [*node], "expected a list or a mapping (got 'b')"),
}


@pytest.mark.parametrize(("text", "way", "message"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_is_something_else_cannot_be_read(
    text: str, way: Callable[[Node], Any], message: str
) -> None:
    """It is neither absent nor false; the error knows the place."""
    with pytest.raises(UnclearError) as error:
        way(read("envoy.yaml", f"a: {text}\n")["a"])
    assert str(error.value).startswith(message)
    assert error.value.node.place.path == "a"


def test_a_field_in_two_spellings_cannot_be_read() -> None:
    """Which of them Envoy takes is chance."""
    node = read("envoy.yaml", "shadow_mode: false\nshadowMode: true\n")["shadow_mode"]
    with pytest.raises(UnclearError) as error:
        _ = node.on
    assert str(error.value) == "expected true or false (got two spellings of it)"


TYPED = {
    "plain": '{"@type": "type.googleapis.com/a.v3.B", "c": 1}',
    "typed struct": '{"@type": "type.googleapis.com/xds.type.v3.TypedStruct",'
    ' "type_url": "type.googleapis.com/a.v3.B", "value": {"c": 1}}',
    "typed struct of udpa": '{"@type": "type.googleapis.com/udpa.type.v1.TypedStruct",'
    ' "typeUrl": "type.googleapis.com/a.v3.B", "value": {"c": 1}}',
}


@pytest.mark.parametrize("text", TYPED.values(), ids=TYPED)
def test_a_message_is_known_by_its_type(text: str) -> None:
    """Also in the wrapping that Istio's EnvoyFilters use."""
    node = read("dump.json", text)
    assert (node.type, node.message["c"].number) == ("a.v3.B", 1)


def test_nesting_of_any_depth_is_gone_through() -> None:
    """A dump is somebody else's."""
    depth = 900
    node: Node = read("dump.json", '{"a":' * depth + "1" + "}" * depth)
    assert sum(1 for _ in node.everything()) == depth + 1


CONFIGURATION = "expected an Envoy configuration or the answer of /config_dump"

BAD = {
    "not json": ('{"a": }', "expected JSON"),
    "not yaml": ("a: ]", "expected YAML"),
    "a word": ("a", f"{CONFIGURATION} (got 'a')"),
    "nothing": ("", f"{CONFIGURATION} (got nothing)"),
    "a blank line": ("\n", f"{CONFIGURATION} (got nothing)"),
    "a comment": ("# a\n", f"{CONFIGURATION} (got nothing)"),
    "too deep": ('{"a":' * 5000 + "1" + "}" * 5000, "expected JSON"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_what_is_no_configuration_is_refused(text: str, message: str) -> None:
    """With the file and the line."""
    with pytest.raises(DocumentError) as error:
        read("given", text)
    assert str(error.value).startswith(f"given:1: {message}")
