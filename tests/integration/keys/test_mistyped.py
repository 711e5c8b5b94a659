"""A key of our own form whose checksum is wrong is unknown, and no store is asked about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest

from regiongate.extauthz.service import Authorization
from regiongate.keys import minting
from regiongate.keys.record import KeyRecord
from regiongate.policy.exemptions import Exemption
from regiongate.runtime.state import State
from tests.integration import deployment
from tests.integration.deployment import FRANCE, Answer, question

pytestmark = pytest.mark.usefixtures("unrehearsed")


@dataclass(slots=True)
class Asked:
    """A store that knows no key, and how often it was asked."""

    times: int = 0
    version: str = field(default="1", init=False)

    def recall(self, _: bytes) -> KeyRecord | None:
        self.times += 1
        return None

    async def find(self, digest: bytes) -> KeyRecord | None:
        return self.recall(digest)

    def exemptions(self) -> Iterator[tuple[str, Exemption]]:
        yield from ()

    def age(self, _: datetime) -> float:
        return 0.0


async def answered(folder: Path, store: Asked, key: str) -> Answer:
    """Answer a Check with a key."""
    snapshot = replace(State(deployment.deploy(folder)).snapshot(), keys=store)
    asked = question(FRANCE, key)
    return deployment.read(
        await deployment.answered(Authorization(lambda: snapshot).check(asked, ()))
    )


async def test_a_mistyped_key(tmp_path: Path) -> None:
    """It is answered as any unknown one, and the store hears nothing of it."""
    key, store = minting.mint(), Asked()
    unknown = await answered(tmp_path, store, key)
    assert store.times == 1
    mistyped = await answered(tmp_path, store, f"{key[:-1]}{'a' if key[-1] != 'a' else 'b'}")
    assert store.times == 1
    decisions = [(one.status, one["reason"], one["key_id"]) for one in (unknown, mistyped)]
    assert decisions[0] == decisions[1]


async def test_a_key_from_elsewhere_that_begins_like_ours(tmp_path: Path) -> None:
    """It is none of ours to judge: the store is asked."""
    store = Asked()
    await answered(tmp_path, store, "rg_live_0123456789abcdef")
    assert store.times == 1
