"""What is in force: the snapshot that Checks are answered from, made of the configured files.

The policy, the keys, the trusted proxies and the databases are loaded each on its own: a mistake in
one keeps that one as it was and does not hold up the others. The configuration itself is taken over
whole or not at all.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from regiongate.documents import check, parse
from regiongate.extauthz.judging import Snapshot
from regiongate.extauthz.service import Event
from regiongate.extauthz.strikes import strike
from regiongate.runtime.background import Background
from regiongate.runtime.config import Settings
from regiongate.runtime.configured import Configured
from regiongate.runtime.files import Files, Part, Reloaded
from regiongate.runtime.lasting import AT_START, at_start, need_restart

SETTLE_SECONDS: Final = 0.05
"""A file that has not changed for so long is taken for written, when one is told to reload."""
SETTLE_TRIES: Final = 6

_LOG: Final = logging.getLogger(__name__)


class State:
    """What is in force, and how it is renewed.

    Args:
        path: of regiongate.yaml.
        reloaded: is told of every reload, by the name of the part.
        parents: what the parent of this process goes by, see `of_parent`; empty without one.

    Raises:
        DocumentError, LoadError: the configuration, or a file it names, cannot be used.
    """

    def __init__(
        self,
        path: Path,
        reloaded: Reloaded = lambda _name, _done: None,
        parents: str = "",
    ) -> None:
        self._lock = threading.Lock()
        self._lasting: list[Part[Any]] = []
        self._configured = Part(
            "settings", lambda files, used: _configured(files, path, used, reloaded), reloaded
        )
        self._snapshot = self.configured.snapshot()
        self._began_with = {**at_start(self.configured.settings), **json.loads(parents or "{}")}

    @property
    def configured(self) -> Configured:
        """The configuration in force, with its parts."""
        return self._configured.value

    def watch(self, part: Part[Any]) -> None:
        """Renew one more part, which is the same whatever the configuration becomes."""
        self._lasting.append(part)

    @property
    def _parts(self) -> tuple[Part[Any], ...]:
        """Everything that is renewed."""
        return self._configured, *self.configured.parts, *self._lasting

    @property
    def problems(self) -> dict[str, str]:
        """Say of each part why its last reload failed; empty where it did not."""
        return {one.name: one.problem for one in self._parts}

    def snapshot(self) -> Snapshot:
        """Return what Checks are answered from now."""
        return self._snapshot

    def background(self) -> tuple[Background, ...]:
        """Return the work that belongs to what is in force."""
        return self.configured.keys.value.background

    def strike(self, event: Event) -> None:
        """Count a refusal towards the suspension of its key; returns at once."""
        found = strike(event)
        if found is not None and (counter := self.configured.keys.value.strikes) is not None:
            counter.add(found)

    def poll(self) -> None:
        """Take over the files that have changed and then held still."""
        with self._lock:
            before, wrong = self.configured, self._wrong()
            if self._configured.poll():
                self._reconfigured(before)
            for part in self._kept_from(before):
                if part.poll():
                    self._renewed(part)
            self._say_what_is_put_back(wrong)

    def reload(self) -> None:
        """Take over every file again, once none is being written to.

        Each part is in force as soon as it is loaded: keys do not wait for databases.
        """
        with self._lock:
            self._settle()
            before, answering, wrong = self.configured, self._snapshot, self._wrong()
            if self._configured.reload():
                self._reconfigured(before)
            for part in self._kept_from(before):
                if part.reload():
                    self._renewed(part)
            said = self._say_what_is_put_back(wrong)
            if self._snapshot is answering and not said and not any(self.problems.values()):
                _LOG.info("read again: every file says what is in force")

    def _kept_from(self, before: Configured) -> list[Part[Any]]:
        """Return the parts that have not just been made of a new configuration."""
        return [*(one for one in self.configured.parts if one in before.parts), *self._lasting]

    def _renewed(self, part: Part[Any]) -> None:
        """Put a part in force, and say so."""
        self._snapshot = self.configured.snapshot()
        _LOG.info("in force from now on: the new %s", part.name)

    def _wrong(self) -> dict[str, object]:
        """Return what is in force of each part whose files cannot be used now."""
        return {one.name: one.value for one in self._parts if one.error is not None}

    def _say_what_is_put_back(self, wrong: Mapping[str, object]) -> bool:
        """Say of which parts nothing is wrong any more and nothing new is in force; whether any.

        Args:
            wrong: what was in force of those that something was wrong with.
        """
        mended = [one for one in self._parts if one.error is None]
        back = [one for one in mended if wrong.get(one.name) is one.value]
        for part in back:
            _LOG.info("nothing is wrong with the %s any more: what is in force stays", part.name)
        return bool(back)

    def _reconfigured(self, before: Configured) -> None:
        """Put a configuration in force; name the sections that are new, and the parts."""
        old, new = before.settings, self.configured.settings
        self._snapshot = self.configured.snapshot()
        if changed := [one for one in _changed(old, new) if one not in AT_START]:
            _LOG.info("in force from now on: the new settings (%s)", ", ".join(changed))
        values = [part.value for part in before.parts]
        for part in self.configured.parts:
            if not any(part.value is value for value in values):
                _LOG.info("in force from now on: the new %s", part.name)
        self._say_what_needs_a_restart(old, new)

    def _say_what_needs_a_restart(self, old: Settings, new: Settings) -> None:
        """Say it where it is not what it was; this process goes by what it began with."""
        before, now = (need_restart(self._began_with, one) for one in (old, new))
        if now and now != before:
            _LOG.warning("changes under %s need a restart", ", ".join(now))
        elif before and not now:
            _LOG.info("no change needs a restart any more")

    @property
    def need_restart(self) -> tuple[str, ...]:
        """The sections that say otherwise than this process, or its parent, does."""
        return need_restart(self._began_with, self.configured.settings)

    def _settle(self) -> None:
        """Wait until the files hold still, for a while; polling takes over what is late."""
        parts = self._parts
        seen = [part.now() for part in parts]
        for _ in range(SETTLE_TRIES):
            time.sleep(SETTLE_SECONDS)
            seen, before = [part.now() for part in parts], seen
            if seen == before:
                return


def _configured(
    files: Files, path: Path, used: Configured | None, reloaded: Reloaded
) -> Configured:
    settings = check(parse(str(path), files.text(path)), Settings)
    if used and settings == used.settings:
        return used  # Its parts are renewed on their own.
    return Configured(settings, path, files, used, reloaded)


def _changed(before: Settings, now: Settings) -> list[str]:
    """Name the sections that are not the same, in the order they are written in."""
    return [one for one in Settings.model_fields if getattr(before, one) != getattr(now, one)]
