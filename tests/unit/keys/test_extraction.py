"""Which key a request carries: every form in which one, none or more than one can be sent."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regiongate.keys import extraction
from regiongate.keys.extraction import (
    MAX_LENGTH,
    NOTHING,
    Extractor,
    FromHeader,
    FromMetadata,
    Presented,
    extract,
)

BEARER = FromHeader("authorization", "Bearer")
API_KEY = FromHeader("x-api-key")
BOTH = (BEARER, API_KEY)
SUBJECT = FromMetadata("envoy.filters.http.jwt_authn", ("payload", "sub"))

EMPTY = "the key is empty"
LONG = "the key is longer than 1024 bytes"
ODD = "the key holds a comma, a space or a character no key has"
TWICE = "the key header is sent more than once"
SEVERAL = "the key header holds more than one credential"
NO_LIST = "the key header is no list of credentials"
DIFFER = "two headers hold different keys"
NO_TEXT = "the verified identity is not one text of a usable length"

LONGEST = b"k" * MAX_LENGTH
VISIBLE = bytes(range(0x21, 0x7F)).replace(b",", b"")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request carries."""

    headers: Mapping[str, list[bytes]]
    metadata: Mapping[str, Any]

    def header(self, name: str) -> Sequence[bytes]:
        return self.headers.get(name, ())


def found(
    extractors: Sequence[Extractor],
    headers: Mapping[str, list[bytes]],
    metadata: Mapping[str, Any] | None = None,
) -> bytes | str | None:
    """Return the key, why there is none, or None where there is nothing."""
    presented = extract(extractors, Sent(headers, metadata or {}))
    assert presented.key is None or not presented.problem
    return presented.problem or presented.key


API_KEYS: dict[str, tuple[list[bytes], bytes | str | None]] = {
    "none": ([], None),
    "one": ([b"k1"], b"k1"),
    "every character of a key": ([VISIBLE], VISIBLE),
    "the longest": ([LONGEST], LONGEST),
    "too long": ([LONGEST + b"k"], LONG),
    "empty": ([b""], EMPTY),
    "two": ([b"k1", b"k2"], TWICE),
    "the same twice": ([b"k1", b"k1"], TWICE),
    "one and an empty one": ([b"k1", b""], TWICE),
    "two in one": ([b"k1,k2"], ODD),
    "a comma behind": ([b"k1,"], ODD),
    "a comma before": ([b",k1"], ODD),
    "a space inside": ([b"k1 k2"], ODD),
    "a space before": ([b" k1"], ODD),
    "a space behind": ([b"k1 "], ODD),
    "a tab": ([b"k1\t"], ODD),
    "a space": ([b" "], ODD),
    "a line break": ([b"k1\n"], ODD),
    "NUL": ([b"k1\0"], ODD),
    "DEL": ([b"k1\x7f"], ODD),
    "UTF-8": (["clé".encode()], ODD),
    "not UTF-8": ([b"cl\xe9"], ODD),
    "a scheme": ([b"Bearer k1"], ODD),
}


@pytest.mark.parametrize(("values", "expected"), API_KEYS.values(), ids=API_KEYS)
def test_a_header_that_is_the_key(values: list[bytes], expected: bytes | str | None) -> None:
    """The whole value of the one header is the key, or there is a reason why not."""
    assert found([API_KEY], {"x-api-key": values}) == expected


