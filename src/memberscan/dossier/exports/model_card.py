"""A section for a model card: Markdown, with the metadata that the Hugging Face Hub reads in front."""

from __future__ import annotations

from typing import Any

from memberscan.dossier.content import AttackerRow, DossierContent
from memberscan.dossier.exports.yaml_text import yaml_of
from memberscan.dossier.sources import Sources
from memberscan.report import words

CARD = "README.md"


def files_of(sources: Sources, content: DossierContent) -> dict[str, bytes]:
    """Return the files of the export by name."""
    return {CARD: f"---\n{yaml_of(_metadata(sources, content))}---\n\n{_section(content)}".encode()}


def _metadata(sources: Sources, content: DossierContent) -> dict[str, Any]:
    """Return the metadata: tags, and one result for each attacker with an AUC."""
    results = [
        {
            "task": {"type": "other", "name": f"Membership inference: {row.name}"},
            "dataset": {"type": "private", "name": _data(sources)},
            "metrics": [
                {"type": "auc", "name": f"AUC of {row.average.attack}", "value": row.average.auc.value}
            ],
        }
        for row in content.attackers
        if row.average is not None
    ]
    found: dict[str, Any] = {"tags": ["neuroimaging", "privacy", "membership-inference", "memberscan"]}
    if results:
        found["model-index"] = [{"name": content.declared.name or content.model, "results": results}]
    return found


def _data(sources: Sources) -> str:
    first = next(iter(sources.audits), None)
    if first is None:
        return "training set and people outside it"
    target = first.content.target
    return f"{target.members} members and {target.nonmembers} non-members"


def _section(content: DossierContent) -> str:
    decision, declared = content.decision, content.declared
    lines = [
        "## Privacy of the people in the training set",
        "",
        f"**{decision.outcome.capitalize()}** (context: {declared.context}). {decision.sentence}",
        "",
        "| Attacker | Sees | Outcome | AUC (95% interval) |",
        "|---|---|---|---|",
        *(_row(row) for row in content.attackers),
        "",
        "An AUC of 0.50 is chance. An attacker without a shown leak is no proof that nothing leaks.",
        "",
        *_listed("Missing for a decision in this context:", decision.missing),
        *_listed("What the audits cannot show:", content.limits),
        f"From the dossier of {declared.date}, by memberscan {content.memberscan}. It is no legal advice.",
        "",
    ]
    if content.synthetic:
        lines.insert(2, "The scans are a synthetic phantom; the numbers say nothing about real people.\n")
    return "\n".join(lines)


def _row(row: AttackerRow) -> str:
    outcome = words.LABELS[row.outcome] if row.outcome else row.state
    auc = "n/a"
    if row.average is not None:
        auc = f"{words.fraction(row.average.auc.value)} ({words.span(row.average.auc)})"
    return f"| {_cell(row.name)} | {row.sees} | {outcome} | {auc} |"


def _cell(text: str) -> str:
    """Return text that does not end a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _listed(title: str, items: tuple[str, ...]) -> list[str]:
    return [title, "", *(f"- {item}" for item in items), ""] if items else []
