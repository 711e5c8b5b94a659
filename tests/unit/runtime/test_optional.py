"""A configuration that asks for what is not installed is a mistake in that configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from regiongate.documents import DocumentError
from regiongate.runtime import config
from tests.integration.deployment import settings

MISSING = {
    "native": (
        "pygrpc_native",
        {"engine": "native"},
        "engine: expected the package pygrpc-native where engine is native",
    ),
    "OpenTelemetry": (
        "opentelemetry",
        {"tracing": {"endpoint": "http://127.0.0.1:4318/v1/traces"}},
        "tracing: expected the otel extra: pip install '.[otel]' in a checkout",
    ),
    "no more of OpenTelemetry than its API": (
        "opentelemetry.exporter",
        {"tracing": {"endpoint": "http://127.0.0.1:4318/v1/traces"}},
        "tracing: expected the otel extra: pip install '.[otel]' in a checkout",
    ),
}


@pytest.mark.parametrize(("module", "changes", "said"), MISSING.values(), ids=MISSING)
def test_what_is_not_installed_is_told_with_the_file(
    module: str,
    changes: dict[str, object],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By `validate` and by a reload as by a start; where it is installed nothing is said."""
    file = tmp_path / "regiongate.yaml"
    file.write_bytes(settings(**changes))
    config.read(file)
    for name in [one for one in sys.modules if one.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DocumentError) as error:
        config.read(file)
    assert said in str(error.value)
    assert str(error.value).startswith(f"{file}:")