CREDENTIALS: dict[str, tuple[list[bytes], bytes | str | None]] = {
    "none": ([], None),
    "one": ([b"Bearer k1"], b"k1"),
    "in small letters": ([b"bearer k1"], b"k1"),
    "in capitals": ([b"BEARER k1"], b"k1"),
    "more spaces": ([b"Bearer   k1"], b"k1"),
    "a tab": ([b"Bearer\tk1"], b"k1"),
    "spaces behind": ([b"Bearer k1 \t"], b"k1"),
    "the longest": ([b"Bearer " + LONGEST], LONGEST),
    "too long": ([b"Bearer " + LONGEST + b"k"], LONG),
    "another scheme": ([b"Basic dXNlcjpwYXNz"], None),
    "a longer scheme": ([b"BearerToken k1"], None),
    "a shorter scheme": ([b"Bear k1"], None),
    "no scheme": ([b"k1"], None),
    "the scheme as the key": ([b"Basic Bearer"], None),
    "an equals sign": ([b"Bearer=k1"], None),
    "nothing": ([b""], None),
    "the scheme alone": ([b"Bearer"], EMPTY),
    "the scheme and a space": ([b"Bearer "], EMPTY),
    "the scheme and a tab": ([b"bearer\t"], EMPTY),
    "two keys in one": ([b"Bearer k1,k2"], ODD),
    "two words": ([b"Bearer k1 k2"], ODD),
    "twice the scheme": ([b"Bearer Bearer k1"], ODD),
    "not ASCII": ([b"Bearer cl\xe9"], NO_LIST),
    "a space that only some take for one": ([b"Bearer\xa0k1"], NO_LIST),
    "such a space before": ([b"\xa0Bearer k1"], NO_LIST),
    "another scheme with such a byte": ([b"Basic cl\xe9"], NO_LIST),
    "more commas than any scheme has": ([b"Digest " + b"," * 33], NO_LIST),
    "two headers": ([b"Bearer k1", b"Bearer k2"], TWICE),
    "the same twice": ([b"Bearer k1", b"Bearer k1"], TWICE),
    "one of another scheme": ([b"Basic x", b"Bearer k1"], TWICE),
    "one empty": ([b"Bearer k1", b""], TWICE),
    "two of another scheme": ([b"Basic x", b"Basic y"], None),
    # As Envoy joins a repeated header.
    "two headers joined": ([b"Bearer k1,Bearer k2"], ODD),
    "joined with another scheme": ([b"Bearer k1,Basic x"], ODD),
    "joined behind another scheme": ([b"Basic x,Bearer k1"], SEVERAL),
    "joined behind another scheme, with spaces": ([b"Basic x \t, Bearer k1"], SEVERAL),
    "joined between others": ([b"Basic x, Bearer k1, Basic y"], SEVERAL),
    "joined with nothing": ([b"Bearer k1,"], ODD),
    "joined behind nothing": ([b",Bearer k1"], SEVERAL),
    "joined with the scheme alone": ([b"Bearer,"], ODD),
    "others joined": ([b"Basic x, Digest y"], None),
    # HTTP/2 lets white space around a value pass.
    "a space before": ([b" Bearer k1"], b"k1"),
    "white space around": ([b"\t Bearer \t k1 \t "], b"k1"),
    "a space before the scheme alone": ([b" Bearer"], EMPTY),
    "a space before another scheme": ([b" Basic x"], None),
    "a comma before the scheme alone": ([b",Bearer"], SEVERAL),
    "joined behind something short": ([b"x,Bearer"], SEVERAL),
}


@pytest.mark.parametrize(("values", "expected"), CREDENTIALS.values(), ids=CREDENTIALS)
def test_a_header_with_a_scheme(values: list[bytes], expected: bytes | str | None) -> None:
    """What follows the scheme is the key; credentials of another scheme are none of ours."""
    assert found([BEARER], {"authorization": values}) == expected


