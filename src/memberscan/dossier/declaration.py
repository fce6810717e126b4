"""What a person declares when a dossier is made; it is kept among the inputs."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from memberscan.dossier.content import Context
from memberscan.report.content.parts import AuditName, AuditNote, Day, Many, Part

DECLARATION_SCHEMA: Final = "memberscan.declaration/1"
Export = Literal["sacro", "model-card", "monai", "bids"]


class Declaration(Part):
    """The content of inputs/declaration.json."""

    schema_name: Literal["memberscan.declaration/1"] = Field(alias="schema")
    """Name and version of this schema."""
    context: Context
    """How the model is to be released."""
    name: AuditName | None
    """What the release is called; null where nothing was given."""
    note: AuditNote | None
    """A note; null where nothing was given."""
    date: Day
    """UTC day on which the dossier was made."""
    exports: Many[Export]
    """Which exports it has."""
