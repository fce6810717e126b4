"""The published JSON Schemas, generated from the types of the content.

``python -m memberscan.report.schema`` prints that of audit.json, with the argument ``consortium`` that of
consortium.json.
"""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from memberscan.report.content.audit_json import SCHEMA, AuditContent
from memberscan.report.content.consortium_json import CONSORTIUM_SCHEMA, ConsortiumContent
from memberscan.report.content.parts import Part

_CONTENTS: dict[str, type[Part]] = {SCHEMA: AuditContent, CONSORTIUM_SCHEMA: ConsortiumContent}


@functools.cache
def published(name: str = SCHEMA) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of that name."""
    return schema_of(_CONTENTS[name], name)


def schema_of(content: type[Part], name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a type of content, under the name that files state."""
    generated = content.model_json_schema(by_alias=True, schema_generator=_Generator)
    kind, _, number = name.removeprefix("memberscan.").partition("/")
    about = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:memberscan:{kind}:{number}",
        "title": f"memberscan {kind}, version {number}",
    }
    schema: dict[str, Any] = _on_one_line({**generated, **about})
    # Its name first, where readers look for it.
    return {**about, **schema}


class _Generator(GenerateJsonSchema):
    """Generates schemas without titles, which would repeat the names of keys."""

    def field_title_should_be_set(self, _: Any) -> bool:
        """Give no key a title."""
        return False


def _on_one_line(rule: Any) -> Any:
    """Return a schema whose descriptions, which are docstrings, have no line breaks."""
    if isinstance(rule, list):
        return [_on_one_line(inner) for inner in rule]
    if not isinstance(rule, dict):
        return rule
    text = rule.get("description")
    said = {"description": " ".join(text.split())} if isinstance(text, str) else {}
    return {key: _on_one_line(inner) for key, inner in rule.items()} | said


if __name__ == "__main__":
    asked = CONSORTIUM_SCHEMA if sys.argv[1:] == ["consortium"] else SCHEMA
    print(json.dumps(published(asked), indent=2))
