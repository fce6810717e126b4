"""Whether an attack can be run: decided only here, by its signals and by the people the attacker knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from memberscan.signals import Provider, Signal, by_provider
from memberscan.signals.reference_models import REFERENCES
from memberscan.signals.round_predictions import PREDICTIONS_BY_ROUND
from memberscan.threat import Access, Attacker, ThreatModel

if TYPE_CHECKING:
    from memberscan.attacks.attack import Attack
    from memberscan.targets import Target


def obstacle(attack: Attack, target: Target) -> str | None:
    """Return why an attack cannot be run on this target by its attacker, or None.

    The reason is written to follow the attack's name.

    Cheap checks come first: what the target has, what the attacker sees, and which people it knows. Whether
    the model gives the signals may require running it, and is checked last.
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
    if (service := target.service) is not None and (hidden := _hidden(asked)):
        return f"needs more than predictions ({hidden}), and a service ({service.name}) gives only these"
    if attack.others > (others := target.most_others()):
        return (
            f"needs at least {attack.others} other learners in a round; this attacker sees at most {others}"
        )
    if attack.learns and (nobody := target.nothing_to_learn_from):
        return nobody
    if attack.nonmembers > (count := target.known_people[1]):
        return (
            f"needs at least {attack.nonmembers} known non-members to learn from; this attacker knows {count}"
        )
    for provider, signals in asked.items():
        if failing := provider.not_taken(signals, target):
            return failing
    return None


def _hidden(asked: Mapping[Provider, Sequence[Signal]]) -> str:
    """Return the names of the signals that a service does not show, or an empty text."""
    every = [(provider, signal) for provider, signals in asked.items() for signal in signals]
    return " and ".join(str(signal) for by, signal in every if by.behind_service(signal) == "hidden")


def needed_access(attack: Attack, threat: ThreatModel) -> Access:
    """Return the greatest access to the target that the attack needs."""
    every = tuple(Access)
    needed = (provider.needed_access(threat) for provider in by_provider(attack.reads))
    return max(needed, key=every.index, default=Access.OUTPUTS)


def tried_by_default(
    attack: Attack, threat: ThreatModel, *, references: bool = False, checkpoints: bool = False
) -> bool:
    """Tell whether this attacker tries an attack unasked; see :func:`suits`."""
    return not attack.on_request and suits(attack, threat, references=references, checkpoints=checkpoints)


def adds(attack: Attack, target: Target) -> bool:
    """Tell whether an attack reads only signals that can say something of this target: see Provider.adds."""
    return all(provider.adds(signals, target) for provider, signals in by_provider(attack.reads).items())


def suits(
    attack: Attack, threat: ThreatModel, *, references: bool = False, checkpoints: bool = False
) -> bool:
    """Tell whether an attack is one of this attacker's, whether or not it can see the signals.

    Parameters
    ----------
    attack, threat
        The attack and the attacker.
    references
        Whether the target comes with reference models; without them nobody tries attacks that need some.
    checkpoints
        Whether an outsider has models that were kept in training; a learner sees those of every round anyway.
    """
    providers = by_provider(attack.reads)
    if REFERENCES in providers and not references:
        return False
    if PREDICTIONS_BY_ROUND in providers and threat.attacker is Attacker.OUTSIDER and not checkpoints:
        return False
    return all(threat.attacker in provider.attackers for provider in providers)
