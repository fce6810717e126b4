"""What could be done after a dossier: ways on, none of which it recommends over another."""

from __future__ import annotations

from collections.abc import Sequence

from memberscan.dossier.content import Alternative, OtherContext, Outcome
from memberscan.dossier.known import Known
from memberscan.report import words


def options_of(outcome: Outcome, known: Known, others: Sequence[OtherContext]) -> tuple[str, ...]:
    """Return what could be done, in the order in which it is least work."""
    said = []
    if known.files is not None and known.files.outcome == "leaks":
        said.append("Mend or leave out the files that hold data about people, and inspect the release again.")
    if outcome == "evidence is missing":
        said.append("Do what is listed as missing, and make the dossier again.")
    if any(row.outcome == "leaks" and row.sees != "files" for row in known.attackers):
        said += _after_a_leak(others, known.alternatives)
    if outcome == "no leak shown":
        said.append(
            "Have the classes of attack tested that were not run, or state why their risk is accepted."
        )
    said.append("Release under conditions, such as who gets access and for what, and record who checks them.")
    if outcome == "leak found":
        said.append("Do not release.")
    return tuple(said)


def _after_a_leak(others: Sequence[OtherContext], alternatives: Sequence[Alternative]) -> list[str]:
    said = []
    if quiet := [each.context for each in others if each.outcome == "no leak shown"]:
        said.append(f"Release in another context, of which no leak is shown: {words.listed(quiet)}.")
    if alternatives:
        said.append("Train again with one of the other recipes under “Measures”, and audit that model.")
    else:
        said.append(
            "Train again with a defence, audit that model, and compare both (memberscan frontier, memberscan "
            "compare)."
        )
    return said
