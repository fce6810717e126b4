"""Select the attacks that can run; those that cannot run or see nothing are listed with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from memberscan.attacks import Attack, UpdateAttack
from memberscan.errors import BadInputError

SAME_FOR_ALL = "what it reads of this model is the same for every scan, so it saw nothing"
NOTHING_SEEN = "no update that this attacker looked at shows anything that it reads, so it saw nothing"

A = TypeVar("A", Attack, Attack | UpdateAttack)


def runnable(chosen: Sequence[A], not_run: Mapping[str, str]) -> dict[str, A]:
    """Return the attacks that are left, by name.

    Raises
    ------
    BadInputError
        With the reasons of all others, if none is left.
    """
    attacks = {attack.name: attack for attack in chosen if attack.name not in not_run}
    if not attacks:
        reasons = "; ".join(f"{attack} {reason}" for attack, reason in not_run.items())
        raise BadInputError(f"none of the attacks can be run: {reasons}; choose other attacks")
    return attacks
