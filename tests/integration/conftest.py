"""What the tests of the running service share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def unrehearsed() -> Iterator[None]:
    """Take databases into use in this process without decoding them in another first.

    That takes most of a second for each, and the tests of `geo` show what it is good for. The
    processes that tests start do it all the same.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regiongate.geo.gate.rehearse", lambda _: None)
        yield
