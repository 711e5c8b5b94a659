"""RegionGate behind a real Envoy, once for each engine; the stack is the demonstration's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.stack import Settings, Stack, started
from tests import databases
from tests.e2e.clients import COUNTRIES, records

VARIANTS = {
    "native-tcp": Settings(database=Path(), engine="native", unix=False),
    "grpcio-unix": Settings(database=Path(), engine="grpcio", unix=True),
}
"""Between them both engines and both kinds of address; the rest is filled in by the fixtures."""


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A country database in which the demonstration's clients are where they really are."""
    return databases.write(tmp_path_factory.mktemp("geo") / "country.mmdb", records(COUNTRIES))


@pytest.fixture(scope="session", params=list(VARIANTS.values()), ids=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> Settings:
    """An engine and a kind of address."""
    settings: Settings = request.param
    return settings


@pytest.fixture(scope="session")
def stack(variant: Settings, database: Path) -> Iterator[Stack]:
    """The stack that tests share, none of which may change it."""
    settings = Settings(database=database, engine=variant.engine, unix=variant.unix, notice="1ms")
    with started(settings) as running:
        yield running
