"""What a start says of what is in force."""

from __future__ import annotations

import logging

import pytest

from regiongate.runtime import app
from regiongate.runtime.report import Report


def test_what_a_database_calls_itself_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """A file cannot say more than its own name, nor give orders to a terminal."""
    database = {"file": "a.mmdb", "type": "X\x1b[2J\nall is fine", "built": "2026-11-01T00:00:00"}
    info = {
        "engine": "native",
        "compiled": True,
        "policy": {"file": "policy.yaml", "policies": 1, "rules": 2, "digest": "d" * 64},
        "databases": [database],
        "keys": {"store": "none", "version": ""},
        "decision_log": "off",
        "tls": "off",
    }
    report = Report(worker=0, pid=1, address="127.0.0.1:1", serving=True, info=info)
    with caplog.at_level(logging.INFO):
        app._announce([report], "off")
    assert "serving on 127.0.0.1:1 (engine native, compiled)" in caplog.messages
    assert r"database a.mmdb: X\x1b[2J\nall is fine of 2026-11-01" in caplog.messages
    assert all(map(str.isprintable, caplog.messages))
