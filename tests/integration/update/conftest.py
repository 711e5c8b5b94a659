"""What the tests of updates share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.update.vendors import Site, site


@pytest.fixture
def vendor() -> Iterator[Site]:
    """A vendor's own server."""
    with site() as made:
        yield made


@pytest.fixture
def storage() -> Iterator[Site]:
    """Where a vendor's server redirects to."""
    with site() as made:
        yield made


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands before the loopback interface."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