PLACES: dict[str, tuple[dict[str, list[bytes]], bytes | str | None]] = {
    "neither": ({}, None),
    "the first": ({"authorization": [b"Bearer k1"]}, b"k1"),
    "the second": ({"x-api-key": [b"k2"]}, b"k2"),
    "both the same": ({"authorization": [b"Bearer k1"], "x-api-key": [b"k1"]}, b"k1"),
    "both different": ({"authorization": [b"Bearer k1"], "x-api-key": [b"k2"]}, DIFFER),
    "the first of another scheme": (
        {"authorization": [b"Basic x"], "x-api-key": [b"k2"]},
        b"k2",
    ),
    "the first empty": ({"authorization": [b"Bearer "], "x-api-key": [b"k2"]}, EMPTY),
    "the second empty": ({"authorization": [b"Bearer k1"], "x-api-key": [b""]}, EMPTY),
    "the second twice": (
        {"authorization": [b"Bearer k1"], "x-api-key": [b"k1", b"k1"]},
        TWICE,
    ),
    "a header that is not configured": ({"x-other-key": [b"k1"]}, None),
}


@pytest.mark.parametrize(("headers", "expected"), PLACES.values(), ids=PLACES)
def test_two_headers(headers: dict[str, list[bytes]], expected: bytes | str | None) -> None:
    """Two headers may hold one key; two keys or half a one are refused wherever they stand."""
    assert found(BOTH, headers) == expected
    assert found(BOTH[::-1], headers) == expected


def payload(subject: object) -> dict[str, Any]:
    """Make the metadata in which Envoy's JWT filter leaves a token's payload."""
    return {SUBJECT.namespace: {"payload": {"sub": subject}}}


KEYS_OF_NO_REQUEST = {
    "a space": (b"a b", ODD),
    "a comma": (b"a,b", ODD),
    "a letter of no header": ("clé".encode(), ODD),
    "nothing": (b"", EMPTY),
    "too long": (LONGEST + b"k", LONG),
    "the longest": (LONGEST, ""),
}


@pytest.mark.parametrize(("key", "problem"), KEYS_OF_NO_REQUEST.values(), ids=KEYS_OF_NO_REQUEST)
def test_a_key_that_no_header_can_carry(key: bytes, problem: str) -> None:
    """It is objected to for the reason that every request with it would be refused for."""
    assert extraction.objection(BOTH, key) == problem


def test_a_key_that_one_place_can_carry() -> None:
    """A verified identity may be any text of a usable length."""
    assert extraction.objection([*BOTH, SUBJECT], b"a, b") == ""
    assert extraction.objection([SUBJECT], b"") == NO_TEXT
    assert extraction.objection([], b"a, b") == ""


IDENTITIES: dict[str, tuple[dict[str, Any], bytes | str | None]] = {
    "text": (payload(b"user-1"), b"user-1"),
    "text that no header may hold": (payload("né, 1\n".encode()), "né, 1\n".encode()),
    "the longest": (payload(LONGEST), LONGEST),
    "too long": (payload(LONGEST + b"k"), NO_TEXT),
    "empty": (payload(b""), NO_TEXT),
    "a number": (payload(1.0), NO_TEXT),
    "a truth": (payload(True), NO_TEXT),  # noqa: FBT003 a value of metadata
    "a false one": (payload(False), NO_TEXT),  # noqa: FBT003 a value of metadata
    "a list": (payload([b"user-1"]), NO_TEXT),
    "a mapping": (payload({"a": b"user-1"}), NO_TEXT),
    "null": (payload(None), None),
    "no namespace": ({}, None),
    "another namespace": ({"other": {"payload": {"sub": b"user-1"}}}, None),
    "no field": ({SUBJECT.namespace: {}}, None),
    "half the path": ({SUBJECT.namespace: {"payload": {}}}, None),
    "text on the way": ({SUBJECT.namespace: {"payload": b"sub"}}, None),
    "a list on the way": ({SUBJECT.namespace: {"payload": [b"sub"]}}, None),
}


@pytest.mark.parametrize(("metadata", "expected"), IDENTITIES.values(), ids=IDENTITIES)
def test_a_verified_identity(metadata: dict[str, Any], expected: bytes | str | None) -> None:
    """An identity that Envoy has verified is any one text; where there is none, there is no key."""
    assert found([SUBJECT], {}, metadata) == expected


