"""Select the attacks that can run, and describe what each sees and uses.

Attacks that cannot run, or that saw nothing, are listed with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memberscan.attacks import Attack
from memberscan.attacks.availability import needed_access, obstacle
from memberscan.errors import BadInputError
from memberscan.evidence.scores import Scores
from memberscan.report.outcome import AttackFacts
from memberscan.targets import Target

Selected = tuple[dict[str, Attack], dict[str, str]]
"""Attacks that are left, and the reasons of the others, by name."""


def available(chosen: Sequence[Attack], target: Target) -> Selected:
    """Return the attacks that can be run on a target by its attacker.

    Raises
    ------
    BadInputError
        With the reasons of all, if none can be run although the target does not conceal everything.
    """
    not_run = {attack.name: reason for attack in chosen if (reason := obstacle(attack, target))}
    if target.conceals:
        return {}, not_run
    return _rest(chosen, not_run), not_run


def that_saw_something(
    attacks: Mapping[str, Attack],
    scores: Sequence[Scores | None],
    not_run: Mapping[str, str],
    target: Target,
) -> Selected:
    """Return the attacks that have scores; the others saw the same values for everybody, or nothing."""
    blind = {name: target.saw_nothing for name, found in zip(attacks, scores, strict=True) if found is None}
    reasons = {**not_run, **blind}
    return (_rest(list(attacks.values()), reasons) if attacks else {}), reasons


def attack_facts(attacks: Mapping[str, Attack], target: Target) -> dict[str, AttackFacts]:
    """Return what a report says about each attack that ran."""
    return {
        name: AttackFacts(name, attack.title, needed_access(attack, target.threat).value, attack.learns)
        for name, attack in attacks.items()
    }


def _rest(chosen: Sequence[Attack], not_run: Mapping[str, str]) -> dict[str, Attack]:
    attacks = {attack.name: attack for attack in chosen if attack.name not in not_run}
    if not attacks:
        reasons = "; ".join(f"{attack} {reason}" for attack, reason in not_run.items())
        raise BadInputError(f"none of the attacks can be run: {reasons}; choose other attacks")
    return attacks
