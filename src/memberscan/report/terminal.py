"""The findings of one or several audits as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from memberscan.report import guaranteed, ranking, words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.validation import agreeing, check
from memberscan.shown import plain

_COLOURS = {
    "leaks": "bold red",
    "no leak shown": "bold blue",
    "inconclusive": "bold yellow",
    "confounded": "bold magenta",
}


@agreeing
def terminal_table(audits: Mapping[str, AuditContent | Mapping[str, Any]]) -> RenderableType:
    """Return a renderable with the verdict, what canaries show, and the findings, strongest first.

    Parameters
    ----------
    audits
        Contents of audit.json by the name under which each is shown.

    Raises
    ------
    AuditFileError
        If one of them is incomplete, or of a schema this version does not know.
    """
    parts: list[RenderableType] = []
    for name, audit in audits.items():
        parts += _one(name, check(audit))
    return Group(*parts)


def _one(name: str, audit: AuditContent) -> list[RenderableType]:
    verdict, target = audit.verdict, audit.target
    heading = Text.assemble(
        (plain(name), "bold"), "  ", (words.LABELS[verdict.label].upper(), _COLOURS[verdict.label])
    )
    about = f"{words.people(target.members, 'member')}, {words.people(target.nonmembers, 'non-member')}"
    if target.synthetic:
        about += ", synthetic phantom"
    heading.append(f"  {about}", "dim")
    parts: list[RenderableType] = [heading, Text(verdict.sentence), *_of_guarantee(audit)]
    if audit.findings:
        parts.append(_findings(audit))
    if hidden := words.hidden_difference(verdict):
        parts.append(Text(hidden, "dim"))
    if unused := words.unused_columns(audit.checks.blind):
        parts.append(Text(f"Not used as covariates: {unused}.", "dim"))
    if audit.not_run:
        names = words.listed([entry.attack for entry in audit.not_run])
        parts.append(Text(f"Not run: {names} (the report says why).", "dim"))
    return [*parts[:-1], Padding(parts[-1], (0, 0, 1, 0))]


def _of_guarantee(audit: AuditContent) -> list[Text]:
    """Return whether canaries or attacks go beyond what the training guarantees."""
    parts = []
    if (said := guaranteed.in_words(audit)) is not None:
        sentence, warning = said
        parts.append(Text(sentence, "bold red" if warning else "dim"))
    if guaranteed.beyond(audit):
        parts.append(Text("An attack found more members than the guarantee allows (see the report).", "red"))
    return parts


def _findings(audit: AuditContent) -> Table:
    basis, findings = ranking.basis(audit), ranking.ranked(audit)
    by_p_values = basis.rule == "permutation"
    level = words.percent(findings[0].auc.simultaneous.level)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("Attack", overflow="fold")
    table.add_column("Sees")
    table.add_column("AUC in strata" if ranking.within_strata(audit) else "AUC", justify="right")
    table.add_column("95% interval", no_wrap=True)
    table.add_column("p-value" if by_p_values else f"At least, {level}", justify="right")
    table.add_column("Accuracy", justify="right")
    for finding in findings:
        auc, name = ranking.judged_auc(audit, finding), finding.attack
        decides = words.p_value(finding.p_value) if by_p_values else words.at_least(auc.simultaneous.low)
        table.add_row(
            Text(name if len(name) <= 22 else name.replace("+", "\n+")),
            finding.access,
            words.fraction(auc.value),
            words.span(auc),
            Text(decides, "bold" if finding.attack in basis.shown else ""),
            words.percent(finding.accuracy.value),
        )
    return table
