"""What an operator is told about a policy file that cannot be used, mistake by mistake.

Each file in tests/data/policies/bad holds one mistake, and on top of it what is said about it.
"""

from pathlib import Path

import pytest

from regiongate import policy
from regiongate.documents import DocumentError
from tests.expectations import expected_in

BAD = Path(__file__).parents[2] / "data" / "policies" / "bad"


def read(name: str) -> str:
    """Read a file beside the policy; what is said when it is missing names no folder of ours."""
    try:
        return (BAD / name).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, error.strerror) from None


@pytest.mark.parametrize("file", sorted(BAD.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_mistake_is_told_with_its_line_and_its_place(file: Path) -> None:
    """File, line, path, what was expected and what was found, for all mistakes at once."""
    text = file.read_text(encoding="utf-8")
    with pytest.raises(DocumentError) as caught:
        policy.load(file.name, text, read)
    assert str(caught.value) == expected_in(text)
