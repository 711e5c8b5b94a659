"""A database file is abused in every way under a running service, which answers all the time.

Each database says one country, one AS number and one length of network for every client, and no
two say the same, so that an answer from a mixture of two would show. Two workers are asked without
a pause, each by a client of its own.
"""

from __future__ import annotations

import gzip
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from tests import databases
from tests.integration.deployment import question
from tests.integration.process import until
from tests.integration.workers.fleet import Fleet, fleet

COUNTRIES = ("FR", "DE")
NETWORKS = range(3000)
"""So many that hardly a Check is answered from what is remembered."""
MIXTURE = "a mixture"
ASKED = count()


def asn(version: int) -> int:
    """Return the AS number that a version says."""
    return 64500 + version


def length(version: int) -> int:
    """Return the length of the networks of a version: each address is remembered alone."""
    return 29 + version


def address(number: int) -> str:
    """Return an address, by whose number it is asked for: each network has two."""
    network, host = number % len(NETWORKS), number // len(NETWORKS) % 2
    return f"5.{network // 256}.{network % 256}.{host}"


def written(path: Path, version: int, networks: Sequence[int] = NETWORKS, age: int = 0) -> bytes:
    """Return a database.

    Args:
        path: to build it at.
        version: what it says.
        networks: of which it says so.
        age: in days, more than usual.
    """
    record = {
        "country": {"iso_code": COUNTRIES[version]},
        "autonomous_system_number": asn(version),
    }
    records = {f"{address(one)}/{length(version)}": record for one in networks}
    built = databases.BUILT.timestamp() - age * 86400
    content = databases.write(path, records, built=int(built)).read_bytes()
    path.unlink()
    return content


def policy() -> bytes:
    """Return a policy whose rules tell the versions apart, and what is none of them."""
    rules = [
        {
            "name": f"version-{version}",
            "when": f'source.country == "{country}" && source.asn == {asn(version)}'
            f' && source.network.endsWith("/{length(version)}")',
            "allow": True,
        }
        for version, country in enumerate(COUNTRIES)
    ]
    default = {"rules": rules, "otherwise": "deny"}
    return yaml.safe_dump({"version": 1, "policies": {"default": default}}).encode()


# -------------------------------------------------------------------------------- the clients


@dataclass(slots=True)
class Clients:
    """What clients were answered.

    Attributes:
        told: how often each version, or a mixture, answered.
        failed: what went wrong.
    """

    told: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def ask(self, running: Fleet, worker: int) -> str:
        """Ask a Check from the next address; return the version that answered."""
        answer = running.ask(worker, question(address(next(ASKED))))
        return answer["rule"] or MIXTURE

    def keep_asking(self, running: Fleet, worker: int, ended: threading.Event) -> None:
        """Ask without a pause."""
        while not ended.is_set():
            try:
                self.told[self.ask(running, worker)] += 1
            except (grpc.RpcError, AssertionError) as error:
                self.failed.append(f"worker {worker}: {error}")


@contextmanager
def asked(running: Fleet) -> Iterator[Clients]:
    """Have clients ask every worker until the end of the with statement."""
    clients, ended = Clients(), threading.Event()
    threads = [
        threading.Thread(target=clients.keep_asking, args=(running, worker, ended))
        for worker in range(len(running.channels))
    ]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@dataclass(slots=True)
class Service:
    """A running service, and the databases to give it.

    Attributes:
        path: of the file that it watches.
        versions: the databases.
        version: the one in force.
    """

    running: Fleet
    path: Path
    versions: Sequence[bytes]
    version: int = 0

    def says(self, version: int) -> bool:
        """Say whether every worker answers from a version."""
        clients = Clients()
        return all(
            clients.ask(self.running, worker) == f"version-{version}"
            for worker in range(len(self.running.channels))
        )

    def refuses(self, objection: str, because: str) -> bool:
        """Say whether every worker tells why it does not use the file."""
        problems = self.running.page("/readyz").json()["problems"]
        told = [one for one in problems if "country database mounted/country.mmdb" in one]
        counted = self.running.sample("regiongate_database_refused", objection=objection)
        return [because in one for one in told] == [True, True] and counted == len(told)

    @property
    def untroubled(self) -> bool:
        """Whether nothing is held against the file."""
        page = self.running.page("/readyz").json()
        return page["problems"] == [] and not self.running.sample("regiongate_database_refused")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Serve the first version, from behind links as in a ConfigMap."""
    folder = tmp_path_factory.mktemp("load")
    versions = [written(folder / "new.mmdb", version) for version, _ in enumerate(COUNTRIES)]
    path = folder / "mounted" / "country.mmdb"
    (path.parent / "..0").mkdir(parents=True)
    (path.parent / "..0" / path.name).write_bytes(versions[0])
    (path.parent / "..data").symlink_to("..0")
    path.symlink_to(Path("..data") / path.name)
    (folder / "versions.yaml").write_bytes(policy())
    changes: Mapping[str, Any] = {
        "geo": {"country": "mounted/country.mmdb"},
        "policy": "versions.yaml",
    }
    with fleet(folder, **changes) as running:
        yield Service(running, path, versions)


# ------------------------------------------------------------------------- what is done to files

NUMBERS = count(1)


def swap_link(path: Path, content: bytes) -> None:
    """Replace a file of a ConfigMap: a whole new folder, then one link; the old folder goes."""
    data = path.parent / "..data"
    old, new = data.resolve(), path.parent / f"..{next(NUMBERS)}"
    new.mkdir()
    (new / path.name).write_bytes(content)
    data.with_name("..tmp").symlink_to(new.name)
    data.with_name("..tmp").rename(data)
    shutil.rmtree(old)


def rename_over(path: Path, content: bytes) -> None:
    """Replace a file as careful programs do."""
    beside = path.with_name("beside")
    beside.write_bytes(content)
    beside.replace(path)


def overwrite(path: Path, content: bytes) -> None:
    """Write over what a file holds, and never let it be shorter than either."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


