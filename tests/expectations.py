"""The message that a file with a mistake in it expects, written at its top."""

_FIRST = "# expect:"
_PREFIX = "#   "


def expected_in(text: str) -> str:
    """Return the lines under `# expect:`, without their prefix."""
    first, *lines = text.splitlines()
    assert first == _FIRST
    end = next((n for n, line in enumerate(lines) if not line.startswith(_PREFIX)), len(lines))
    return "\n".join(line.removeprefix(_PREFIX) for line in lines[:end])
