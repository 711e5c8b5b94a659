"""Those who observe answers are independent of each other."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from regiongate.extauthz.responses import Told
from regiongate.extauthz.service import Call, Event
from regiongate.runtime.worker import _each
from tests.unit.extauthz import fakes

SNAPSHOT = fakes.service(
    "version: 1\npolicies: {default: {rules: [], otherwise: deny}}\n", {}
).snapshot
EVENT = Event(
    Call(datetime(2024, 7, 1, tzinfo=UTC), "0" * 32, SNAPSHOT), Told("deny", "otherwise"), None, 0.0
)


def test_one_that_fails_keeps_the_others_from_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Those after it are told as well, and the log says what went wrong."""
    told: list[str] = []

    def failing(event: Event) -> None:
        raise ValueError(event.told.reason)

    tell = _each([lambda _: told.append("before"), failing, lambda _: told.append("after")])
    tell(EVENT)
    assert told == ["before", "after"]
    assert caplog.record_tuples == [
        ("regiongate.runtime.worker", logging.ERROR, "a Check could not be recorded")
    ]
