"""Finds one address for each different record in the search tree of a MaxMind DB file.

The readers can only go through all networks, of which there are a hundred times more than records.
The format is that of the MaxMind DB specification 2.0, "Binary Search Tree Section". Pure.
"""

import sys
from array import array
from collections.abc import Iterator, Sequence


def first_addresses(content: bytes, node_count: int, record_size: int, width: int) -> Iterator[int]:
    """Return one address, as a number, for each different record.

    Where the tree is damaged, an address is returned whose lookup comes upon the damage.

    Args:
        content: The file, at whose start the tree is.
        node_count: Nodes in the tree.
        record_size: Bits in each half of a node: 24, 28 or 32.
        width: Bits in an address: 32 or 128.
    """
    halves = _READERS[record_size](content[: node_count * record_size // 4])
    visited = bytearray(node_count)
    found: set[int] = {node_count}  # which stands for no record
    nodes = [(0, 0, 0)]
    while nodes:
        node, depth, prefix = nodes.pop()
        for half in (0, 1):
            target = halves[2 * node + half]
            address = prefix | half << (width - depth - 1)
            if target < node_count and depth + 1 < width:
                if not visited[target]:
                    visited[target] = True
                    nodes.append((target, depth + 1, address))
            elif target not in found:
                found.add(target)
                yield address


def _halves_of_24(tree: bytes) -> Sequence[int]:
    return array("I", (int.from_bytes(tree[at : at + 3]) for at in range(0, len(tree), 3)))


def _halves_of_28(tree: bytes) -> Sequence[int]:
    """Read nodes of seven bytes, whose fourth has the highest bits of both halves."""
    halves = array("I")
    for at in range(0, len(tree), 7):
        node = int.from_bytes(tree[at : at + 7])
        halves.append(node >> 32 | (node >> 28 & 0xF) << 24)
        halves.append(node & 0xFFFFFFF)
    return halves


def _halves_of_32(tree: bytes) -> Sequence[int]:
    halves = array("I", tree)
    if sys.byteorder == "little":
        halves.byteswap()
    return halves


_READERS = {24: _halves_of_24, 28: _halves_of_28, 32: _halves_of_32}
