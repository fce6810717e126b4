"""All that the inputs say for one context, from which a dossier decides and fills its headings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from memberscan.dossier import facts
from memberscan.dossier.content import (
    Alternative,
    AttackerRow,
    ControlRow,
    CoverageRow,
    Fact,
    Files,
    Measure,
)
from memberscan.dossier.contexts import ReleaseContext
from memberscan.dossier.controls import control_rows
from memberscan.dossier.coverage import coverage_rows
from memberscan.dossier.evidence import attacker_rows
from memberscan.dossier.inspected import files_of
from memberscan.dossier.measures import alternatives_of, measures_of
from memberscan.dossier.sources import Audited, Sources


@dataclass(frozen=True)
class Known:
    """What is known for one context.

    Parameters
    ----------
    audits
        The audits, with their files.
    attackers, coverage
        Attackers that the context implies, and classes of attack.
    files
        What the files of the release give away; None where they were not inspected.
    measures, alternatives, controls
        What protects people, which other recipes there are, and checks on the audits.
    """

    audits: Sequence[Audited]
    attackers: Sequence[AttackerRow]
    coverage: Sequence[CoverageRow]
    files: Files | None
    measures: Sequence[Measure]
    alternatives: Sequence[Alternative]
    controls: Sequence[ControlRow]

    @classmethod
    def of(cls, context: ReleaseContext, sources: Sources) -> Self:
        """Return what the inputs say for a context."""
        files, audits = files_of(sources), sources.audits
        attackers = attacker_rows(context.attackers, sources, files)
        return cls(
            audits=audits,
            attackers=attackers,
            coverage=coverage_rows(context.name, sources, attackers, files),
            files=files,
            measures=measures_of(audits),
            alternatives=alternatives_of(sources),
            controls=control_rows(audits),
        )

    def told(self, *tells: facts.Tell) -> list[Fact]:
        """Return what some functions say of every audit."""
        return facts.told(self.audits, *tells)

    def measured(self, *stages: str) -> list[Fact]:
        """Return the measures of some stages."""
        return facts.of_measures(self.measures, *stages)
