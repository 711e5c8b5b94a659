"""What every test is kept from, and what the processes that tests start are given."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from regiongate.runtime.compiled import is_compiled

pytest_plugins = ["tests.leaks", "tests.figures"]

# The same examples every time, and none is too slow: another test may have the machine meanwhile.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


def pytest_report_header() -> str:
    """Say which RegionGate is tested: `make compiled` tests another than `make test`."""
    return f"regiongate: {'compiled' if is_compiled() else 'interpreted'}"


@pytest.fixture(scope="session", autouse=True)
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep out of the user's caches: rehearsals are remembered for this run, and by it alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("CACHE_DIRECTORY", raising=False)
        if os.environ.get("PYTHONDONTWRITEBYTECODE"):
            # Else each of hundreds of processes compiles every module anew.
            patch.delenv("PYTHONDONTWRITEBYTECODE")
            patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield
