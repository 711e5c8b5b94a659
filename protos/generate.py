"""Generate the message classes under server/regiongate/_pb from protos/.

Run it with `make protos`. The output is committed; a test fails when it is stale.
"""

from __future__ import annotations

import re
import sys
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).parent
FILES = (
    "cel_syntax.proto",
    "ext_authz.proto",
    "regiongate/v1/facts.proto",
    "regiongate/v1/decision.proto",
)


def generate(into: Path) -> None:
    """Write one Python module and its stub for each proto file into a package directory.

    Args:
        into: the directory of the package `regiongate._pb`; made where it is missing.

    Raises:
        RuntimeError: protoc refused a file; what it said is on standard error.
    """
    into.mkdir(parents=True, exist_ok=True)
    includes = [f"-I{PROTOS}", f"-I{resources.files('grpc_tools') / '_proto'}"]
    outputs = [f"--python_out={into}", f"--pyi_out={into}"]
    if protoc.main(["protoc", *includes, *outputs, *FILES]) != 0:
        raise RuntimeError("protoc refused the files named above")
    for file in FILES:
        for suffix in (".py", ".pyi"):
            module = into / file.replace(".proto", f"_pb2{suffix}")
            module.write_text(_inside_the_package(module.read_text()))
            for package in module.relative_to(into).parents:
                (into / package / "__init__.py").touch()


def _inside_the_package(source: str) -> str:
    # protoc imports `regiongate.v1.facts_pb2` by the proto's path; ours lies under regiongate._pb.
    ours = "from regiongate._pb.regiongate.v1 import"
    return re.sub(r"^from regiongate\.v1 import", ours, source, flags=re.MULTILINE)


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