MIXED: dict[str, tuple[Sequence[Extractor], list[bytes], object, bytes | str | None]] = {
    "the identity first": ((SUBJECT, API_KEY), [b"k1"], b"user-1", b"user-1"),
    "the header first": ((API_KEY, SUBJECT), [b"k1"], b"user-1", b"k1"),
    "no identity": ((SUBJECT, API_KEY), [b"k1"], None, b"k1"),
    "no header": ((API_KEY, SUBJECT), [], b"user-1", b"user-1"),
    "an unusable identity first": ((SUBJECT, API_KEY), [b"k1"], 1.0, NO_TEXT),
    "an unusable header behind": ((SUBJECT, API_KEY), [b""], b"user-1", EMPTY),
}


@pytest.mark.parametrize(("extractors", "values", "subject", "expected"), MIXED.values(), ids=MIXED)
def test_a_header_and_an_identity(
    extractors: Sequence[Extractor], values: list[bytes], subject: object, expected: object
) -> None:
    """Between a header and a verified identity, the one that is configured first wins."""
    assert found(extractors, {"x-api-key": values}, payload(subject)) == expected


def test_without_extractors_there_is_no_key() -> None:
    """A RegionGate that is told of no place finds no key."""
    assert extract((), Sent({"x-api-key": [b"k1"]}, {})) is NOTHING


SENT = {
    BEARER: ("authorization", b"Bearer k1"),
    API_KEY: ("x-api-key", b"k1"),
}


@pytest.mark.parametrize(("extractor", "header"), SENT.items())
def test_a_key_is_found_where_it_is_sent(extractor: FromHeader, header: tuple[str, bytes]) -> None:
    """The header that `explain` makes up for a key is the one that it is found in."""
    assert extractor.sent("k1") == header
    assert found([extractor], {header[0]: [header[1]]}) == b"k1"


def test_no_header_carries_a_verified_identity() -> None:
    """A client cannot send what only Envoy may say."""
    assert SUBJECT.sent("k1") is None  # type: ignore[func-returns-value]


VALUES = st.lists(st.binary(max_size=12) | st.sampled_from([b"Bearer k1", b"k1", b"k1,k1"]))


@settings(deadline=None, derandomize=True, database=None)
@given(authorization=VALUES, api_key=VALUES)
def test_a_key_is_always_all_that_was_sent(
    authorization: list[bytes], api_key: list[bytes]
) -> None:
    """A key that is found is visible text, and the whole of some header or of its last word."""
    key = found(BOTH, {"authorization": authorization, "x-api-key": api_key})
    if isinstance(key, bytes):
        assert set(key) <= set(VISIBLE)
        assert [key] == api_key or [key] == [value.split()[-1] for value in authorization]


PRESENTED = {
    Presented(b"sk-secret"): "Presented(a key)",
    Presented(problem=EMPTY): f"Presented({EMPTY})",
    NOTHING: "Presented(nothing)",
}


@pytest.mark.parametrize(("presented", "expected"), PRESENTED.items(), ids=PRESENTED.values())
def test_a_key_is_not_shown(presented: Presented, expected: str) -> None:
    """What a log or a traceback may print of a key holds no secret."""
    assert repr(presented) == str(presented) == expected


@pytest.mark.parametrize("values", [[b"sk-secret,x"], [b"sk-secret", b"x"], [b"sk-secret" * 200]])
def test_a_problem_does_not_show_the_key(values: list[bytes]) -> None:
    """Why a key is refused is said without the key."""
    assert "sk-secret" not in str(found([API_KEY], {"x-api-key": values}))


def test_a_header_of_nothing_but_commas_costs_next_to_nothing() -> None:
    """A client may send 60 KiB of it with every request; it takes no longer than one to refuse."""
    headers = {"authorization": [b"," * 60_000]}
    started = time.perf_counter()
    for _ in range(100):
        assert found([BEARER], headers) == NO_LIST
    assert time.perf_counter() - started < 0.5
