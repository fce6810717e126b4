"""The published JSON Schema of dossier.json: ``python -m memberscan.dossier.schema`` prints it."""

from __future__ import annotations

import json
from typing import Any

from memberscan.dossier.content import DOSSIER_SCHEMA, DossierContent
from memberscan.report.schema import schema_of


def published() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12)."""
    return schema_of(DossierContent, DOSSIER_SCHEMA)


if __name__ == "__main__":
    print(json.dumps(published(), indent=2))
