"""Select the attacks that can run, and describe what each sees and uses.

Attacks that cannot run, or that saw nothing, are listed with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memberscan.attacks import Attack
from memberscan.attacks.availability import needed_access, obstacle
from memberscan.errors import BadInputError
from memberscan.evidence.scores import Scores
from memberscan.report.outcome import AttackFacts
from memberscan.targets import Target


@dataclass(frozen=True)
class Selection:
    """Which attacks run.

    Parameters
    ----------
    attacks
        By name.
    about
        What a report says of each of them.
    not_run
        Reasons of the others, by name.
    """

    attacks: Mapping[str, Attack]
    about: Mapping[str, AttackFacts]
    not_run: Mapping[str, str]

    def without(self, reasons: Mapping[str, str]) -> Selection:
        """Return what is left where further attacks did not run.

        Raises
        ------
        BadInputError
            With the reasons of all, if none is left.
        """
        kept = {name: attack for name, attack in self.attacks.items() if name not in reasons}
        not_run = {**self.not_run, **reasons}
        if self.attacks and not kept:
            told = "; ".join(f"{attack} {reason}" for attack, reason in not_run.items())
            raise BadInputError(f"none of the attacks can be run: {told}; choose other attacks")
        return Selection(kept, {name: self.about[name] for name in kept}, not_run)


def available(chosen: Sequence[Attack], target: Target) -> Selection:
    """Return the attacks that can be run on a target by its attacker.

    Raises
    ------
    BadInputError
        With the reasons of all, if none can be run although the target does not conceal everything.
    """
    about = {
        attack.name: AttackFacts(
            attack.name, attack.title, needed_access(attack, target.threat).value, attack.learns
        )
        for attack in chosen
    }
    not_run = {attack.name: reason for attack in chosen if (reason := obstacle(attack, target))}
    if target.conceals:
        return Selection({}, {}, not_run)
    return Selection({attack.name: attack for attack in chosen}, about, {}).without(not_run)


def that_saw_something(selection: Selection, scores: Sequence[Scores | None], target: Target) -> Selection:
    """Return the attacks that have scores; the others saw the same of everybody, or nothing at all."""
    named = zip(selection.attacks, scores, strict=True)
    return selection.without({name: target.saw_nothing for name, found in named if found is None})
