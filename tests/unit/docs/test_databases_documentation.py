"""What docs/databases.md shows of regiongate.yaml can be taken as it stands."""

import re
from pathlib import Path
from typing import get_args

import pytest

from regiongate.documents import check, parse
from regiongate.geo.database import Objection
from regiongate.runtime.config import Settings

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/databases.md").read_text(encoding="utf-8")
SECTIONS = re.findall(
    r"^```yaml\n((?:# regiongate\.yaml[^\n]*\n)?geo:\n.*?)^```$", TEXT, re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_is_a_configuration(section: str) -> None:
    """With the country database that a short example leaves out."""
    whole = section if "  country:" in section else f"{section}  country: country.mmdb\n"
    assert check(parse("f", f"{whole}policy: policy.yaml\n"), Settings).geo.files("country")


def test_there_are_sections() -> None:
    """The pattern above finds them."""
    assert len(SECTIONS) >= 3


def test_every_objection_is_told_of() -> None:
    """And none that there is not."""
    _, _, table = TEXT.partition("| objection |")
    rows = re.findall(r"^\| (`.*?) \|", table.partition("\n\n")[0], re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == set(get_args(Objection))
