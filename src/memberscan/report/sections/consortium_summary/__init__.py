"""The first screen of a consortium's page: what the audits say together, and which attackers they assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memberscan.report import words
from memberscan.report.content.consortium_json import ConsortiumContent, JoinedAudit
from memberscan.report.content.parts import Attacker
from memberscan.report.page_section import Section

_WHO: dict[Attacker, str] = {
    "outsider": "An outsider holds the final model, or may query it.",
    "learner": "A learner sees the global model of every round, and attacks the people of the others.",
    "server": "A server receives what every learner sends, and follows the protocol.",
    "active-server": "An active server changes the model that it sends out. This was simulated.",
    "aggregate": "An attacker sees sums over all learners, but no learner’s own model.",
}
_BY: dict[Attacker, str] = {
    "outsider": "outsiders",
    "learner": "other learners",
    "server": "the server",
    "active-server": "an active server",
    "aggregate": "an attacker who sees sums",
}


@dataclass(frozen=True)
class ConsortiumSummary:
    """What the first screen shows; ``synthetic`` is None if no scan is of a phantom."""

    audits: int
    verdicts: str
    synthetic: str | None
    answer: str
    attackers: list[str]
    not_run: bool


def data(content: ConsortiumContent) -> ConsortiumSummary:
    """Return what the first screen shows."""
    return ConsortiumSummary(
        audits=len(content.audits),
        verdicts=counted(content.audits),
        synthetic=_synthetic([audit.synthetic for audit in content.audits]),
        answer=answer(content),
        attackers=[_WHO[a] for a in dict.fromkeys(entry.attacker for entry in content.entries)],
        not_run=any(entry.not_run for entry in content.entries),
    )


def _synthetic(each: Sequence[bool]) -> str | None:
    if not any(each):
        return None
    return "The scans are" if all(each) else "The scans of some audits are"


def counted(audits: Sequence[JoinedAudit]) -> str:
    """Return how many audits have each verdict, the most serious first."""
    verdicts = [audit.verdict for audit in audits]
    return ", ".join(
        f"{said.lower()} ({verdicts.count(label)})"
        for label, said in words.LABELS.items()
        if label in verdicts
    )


def answer(content: ConsortiumContent) -> str:
    """Return what several audits say together, in a sentence that adds no judgement to theirs."""
    leaking = {audit.entry for audit in content.audits if audit.verdict == "leaks"}
    total = words.people(len(content.audits), "audit")
    if not leaking:
        return f"No leak was shown by {total}. Each audit says what it could have missed."
    count = sum(audit.verdict == "leaks" for audit in content.audits)
    who = dict.fromkeys(_BY[entry.attacker] for entry in content.entries if entry.name in leaking)
    return f"Membership leaks to {words.listed(list(who))}: this was found by {count} of {total}."


SECTION = Section(__name__, "summary", "Summary", data)
