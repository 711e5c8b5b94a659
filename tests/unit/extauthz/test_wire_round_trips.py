"""Messages of any content, written by us and read by upstream's classes, and the other way."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.extauthz.upstream import MESSAGES, message, ours

UPSTREAM = {ours(mine).full_name: message(theirs) for mine, theirs in MESSAGES}
ROOTS = (ours("CheckRequest"), ours("CheckResponse"))

NUMBERS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_ENUM: st.integers(0, 3),
    FieldDescriptor.TYPE_INT64: st.integers(0, 2**33),
}
TEXT = st.text(max_size=8)
PRESENT: dict[str, st.SearchStrategy[Any]] = {
    "port_value": st.integers(1, 65535),
    "server_listener_name": st.text(min_size=1, max_size=8),
}
"""Members of a oneof upstream, whose presence shows even when they are empty; here they are alone,
so that being empty and being absent are the same."""

Tree = dict[int, Any]
"""A message's content by field number; text is text, and a map is a list of its entries."""


@cache
def trees(descriptor: Descriptor, depth: int = 6) -> st.SearchStrategy[Tree]:
    """Draw the content of a message of ours: one member of each oneof, no key of a map twice."""
    fields: dict[int, st.SearchStrategy[Any]] = {
        field.number: values(field, depth)
        for field in descriptor.fields
        if field.message_type is None or depth
    }
    return st.fixed_dictionaries({}, optional=fields).map(
        lambda tree: without_rivals(descriptor, tree)
    )


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Draw what a field may hold."""
    inside = field.message_type
    if field.name == "header_map":
        # Ours are the bytes of it, which do not tell an empty one from none.
        headers = st.lists(trees(ours("HeaderValue"), depth - 1), min_size=1, max_size=2)
        return headers.map(lambda each: {1: each})
    if inside is None:
        one = PRESENT.get(field.name, NUMBERS.get(field.type, TEXT))
    elif "Entry" in inside.name:
        return entries(inside, depth)
    else:
        one = trees(inside, depth - 1)
    return st.lists(one, max_size=2) if field.is_repeated else one


def entries(entry: Descriptor, depth: int) -> st.SearchStrategy[list[Tree]]:
    """Draw the entries of a map."""
    value = values(entry.fields_by_number[2], depth - 1)
    drawn = st.dictionaries(TEXT, value, max_size=2)
    return drawn.map(lambda one: [{1: key, 2: held} for key, held in one.items()])


def without_rivals(descriptor: Descriptor, tree: Tree) -> Tree:
    """Leave the first drawn member of each oneof."""
    for oneof in descriptor.oneofs:
        for number in [field.number for field in oneof.fields if field.number in tree][1:]:
            del tree[number]
    return tree


def built(descriptor: Descriptor, tree: Tree) -> Message:
    """Make a message of this content, of our class or of upstream's."""
    made: Message = GetMessageClass(descriptor)()
    for number, content in tree.items():
        put(made, descriptor.fields_by_number[number], content)
    return made


def put(made: Message, field: FieldDescriptor, content: Any) -> None:
    """Set a field of a message."""
    target, inside = getattr(made, field.name), field.message_type
    if inside is None and not field.is_repeated:
        setattr(made, field.name, scalar(field, content))
    elif inside is None:
        target.extend(scalar(field, one) for one in content)
    elif inside.GetOptions().map_entry:
        for entry in (built(inside, one) for one in content):
            put_entry(target, entry)
    elif field.is_repeated:
        target.extend(built(inside, one) for one in content)
    else:
        target.CopyFrom(built(inside, content))


def put_entry(target: Any, entry: Any) -> None:
    """Set an entry of one of upstream's maps."""
    if isinstance(entry.value, (str, bytes)):
        target[entry.key] = entry.value
    else:
        target[entry.key].CopyFrom(entry.value)


def scalar(field: FieldDescriptor, content: Any) -> Any:
    """Return text as the field has it, and a message that is bytes in ours."""
    if isinstance(content, dict):
        return built(ours("HeaderMap"), content).SerializeToString()
    return content.encode() if field.type == FieldDescriptor.TYPE_BYTES else content


@pytest.mark.parametrize("descriptor", ROOTS, ids=lambda one: one.name)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_upstream_reads_what_we_write(descriptor: Descriptor, data: st.DataObject) -> None:
    """Upstream's class finds in our bytes what was written, and no field it does not know."""
    tree = data.draw(trees(descriptor))
    expected = built(UPSTREAM[descriptor.full_name], tree)
    assert type(expected).FromString(built(descriptor, tree).SerializeToString()) == expected


@pytest.mark.parametrize("descriptor", ROOTS, ids=lambda one: one.name)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_we_read_what_upstream_writes(descriptor: Descriptor, data: st.DataObject) -> None:
    """Our class knows every field of upstream's bytes: dropping unknown ones loses nothing."""
    written = built(UPSTREAM[descriptor.full_name], data.draw(trees(descriptor)))
    read = GetMessageClass(descriptor).FromString(written.SerializeToString())
    read.DiscardUnknownFields()
    assert type(written).FromString(read.SerializeToString()) == written
