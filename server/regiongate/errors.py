"""What is expected to go wrong: a file, an address or a store is not as it has to be.

Imports nothing: who wants to know whether an error is one of these need not load what raises it.
"""

from __future__ import annotations


class ExpectedError(Exception):
    """Something outside is wrong, and the message says all there is to say; no fault of ours."""
