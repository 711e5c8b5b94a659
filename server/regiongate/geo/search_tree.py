"""Finds one address for each different record in the search tree of a MaxMind DB file.

The readers can only go through all networks, of which there are a hundred times more than records.
The format is that of the MaxMind DB specification 2.0, "Binary Search Tree Section". Pure.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator


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
    lefts, rights = halves[::2], halves[1::2]
    visited = bytearray(node_count)
    found: set[int] = {node_count}  # which stands for no record
    nodes, paths = [0], [0]
    for depth in range(1, width + 1):
        # Written out for speed: millions of nodes, and somebody waits for a service to start.
        at, nodes, to, paths = nodes, [], paths, []
        for node, path in zip(at, to, strict=True):
            target = lefts[node]
            if target < node_count and depth < width:
                if not visited[target]:
                    visited[target] = True
                    nodes.append(target)
                    paths.append(path << 1)
            elif target not in found:
                found.add(target)
                yield path << 1 << (width - depth)
            target = rights[node]
            if target < node_count and depth < width:
                if not visited[target]:
                    visited[target] = True
                    nodes.append(target)
                    paths.append(path << 1 | 1)
            elif target not in found:
                found.add(target)
                yield (path << 1 | 1) << (width - depth)


def _halves_of_24(tree: bytes) -> array[int]:
    wide = bytearray(len(tree) // 3 * 4)
    for byte in range(3):
        wide[byte + 1 :: 4] = tree[byte::3]
    return _halves_of_32(wide)


def _halves_of_28(tree: bytes) -> array[int]:
    """Read nodes of seven bytes, whose fourth has the highest bits of both halves."""
    wide = bytearray(len(tree) // 7 * 8)
    for byte in range(3):
        wide[byte + 1 :: 8] = tree[byte::7]
        wide[byte + 5 :: 8] = tree[byte + 4 :: 7]
    wide[0::8] = tree[3::7].translate(_UPPER_HALF)
    wide[4::8] = tree[3::7].translate(_LOWER_HALF)
    return _halves_of_32(wide)


def _halves_of_32(tree: bytes | bytearray) -> array[int]:
    halves = array("I", bytes(tree))
    if sys.byteorder == "little":
        halves.byteswap()
    return halves


_UPPER_HALF = bytes(byte >> 4 for byte in range(256))
_LOWER_HALF = bytes(byte & 0xF for byte in range(256))
_READERS = {24: _halves_of_24, 28: _halves_of_28, 32: _halves_of_32}
