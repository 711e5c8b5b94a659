"""Our own message definitions, held field by field against upstream's descriptors."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

import regiongate._pb
from regiongate._pb import cel_syntax_pb2, ext_authz_pb2
from tests.unit.extauthz.upstream import MESSAGES, message, ours

CEL_MESSAGES = (
    ("Serialized", "google.protobuf.Any"),
    ("CheckedExpr", "cel.expr.CheckedExpr"),
    ("CheckedExpr.ReferenceMapEntry", "cel.expr.CheckedExpr.ReferenceMapEntry"),
    ("Reference", "cel.expr.Reference"),
    ("SourceInfo", "cel.expr.SourceInfo"),
    ("SourceInfo.PositionsEntry", "cel.expr.SourceInfo.PositionsEntry"),
    ("Expr", "cel.expr.Expr"),
    ("Expr.Ident", "cel.expr.Expr.Ident"),
    ("Expr.Select", "cel.expr.Expr.Select"),
    ("Expr.Call", "cel.expr.Expr.Call"),
    ("Expr.CreateList", "cel.expr.Expr.CreateList"),
    ("Expr.CreateStruct", "cel.expr.Expr.CreateStruct"),
    ("Expr.CreateStruct.Entry", "cel.expr.Expr.CreateStruct.Entry"),
    ("Expr.Comprehension", "cel.expr.Expr.Comprehension"),
    ("Constant", "cel.expr.Constant"),
)

CEL = importlib.import_module("cel.expr.checked_pb2")
"""Upstream's CEL messages; importing them is what makes their descriptors known."""

WELL_KNOWN = {"google.protobuf.Timestamp"}
"""Messages of protobuf's own that are used as they are."""

Type = FieldDescriptor
AS_BYTES = {Type.TYPE_STRING: Type.TYPE_BYTES}
MAP = "AttributeContext.HttpRequest.header_map"
AS_TEXT = {
    "AttributeContext.HttpRequest.HeadersEntry.key",
    "HeaderValue.key",
    "AttributeContext.ContextExtensionsEntry.key",
    "Metadata.FilterMetadataEntry.key",
}
"""What no client can choose freely."""
AS_OTHER = {"HttpStatus.code": Type.TYPE_INT32, MAP: Type.TYPE_BYTES}
"""Upstream's enumeration of HTTP status codes, of which no value is refused here; and its message
of headers, which is left as bytes."""

PROTOS = Path(__file__).parents[3] / "protos"
COMMITTED = Path(regiongate._pb.__file__).parent


def local(name: str) -> str:
    """Return the name of a message or field of ours without its package."""
    packages = (ext_authz_pb2.DESCRIPTOR.package, cel_syntax_pb2.DESCRIPTOR.package)
    return re.sub(f"^({'|'.join(map(re.escape, packages))})\\.", "", name)


def fields(pairs: tuple[tuple[str, str], ...], package: str) -> Iterator[Any]:
    """Yield each field of ours with the upstream field of its number."""
    for mine, theirs in pairs:
        for field in message(f"{package}.{mine}").fields:
            expected = message(theirs).fields_by_number.get(field.number)
            yield pytest.param(field, expected, id=f"{theirs}: {mine}.{field.name}")


def shape(field: FieldDescriptor) -> tuple[object, ...]:
    """Return what shows on the wire of a field, its type excepted, and its name."""
    return field.number, field.name, field.is_repeated


def oneof(field: FieldDescriptor) -> str:
    """Return the name of the oneof that a field is a member of."""
    return field.containing_oneof.name if field.containing_oneof else ""


def alone(field: FieldDescriptor, upstream: FieldDescriptor) -> bool:
    """Say whether a field is the only one here of upstream's oneof, which then does not show."""
    members = upstream.containing_oneof.fields if upstream.containing_oneof else ()
    here = field.containing_type
    return here is not None and sum(one.number in here.fields_by_number for one in members) == 1


def all_messages(messages: Any) -> Iterator[Descriptor]:
    """Yield messages and those that are declared inside them."""
    for one in messages:
        yield one
        yield from all_messages(one.nested_types)


EXT_AUTHZ_FIELDS = list(fields(MESSAGES, ext_authz_pb2.DESCRIPTOR.package))
CEL_FIELDS = list(fields(CEL_MESSAGES, cel_syntax_pb2.DESCRIPTOR.package))


