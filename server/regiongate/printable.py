"""What others have written, as one line that can be shown.

Nothing here knows who wrote it, nor where it is shown.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return a text with an escape such as `\x1b` for each character that is not to be seen.

    A terminal takes no orders from what is left, and a log no line that nobody logged. Letters of
    any language stay; line breaks, controls, marks that change the direction of writing and lone
    surrogates do not.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
