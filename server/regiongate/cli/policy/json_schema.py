"""`regiongate policy schema`: what an editor needs to complete and check the files.

JSON Schema, draft 2020-12, made of the very models that the files are checked against. A schema
knows shapes, not meanings: conditions, codes that do not exist and things that do not fit together
are found by `validate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import click
import orjson
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from regiongate.cli.policy.descriptions import DESCRIPTIONS
from regiongate.documents import Model
from regiongate.keys.stores.file import KeyFile
from regiongate.policy.cases import CaseFile
from regiongate.policy.schema import PolicyFile
from regiongate.runtime.config import Settings

FILES: Final[Mapping[str, type[Model]]] = {
    "policy": PolicyFile,
    "config": Settings,
    "keys": KeyFile,
    "cases": CaseFile,
}
"""The model of each kind of file."""

_DURATION: Final = {"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d|w)$"}
_MOMENT: Final = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.,]+.*)?$"}
_WRITTEN: Final[Mapping[str, Mapping[str, Any]]] = {
    "Listen.socket_mode": {"type": "string", "pattern": "^0?[0-7]{3}$", "default": "0660"}
}
"""Keys whose values are written in another way than the model holds them."""


@click.command()
@click.argument("file", type=click.Choice(list(FILES)), default="policy")
def schema(file: str) -> None:
    """Print the JSON Schema of policy.yaml, of the configuration, of key files or of tables.

    In a file: # yaml-language-server: $schema=policy.schema.json
    """
    click.echo(orjson.dumps(json_schema(FILES[file]), option=orjson.OPT_INDENT_2))


def json_schema(model: type[Model]) -> dict[str, Any]:
    """Make the JSON Schema of a file."""
    return model.model_json_schema(schema_generator=_Generator)


class _Generator(GenerateJsonSchema):
    """Describes values as an operator writes them, and each key in words."""

    def generate(
        self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation"
    ) -> JsonSchemaValue:
        return {"$schema": self.schema_dialect, **super().generate(schema, mode)}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Describe a mapping, and its keys by the class that they come from."""
        made = super().model_schema(schema)
        made.pop("title", None)
        for name, value in made.get("properties", {}).items():
            value.pop("title", None)
            value.update(_described(schema["cls"], name))
            value.update(_WRITTEN.get(f"{schema['cls'].__name__}.{name}", {}))
        return made

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Describe a mapping with keys of the operator's choice; none may be misspelt."""
        made = super().dict_schema(schema)
        if "patternProperties" in made:
            made["additionalProperties"] = False
        return made

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:  # noqa: ARG002 all look the same
        """Describe a duration such as 24h."""
        return dict(_DURATION)

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:  # noqa: ARG002 all look the same
        """Describe a moment; where a zone is named beside it, it may do without an offset."""
        return dict(_MOMENT)

    def encode_default(self, dft: Any) -> Any:
        """Write a default as an operator would."""
        if isinstance(dft, Model):
            return {name: self.encode_default(value) for name, value in dft if value is not None}
        if isinstance(dft, timedelta):
            return f"{dft.total_seconds():g}s"
        return super().encode_default(dft)


def _described(model: type[Model], key: str) -> dict[str, str]:
    names = [*(f"{one.__name__}.{key}" for one in model.__mro__), key]
    return next(({"description": DESCRIPTIONS[one]} for one in names if one in DESCRIPTIONS), {})