@pytest.mark.parametrize(
    ("pairs", "file"), [(MESSAGES, ext_authz_pb2), (CEL_MESSAGES, cel_syntax_pb2)]
)
def test_every_message_is_held_against_one_of_upstream(
    pairs: tuple[tuple[str, str], ...], file: ModuleType
) -> None:
    """No message of ours is left out of the comparison."""
    declared = all_messages(file.DESCRIPTOR.message_types_by_name.values())
    assert {mine for mine, _ in pairs} == {local(one.full_name) for one in declared}


@pytest.mark.parametrize(("field", "upstream"), EXT_AUTHZ_FIELDS + CEL_FIELDS)
def test_every_field_is_upstream_s(
    field: FieldDescriptor, upstream: FieldDescriptor | None
) -> None:
    """A field of ours has the number, name, label and oneof that it has upstream."""
    assert upstream is not None, f"upstream has no field {field.number}"
    assert shape(field) == shape(upstream)
    assert oneof(field) == oneof(upstream) or alone(field, upstream)


@pytest.mark.parametrize(("field", "upstream"), EXT_AUTHZ_FIELDS)
def test_every_type_is_upstream_s_but_that_text_is_bytes(
    field: FieldDescriptor, upstream: FieldDescriptor
) -> None:
    """Upstream's strings are bytes here, and every other type is the same on the wire."""
    name = local(field.full_name)
    same = upstream.type if name in AS_TEXT else AS_BYTES.get(upstream.type, upstream.type)
    assert field.type == AS_OTHER.get(name, same)


@pytest.mark.parametrize(("field", "upstream"), CEL_FIELDS)
def test_every_type_of_cel_is_upstream_s(field: FieldDescriptor, upstream: FieldDescriptor) -> None:
    """CEL's text was checked when it was compiled, so that strings are strings."""
    assert field.type == upstream.type


@pytest.mark.parametrize(
    ("field", "upstream"),
    [one for one in EXT_AUTHZ_FIELDS + CEL_FIELDS if one.values[0].message_type],
)
def test_every_message_field_holds_the_matching_message(
    field: FieldDescriptor, upstream: FieldDescriptor
) -> None:
    """What a field of ours holds is compared with what upstream's field holds."""
    held, theirs = field.message_type, upstream.message_type
    assert held is not None
    assert theirs is not None
    pair = (local(held.full_name), theirs.full_name)
    assert pair in MESSAGES + CEL_MESSAGES or {*pair} <= WELL_KNOWN


def test_the_append_actions_are_upstream_s() -> None:
    """The numbers by which a header is overwritten are upstream's."""
    mine = ours("HeaderValueOption").enum_types_by_name["HeaderAppendAction"]
    theirs = message("envoy.config.core.v3.HeaderValueOption").enum_types_by_name[mine.name]
    numbers = [{value.name: value.number for value in one.values} for one in (mine, theirs)]
    assert numbers[0] == numbers[1]


def test_the_comparison_is_not_with_ourselves() -> None:
    """Upstream's descriptors come from upstream's package, and ours from ours."""
    assert CEL.DESCRIPTOR.package == "cel.expr"
    assert message("cel.expr.Expr") is not message("regiongate.cel.Expr")
    assert {theirs.partition(".")[0] for _, theirs in MESSAGES} == {"envoy", "google"}


def test_no_string_of_a_client_s_is_left() -> None:
    """No field of a message that comes from Envoy can be refused for text that a client chose."""
    declared = all_messages(ext_authz_pb2.DESCRIPTOR.message_types_by_name.values())
    fields = (field for one in declared for field in one.fields)
    strings = {local(one.full_name) for one in fields if one.type == Type.TYPE_STRING}
    assert strings == AS_TEXT


# ------------------------------------------------------------------------------ generated code


def generator() -> ModuleType:
    """Load protos/generate.py, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("generate", PROTOS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def modules(package: Path) -> dict[str, str]:
    """Return the modules and stubs of a package, but for the generator's version."""
    version = re.compile(r"(Python Version: .*|(?<=Domain\.PUBLIC,\n)(    \d+,\n){3})")
    return {
        str(path.relative_to(package)): version.sub("", path.read_text(encoding="utf-8"))
        for path in package.rglob("*.py*")
        if "__pycache__" not in path.parts
    }


def test_the_generated_code_is_not_stale(tmp_path: Path) -> None:
    """`make protos` would write what is committed."""
    generator().generate(tmp_path)
    assert modules(tmp_path) == modules(COMMITTED)
