"""The operator's own words in an answer: texts with ${reason} and the like to be filled in.

Pure. What is put in is escaped for the kind of text it is put into.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from string import Template
from typing import Final

NAMES: Final = ("reason", "decision_id", "country", "message")


class TemplateError(ValueError):
    """A template that could not be filled in when it is needed."""


def fill(template: str, content_type: str, values: Mapping[str, str]) -> str:
    """Fill in a template that `check_template` has accepted.

    Args:
        template: the text.
        content_type: of the text; in JSON the values are escaped as JSON strings are.
        values: one for each of NAMES.
    """
    if _is_json(content_type):
        values = {name: json.dumps(value)[1:-1] for name, value in values.items()}
    return Template(template).substitute(values)


def check_template(template: str, content_type: str) -> None:
    """Make sure that a template can be filled in.

    Raises:
        TemplateError: it names something else, or what comes out is not the JSON it claims to be.
    """
    try:
        filled = fill(template, content_type, dict.fromkeys(NAMES, '"'))
    except KeyError as error:
        names = ", ".join(f"${{{name}}}" for name in NAMES)
        raise TemplateError(f"expected no names but {names} (got {error})") from None
    except ValueError as error:
        raise TemplateError(f"expected $$ for a dollar sign ({error})") from None
    if template and _is_json(content_type):
        try:
            json.loads(filled)
        except (ValueError, RecursionError) as error:
            raise TemplateError(f"expected JSON, as its content type says ({error})") from None


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
