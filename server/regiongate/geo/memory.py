"""Remembers answers by network, within a bound, the least recently used forgotten first.

An answer holds for a whole network, and is kept for the block around the address, of one of a few
lengths, that lies within it: finding it again then takes one look for each of these lengths,
instead of one for each length there is. Nothing here knows what an answer is.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

_BLOCKS = {32: (24, 20, 16, 32), 128: (48, 32, 64, 128)}
"""Prefix lengths by the width of an address, those that most answers are found under first."""


class Memory(Generic[Answer]):
    """What is known about the networks of one IP version. Safe to share between threads."""

    __slots__ = ("_answers", "_marker", "_shift_of", "_shifts", "_size")

    def __init__(self, width: int, size: int) -> None:
        """Start with nothing.

        Args:
            width: Bits in an address: 32 or 128.
            size: How many answers to keep at most.
        """
        self._size = size
        # A bit in front of the address tells blocks of different lengths apart.
        self._marker = 1 << width
        self._shifts = tuple(width - length for length in _BLOCKS[width])
        self._shift_of = tuple(
            width - min(block for block in _BLOCKS[width] if block >= length)
            for length in range(width + 1)
        )
        self._answers: OrderedDict[int, Answer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def recall(self, address: int) -> Answer | None:
        """Return the answer that holds for an address, if it is remembered."""
        marked = self._marker | address
        answers = self._answers
        for shift in self._shifts:
            block = marked >> shift
            if block in answers:
                try:
                    answers.move_to_end(block)
                except KeyError:  # Another thread needed the place.
                    return None
                return answers.get(block)
        return None

    def remember(self, address: int, prefix_length: int, answer: Answer) -> None:
        """Keep an answer that holds for every address that shares a prefix with this one."""
        self._answers[(self._marker | address) >> self._shift_of[prefix_length]] = answer
        if len(self._answers) > self._size:
            self._answers.popitem(last=False)
