"""Whether an attack can be run: decided here alone, by its signals and by whom the attacker knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memberscan.signals import by_provider
from memberscan.threat import Access, ThreatModel

if TYPE_CHECKING:
    from memberscan.attacks.attack import Attack
    from memberscan.targets import Target


def obstacle(attack: Attack, target: Target) -> str | None:
    """Return why an attack cannot be run on this target by its attacker, or None.

    The reason is written to follow the attack's name.

    What costs nothing to know is asked first: what the target has, what the attacker sees, and whom it knows.
    Whether the model gives the signals may need a run of it, and comes last.
    """
    threat, asked = target.threat, by_provider(attack.reads)
    if target.conceals:
        return target.conceals
    for provider, signals in asked.items():
        if lacking := target.lacks(provider.access) or provider.absent(signals, target):
            return lacking
    for provider in asked:
        if not provider.seen_by(threat):
            return provider.out_of_sight(threat)
    if attack.others > (others := target.most_others()):
        return (
            f"compares with {attack.others} other learners or more; this attacker sees {others} in any round "
            "that it looks at"
        )
    if attack.learns and (nobody := target.nothing_to_learn_from):
        return nobody
    for provider, signals in asked.items():
        if failing := provider.not_taken(signals, target):
            return failing
    return None


def needed_access(attack: Attack, threat: ThreatModel) -> Access:
    """Return the most that this attacker must see of the target for the attack."""
    every = tuple(Access)
    needed = (provider.needed_access(threat) for provider in by_provider(attack.reads))
    return max(needed, key=every.index, default=Access.OUTPUTS)


def tried_by_default(attack: Attack, threat: ThreatModel) -> bool:
    """Tell whether an attacker in this place would try an attack, whatever it can see from there."""
    return all(threat.attacker in provider.attackers for provider in by_provider(attack.reads))
