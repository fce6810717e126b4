"""The published JSON Schema of comparison.json: ``python -m memberscan.comparison.schema`` prints it."""

from __future__ import annotations

import json
from typing import Any

from memberscan.comparison.content import COMPARISON_SCHEMA, ComparisonContent
from memberscan.report.schema import schema_of


def published() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12)."""
    return schema_of(ComparisonContent, COMPARISON_SCHEMA)


if __name__ == "__main__":
    print(json.dumps(published(), indent=2))
