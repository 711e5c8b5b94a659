"""What `pip install` puts on a machine: the package and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from email import message_from_string
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
BUILD = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    """The wheel, as pip builds it of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*BUILD, folder, ROOT], check=True, timeout=120)
    (built,) = folder.glob("regiongate-*.whl")
    with ZipFile(built) as opened:
        yield opened


@pytest.fixture(scope="module")
def information(wheel: ZipFile) -> str:
    """The name of the folder that describes the wheel."""
    (folder,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    return folder


@pytest.fixture(scope="module")
def metadata(wheel: ZipFile, information: str) -> Message:
    """What the wheel says of itself."""
    return message_from_string(wheel.read(f"{information}/METADATA").decode())


def test_only_the_package_is_installed(wheel: ZipFile, information: str) -> None:
    """No folder of the checkout becomes a module that others might import."""
    assert {name.partition("/")[0] for name in wheel.namelist()} == {"regiongate", information}


def test_all_of_the_package_is_installed(wheel: ZipFile) -> None:
    """Every module of the checkout is there, generated ones and the mark of types included."""
    source = ROOT / "server"
    modules = {str(path.relative_to(source)) for path in source.glob("regiongate/**/*.py")}
    packed = {name for name in wheel.namelist() if name.startswith("regiongate/")}
    assert modules <= packed
    assert "regiongate/py.typed" in packed
    assert not [name for name in packed if "__pycache__" in name]


def test_the_command_is_installed(wheel: ZipFile, information: str) -> None:
    """`regiongate` is the one command."""
    entry_points = wheel.read(f"{information}/entry_points.txt").decode()
    assert entry_points.split("\n", 1)[0] == "[console_scripts]"
    assert entry_points.split() == ["[console_scripts]", "regiongate", "=", "regiongate.cli:main"]


def test_it_says_what_it_is(metadata: Message, wheel: ZipFile, information: str) -> None:
    """Name, licence and the version of Python are where package indexes look for them."""
    said = {name: metadata[name] for name in ("Name", "License-Expression", "Requires-Python")}
    assert said == {
        "Name": "regiongate",
        "License-Expression": "Apache-2.0",
        "Requires-Python": ">=3.11",
    }
    assert metadata["Summary"]
    assert b"Apache License" in wheel.read(f"{information}/licenses/LICENSE")


def test_what_it_needs_is_bounded(metadata: Message) -> None:
    """Nothing for development is asked for, and each requirement names the versions it takes."""
    needed = [one for one in metadata.get_all("Requires-Dist", []) if "extra ==" not in one]
    assert needed
    assert [one for one in needed if ">=" not in one] == []
    assert [one for one in needed if one.startswith(("pytest", "hypothesis", "ruff", "mypy"))] == []
