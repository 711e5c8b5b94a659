"""What the pages of documentation tell an operator to write."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def block(page: str, first: str) -> str:
    """Return the block of YAML of a page that begins with a comment."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(rf"^```yaml\n(# {re.escape(first)}.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, first
    return found[1]
