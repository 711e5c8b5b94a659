"""Builds MaxMind DB files byte by byte: the good ones that no writer makes, and the bad ones.

What is bad here is bad in the ways of MaxMind's own published `bad-data` files and of the broken
ones among its `test-data`; the bytes are our own. The format is that of the MaxMind DB
specification 2.0.
"""

from collections.abc import Mapping
from typing import Any

MARKER = b"\xab\xcd\xefMaxMind.com"
SEPARATOR = bytes(16)

RECORD = {"country": {"iso_code": "GB"}}
METADATA: Mapping[str, Any] = {
    "binary_format_major_version": 2,
    "binary_format_minor_version": 0,
    "build_epoch": 1793491200,
    "database_type": "Test-Country",
    "description": {"en": "invented"},
    "ip_version": 4,
    "languages": ["en"],
    "node_count": 1,
    "record_size": 24,
}
"""Of a file with one node."""

_EXTENDED = 7
_TEXT, _UNSIGNED_16, _UNSIGNED_32, _MAP, _UNSIGNED_64, _LIST = 2, 5, 6, 7, 9, 11
_NUMBERS = {"node_count": _UNSIGNED_32, "build_epoch": _UNSIGNED_64}
"""What is no number of 16 bits; a reader may insist on it."""


def encode(value: object, number: int = _UNSIGNED_16) -> bytes:
    """Encode maps, lists, text and numbers; the latter as of a kind."""
    match value:
        case dict():
            return _control(_MAP, len(value)) + b"".join(
                encode(key) + encode(item, _NUMBERS.get(key, number)) for key, item in value.items()
            )
        case list():
            return _control(_LIST, len(value)) + b"".join(map(encode, value))
        case int():
            content = value.to_bytes(-(-value.bit_length() // 8))
            return _control(number, len(content)) + content
    content = str(value).encode()
    return _control(_TEXT, len(content)) + content


def _control(kind: int, size: int) -> bytes:
    assert size < 29, "longer ones are written in another way"
    if kind > _EXTENDED:
        return bytes([size, kind - _EXTENDED])
    return bytes([kind << 5 | size])


def file(
    data: bytes = encode(RECORD),
    *,
    left: int | None = None,
    right: int | None = None,
    metadata: bytes | None = None,
    **changes: Any,
) -> bytes:
    """Return a file of one node, from which the first bit of an address leads to the data.

    Args:
        data: the data section.
        left: where addresses that begin with 0 lead to; to the data if left out.
        right: where the others lead to; likewise.
        metadata: the whole section, encoded.
        changes: of METADATA; what is None is not there.
    """
    to_data = 1 + len(SEPARATOR)
    node = b"".join((to_data if to is None else to).to_bytes(3) for to in (left, right))
    written = {name: value for name, value in {**METADATA, **changes}.items() if value is not None}
    return node + SEPARATOR + data + MARKER + (encode(written) if metadata is None else metadata)


def last(name: str, value: object) -> bytes:
    """Return metadata with something for its last value."""
    return encode({**{key: one for key, one in METADATA.items() if key != name}, name: value})


DEEP = 20_000
"""Levels, far more than any reader goes."""

GOOD: Mapping[str, bytes] = {
    "as above": file(),
    "a pointer": file(b"\x20\x02" + encode(RECORD)),
    "a bare code": file(encode("GB")),
}
ODD: Mapping[str, bytes] = {
    # One reader or another takes these.
    "an empty map last in the metadata": file(metadata=last("description", {})),
    "an empty list last in the metadata": file(metadata=last("languages", [])),
    "no languages": file(languages=None),
    "no description": file(description=None),
    "a key of its own in the metadata": file(vendor="x"),
    "another minor version": file(binary_format_minor_version=9),
}
BAD: Mapping[str, bytes] = {
    # The metadata.
    "metadata that is a number of 128 bits": file(metadata=b"\x10\x03" + bytes(16)),
    "metadata that is text": file(metadata=encode("metadata")),
    "metadata that ends too soon": file(metadata=encode(dict(METADATA))[:-9]),
    "metadata that points to itself": file(metadata=b"\x20\x00"),
    "metadata that nests deep": file(metadata=b"\xe1\x41a" * DEEP + b"\x41x"),
    "another major version": file(binary_format_major_version=9),
    "no node count": file(node_count=None),
    "no record size": file(record_size=None),
    "a record size that there is not": file(record_size=23),
    "a record size of nothing": file(record_size=0),
    "more nodes than bytes": file(node_count=100_000),
    "as many nodes as can be": file(node_count=2**32 - 1),
    "no nodes": file(node_count=0),
    "an IP version that there is not": file(ip_version=7),
    "a build time that is text": file(build_epoch="yesterday"),
    "the last build time there is": file(build_epoch=2**64 - 1),
    # The search tree.
    "a node that leads beyond the end": file(left=0xFFFFFF),
    "a node that leads just beyond the end": file(right=1 + 16 + len(encode(RECORD)) + 999),
    "a node that leads to itself": file(left=0, right=0),
    # The data.
    "nothing": file(b""),
    "a map that points to itself": file(b"\xe1\x41a\x20\x00"),
    "a pointer to itself": file(b"\x20\x00"),
    "a pointer beyond the end": file(b"\x38\xff\xff\xff\xff"),
    "a pointer into the middle of nowhere": file(b"\x28\xff\xff"),
    "maps in maps in maps": file(b"\xe1\x41a" * DEEP + b"\x41x"),
    "lists in lists in lists": file(b"\x01\x04" * DEEP + b"\x41x"),
    "a map of sixteen million": file(b"\xff\xff\xff\xff" + b"\x41a\x41b"),
    "a list of sixteen million": file(b"\x1f\x04\xff\xff\xff" + b"\x41a"),
    "text of sixteen million": file(b"\x5f\xff\xff\xff" + b"a"),
    "a type that there is not": file(b"\x00\x50"),
    "a double of two bytes": file(b"\x62\x00\x00"),
    "a float of two bytes": file(b"\x02\x08\x00\x00"),
    "a number of 32 bits in nine bytes": file(b"\xc9" + bytes(9)),
    "a boolean of two": file(b"\x02\x07"),
    "text that is not UTF-8": file(b"\xe1" + encode("country") + b"\x42\xff\xfe"),
    "a key that is not UTF-8": file(b"\xe1\x42\xff\xfe" + encode("GB")),
    "a key that is a number": file(b"\xe1\xa1\x02" + encode("GB")),
    "a key that is a map": file(b"\xe1\xe0" + encode("GB")),
}
SEPARATORS: Mapping[str, bytes] = {
    # To the reader in Python these are an empty map.
    "the first byte of the separator, on the left": file(left=2),
    "the last byte of the separator, on the left": file(left=16),
    "the first byte of the separator, on the right": file(right=2),
}
