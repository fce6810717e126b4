"""The published JSON Schema of inspection.json: ``python -m memberscan.inspection.schema`` prints it."""

from __future__ import annotations

import json
from typing import Any

from memberscan.inspection.content import INSPECTION_SCHEMA, InspectionContent
from memberscan.report.schema import schema_of


def published() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12)."""
    return schema_of(InspectionContent, INSPECTION_SCHEMA)


if __name__ == "__main__":
    print(json.dumps(published(), indent=2))