def copy(path: Path, content: bytes) -> None:
    """Empty a file and fill it again, as `cp` does."""
    path.write_bytes(content)


def copy_slowly(path: Path, content: bytes) -> None:
    """Copy in pieces, over several looks at the file."""
    with path.open("wb", buffering=0) as file:
        for start in range(0, len(content), step := -(-len(content) // 12)):
            file.write(content[start : start + step])
            time.sleep(0.1)


def unlink_and_write(path: Path, content: bytes) -> None:
    """Remove a file, and write another of its name."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def overwrite_again_and_again(path: Path, content: bytes) -> None:
    """Leave no moment at which a whole file is there, until the last."""
    ending, other = time.monotonic() + 1.0, content[::-1]
    for some in cycle((other, content)):
        with path.open("r+b") as file:
            file.write(some[: len(some) // 2])
        if time.monotonic() > ending:
            break
    copy(path, content)


def truncated(path: Path, _: bytes) -> None:
    """Cut a file to half of its size where it is."""
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path, _: bytes) -> None:
    """Cut a file to nothing."""
    os.truncate(path, 0)


def unlinked(path: Path, _: bytes) -> None:
    """Remove a file."""
    path.unlink()


def packed(path: Path, content: bytes) -> None:
    """Put a file there that was not unpacked."""
    copy(path, gzip.compress(content))


def of_another_kind(path: Path, _: bytes) -> None:
    """Put a good database there that is for something else."""
    databases.asn_database(path.with_name("asn.mmdb")).replace(path)


def hostile(path: Path, content: bytes) -> None:
    """Put a file there whose records end the process that decodes them."""
    bad = content.replace(b"Hiso_code", b"\xa1\x02iso_cod")
    assert bad != content
    rename_over(path, bad)


def smaller(path: Path, _: bytes) -> None:
    """Put a database there that lacks nearly everything."""
    rename_over(path, written(path.with_name("small.mmdb"), 0, networks=range(9)))


def older(path: Path, _: bytes) -> None:
    """Put a database there of the month before."""
    rename_over(path, written(path.with_name("older.mmdb"), 0, age=30))


Change = Callable[[Path, bytes], None]
REPLACED: Sequence[Change] = (
    swap_link,
    rename_over,
    overwrite,
    copy,
    unlink_and_write,
    copy_slowly,
    overwrite_again_and_again,
)
HARMED: Sequence[tuple[Change, str, str, Change]] = (
    # What is done, what is held against it, how that is told, and how it is mended.
    (truncated, "unreadable", "without MaxMind metadata", copy),
    (emptied, "unreadable", "an empty file", overwrite),
    (unlinked, "unreadable", "No such file or directory", unlink_and_write),
    (packed, "unreadable", "a gzip file", rename_over),
    (of_another_kind, "purpose", "expected a database for countries", rename_over),
    (hostile, "undecodable", "expected records that can be decoded", copy),
    (smaller, "smaller", "expected at least four fifths of the nodes in use", rename_over),
    (older, "older", "expected a build no older than the one in use", rename_over),
)


@pytest.mark.parametrize("replace", REPLACED, ids=lambda change: change.__name__)
def test_a_replaced_file_is_taken_over_whole(service: Service, replace: Change) -> None:
    """Every Check is answered, and from one of the two databases."""
    before, after = service.version, (service.version + 1) % len(service.versions)
    with asked(service.running) as clients:
        replace(service.path, service.versions[after])
        until(lambda: service.says(after), "the new file is in use")
        until(lambda: service.untroubled, "nothing is held against it")
    service.version = after
    assert clients.failed == []
    assert clients.told.keys() == {f"version-{before}", f"version-{after}"}
    assert service.running.workers().keys() == {0, 1}


@pytest.mark.parametrize(
    ("harm", "objection", "because", "mend"), HARMED, ids=[one[0].__name__ for one in HARMED]
)
def test_a_file_that_cannot_be_used_changes_no_answer(
    service: Service, harm: Change, objection: str, because: str, mend: Change
) -> None:
    """It is told why, by every worker, which all live on; the next good file is taken over."""
    before, after = service.version, (service.version + 1) % len(service.versions)
    pids = service.running.workers()
    with asked(service.running) as clients:
        harm(service.path, service.versions[after])
        until(lambda: service.refuses(objection, because), "it is told why the file is refused")
        assert clients.told.keys() == {f"version-{before}"}
        mend(service.path, service.versions[after])
        until(lambda: service.says(after), "the good file is in use")
        until(lambda: service.untroubled, "nothing is held against it")
    service.version = after
    assert clients.failed == []
    assert clients.told.keys() == {f"version-{before}", f"version-{after}"}
    assert service.running.workers() == pids
