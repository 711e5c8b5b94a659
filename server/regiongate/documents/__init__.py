"""YAML documents that know their lines, checked against a model.

Every file an operator writes comes through here, so that every mistake is told the same way:
file, line, path of the key, what was expected and what was found, all mistakes at once: first those
of the text (`parsing`), then those of what it says (`checking`).

Nothing here opens a file or knows what a document is for.
"""

from regiongate.documents.checking import Integer, Model, Number, Switch, Version, check
from regiongate.documents.parsing import Document, parse
from regiongate.documents.problems import DocumentError, Path, Problem, resembling, shown, spell

__all__ = [
    "Document",
    "DocumentError",
    "Integer",
    "Model",
    "Number",
    "Path",
    "Problem",
    "Switch",
    "Version",
    "check",
    "parse",
    "resembling",
    "shown",
    "spell",
]
