"""What this audit says nothing about: other ways to release the model, and other kinds of attack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memberscan.report import words
from memberscan.report.content.audit_json import AuditContent
from memberscan.report.content.finding_json import Finding
from memberscan.report.page_section import Section
from memberscan.report.table_cells import Cell, Table

_WITH_REFERENCES = (
    "Membership inference with reference models",
    "Other models, trained on similar people, show which predictions are unusual. This is usually the "
    "strongest attack, especially where false alarms must be few. Train some with memberscan references, "
    "and audit again with --references.",
)
_ON_CHECKPOINTS = "loss-series"
"""Names of attacks from outside that read models of the training begin so."""
_OTHER_ATTACKS = (
    ("Reconstruction", "Recovering scans, or parts of them, from the model or from its updates."),
    ("Attribute inference", "Inferring a person’s sex, diagnosis or other facts from the model."),
    ("Linkage", "Finding out that scans in two data sets or releases are of the same person."),
    ("Collusion", "Several parties of a federation combining what they see."),
)


@dataclass(frozen=True)
class NotTried:
    """What the section shows."""

    contexts: Table
    attacks: Table


@dataclass(frozen=True)
class _Context:
    """One way to release a model: what an attacker then sees, the findings about it, and how to audit it."""

    name: str
    sees: str
    findings: Sequence[Finding]
    option: str


def data(audit: AuditContent) -> NotTried:
    """Return what the section shows."""
    return NotTried(context_table(audit), other_attack_table(audit))


def context_table(audit: AuditContent) -> Table:
    """Return the ways to release a model, and which of them this audit covers."""
    rows = [[Cell(each.name, each.sees), _audited(each)] for each in _contexts(audit)]
    if audit.federation is None and audit.target.kind == "run":
        rows.append([Cell("Federation", "The model was trained by one party."), Cell("does not apply")])
    caption = (
        "The ways to release or train a model, with what an attacker sees. A result for one of them says "
        "nothing about the others. Where one was not audited, the option of memberscan audit for it is given."
    )
    return Table(caption, ("Release", "This audit"), rows)


def _contexts(audit: AuditContent) -> list[_Context]:
    attacker = audit.threat.attacker
    outside = audit.findings if attacker == "outsider" else ()
    by_outputs = [finding for finding in outside if finding.access == "outputs"]
    # Who has checkpoints has the finished model, too, and an attacker that has the weights the predictions.
    finished = [finding for finding in outside if not finding.attack.startswith(_ON_CHECKPOINTS)]
    by_weights = finished if len(by_outputs) < len(finished) else ()
    by_checkpoints = outside if len(finished) < len(outside) else ()
    contexts = [
        _Context("Query service", "Predictions of the final model.", by_outputs, "--access outputs"),
        _Context("Published weights", "The final model itself.", by_weights, "--access weights"),
        _Context(
            "Checkpoints of the training",
            "The final model, and models that were kept before the end.",
            by_checkpoints,
            "--access weights --checkpoints DIR",
        ),
    ]
    if audit.federation is None and audit.target.kind == "run":
        return contexts
    parties = (
        ("other learners", "The global model of every round.", ("learner",)),
        ("the server", "Every learner’s model in every round.", ("server", "active-server")),
        ("sums only", "The sum of the learners’ models in every round.", ("aggregate",)),
    )
    return contexts + [
        _Context(
            f"Federation: {name}",
            sees,
            audit.findings if attacker in attackers else (),
            f"--attacker {attackers[0]}",
        )
        for name, sees, attackers in parties
    ]


def _audited(context: _Context) -> Cell:
    if not context.findings:
        return Cell("not audited", context.option)
    return Cell("audited", words.people(len(context.findings), "attack"))


def other_attack_table(audit: AuditContent) -> Table:
    """Return kinds of attack that this audit did not try."""
    tried = audit.references is not None
    kinds = _OTHER_ATTACKS if tried else (_WITH_REFERENCES, *_OTHER_ATTACKS)
    rows = [[Cell(name), Cell(what)] for name, what in kinds]
    return Table("Kinds of attack that this audit did not try.", ("Attack", "What it does"), rows)


SECTION = Section(__name__, "not-tried", "What was not tried", data)
