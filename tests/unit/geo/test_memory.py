"""What is remembered about networks, and what is forgotten."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regiongate.geo.memory import Memory

CASES = [
    # width, asked, prefix length, remembered for, not remembered for
    (32, "81.2.69.160", 27, ["81.2.69.160"], ["81.2.69.192", "81.2.69.128"]),
    (32, "81.2.69.160", 24, ["81.2.69.0", "81.2.69.255"], ["81.2.68.255", "81.2.70.0"]),
    (32, "81.2.69.160", 0, ["81.2.0.0", "81.2.255.255"], ["81.3.0.0"]),
    (32, "0.0.0.0", 32, ["0.0.0.0"], ["0.0.0.1"]),
    (128, "2a02:d300::1", 29, ["2a02:d300:ffff::"], ["2a02:d301::", "2a02:d400::"]),
    (128, "2a02:d300::1", 128, ["2a02:d300::1"], ["2a02:d300::"]),
    (128, "::1", 0, ["::2"], ["1::"]),
]


@pytest.mark.parametrize(("width", "asked", "length", "inside", "outside"), CASES)
def test_an_answer_holds_inside_its_network_only(
    width: int, asked: str, length: int, inside: list[str], outside: list[str]
) -> None:
    """The block that is remembered never reaches beyond the prefix."""
    memory: Memory[str] = Memory(width, 10)
    memory.remember(int(ip_address(asked)), length, "answer")
    assert [memory.recall(int(ip_address(text))) for text in inside] == ["answer"] * len(inside)
    assert [memory.recall(int(ip_address(text))) for text in outside] == [None] * len(outside)


@given(st.ip_addresses(), st.data())
def test_nothing_is_recalled_for_another_network(
    asked: IPv4Address | IPv6Address, data: st.DataObject
) -> None:
    """For any prefix length, the address asked for recalls its answer and one outside does not."""
    length = data.draw(st.integers(0, asked.max_prefixlen))
    other = data.draw(st.ip_addresses(v=asked.version))
    memory: Memory[str] = Memory(asked.max_prefixlen, 10)
    memory.remember(int(asked), length, "answer")
    assert memory.recall(int(asked)) == "answer"
    if other not in ip_network(f"{asked}/{length}", strict=False):
        assert memory.recall(int(other)) is None


def test_no_more_is_kept_than_allowed() -> None:
    """Any number of distinct addresses leaves the memory at its bound."""
    memory: Memory[int] = Memory(32, 100)
    for number in range(50_000):
        memory.remember(number << 8, 24, number)
    assert len(memory) == 100


def test_what_was_used_last_is_kept() -> None:
    """Room is made by forgetting what nobody asked for the longest."""
    memory: Memory[str] = Memory(32, 2)
    memory.remember(1, 32, "one")
    memory.remember(2, 32, "two")
    memory.recall(1)
    memory.remember(3, 32, "three")
    assert [memory.recall(number) for number in (1, 2, 3)] == ["one", None, "three"]
