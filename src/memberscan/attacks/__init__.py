"""Attacks: each turns what an attacker sees into one score per scan, higher for a likelier member."""

from memberscan.attacks.activation import ACTIVATIONS
from memberscan.attacks.active import GRADIENT_ASCENT
from memberscan.attacks.base import Attack, Features, Needs, Rule
from memberscan.attacks.combined import COMBINED
from memberscan.attacks.error import ERROR, ZERO_KNOWLEDGE_ERROR
from memberscan.attacks.gradient import gradient_attack
from memberscan.attacks.gradient_magnitude import GRADIENT_MAGNITUDE, ZERO_KNOWLEDGE_GRADIENT
from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.attacks.loss_series import LOSS_SERIES, ZERO_KNOWLEDGE_LOSS_SERIES
from memberscan.attacks.prediction_label import PREDICTION_LABEL
from memberscan.attacks.updates import UPDATE_ATTACKS, UpdateAttack
from memberscan.errors import UnknownAttackError
from memberscan.threat import Attacker

REGISTRY: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        ERROR,
        PREDICTION_LABEL,
        ACTIVATIONS,
        GRADIENT_MAGNITUDE,
        gradient_attack("conv1"),
        gradient_attack("conv6"),
        gradient_attack("output"),
        COMBINED,
        ZERO_KNOWLEDGE_ERROR,
        ZERO_KNOWLEDGE_GRADIENT,
        LOSS_SERIES,
        ZERO_KNOWLEDGE_LOSS_SERIES,
    )
}
DEFAULT_ATTACKS = tuple(name for name, attack in REGISTRY.items() if not attack.needs.rounds)
ATTACKS_OF: dict[Attacker, tuple[str, ...]] = {
    Attacker.OUTSIDER: DEFAULT_ATTACKS,
    Attacker.LEARNER: tuple(REGISTRY),
    Attacker.SERVER: tuple(UPDATE_ATTACKS),
    Attacker.ACTIVE_SERVER: (GRADIENT_ASCENT.name,),
    Attacker.AGGREGATE: tuple(UPDATE_ATTACKS),
}
"""What each attacker tries unless it is said otherwise."""


def named(name: str) -> Attack | UpdateAttack:
    """Return the attack of that name; ``gradient:LAYER`` is one for any layer.

    Raises
    ------
    UnknownAttackError
        If there is none.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    if name in UPDATE_ATTACKS:
        return UPDATE_ATTACKS[name]
    if name == GRADIENT_ASCENT.name:
        return GRADIENT_ASCENT
    prefix, _, layer = name.partition(":")
    if prefix == "gradient" and layer:
        return gradient_attack(layer)
    raise UnknownAttackError(
        f"attack {name!r} is unknown; "
        f"choose from {', '.join([*REGISTRY, *UPDATE_ATTACKS, GRADIENT_ASCENT.name])}, or gradient:LAYER"
    )


__all__ = [
    "ATTACKS_OF",
    "DEFAULT_ATTACKS",
    "GRADIENT_ASCENT",
    "REGISTRY",
    "UPDATE_ATTACKS",
    "Attack",
    "Block",
    "Features",
    "LearnedAttack",
    "Needs",
    "Rule",
    "UpdateAttack",
    "gradient_attack",
    "named",
]
