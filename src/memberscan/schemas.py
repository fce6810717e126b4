"""The published JSON Schemas of all reports, generated from the types of their content.

``python -m memberscan.schemas KIND`` prints one: audit, consortium, comparison, dossier or inspection.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from memberscan.comparison.content import COMPARISON_SCHEMA, ComparisonContent
from memberscan.dossier.content import DOSSIER_SCHEMA, DossierContent
from memberscan.inspection.content import INSPECTION_SCHEMA, InspectionContent
from memberscan.report.content.audit_json import SCHEMA, AuditContent
from memberscan.report.content.consortium_json import CONSORTIUM_SCHEMA, ConsortiumContent
from memberscan.report.content.parts import Part

CONTENTS: Final[Mapping[str, type[Part]]] = MappingProxyType(
    {
        SCHEMA: AuditContent,
        CONSORTIUM_SCHEMA: ConsortiumContent,
        COMPARISON_SCHEMA: ComparisonContent,
        DOSSIER_SCHEMA: DossierContent,
        INSPECTION_SCHEMA: InspectionContent,
    }
)
"""The content of each file, by the name of the schema that it states."""


@functools.cache
def published(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a name that files state, such as ``memberscan.audit/1``."""
    generated = CONTENTS[name].model_json_schema(by_alias=True, schema_generator=_Generator)
    kind, number = _kind(name), name.rpartition("/")[2]
    about = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:memberscan:{kind}:{number}",
        "title": f"memberscan {kind}, version {number}",
    }
    schema: dict[str, Any] = _on_one_line({**generated, **about})
    # Its name first, where readers look for it.
    return {**about, **schema}


def _kind(name: str) -> str:
    return name.removeprefix("memberscan.").partition("/")[0]


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


def main(arguments: list[str]) -> int:
    """Print the schema of the kind of file that the only argument names."""
    names = {_kind(name): name for name in CONTENTS}
    if len(arguments) != 1 or arguments[0] not in names:
        print(f"name one kind of file: {', '.join(names)}", file=sys.stderr)
        return 2
    print(json.dumps(published(names[arguments[0]]), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
