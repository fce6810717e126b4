"""Attacks: each turns what an attacker sees into one score a scan, higher for a likelier member."""

from memberscan.attacks.activation import ACTIVATIONS
from memberscan.attacks.base import Attack, Features, Needs, Rule
from memberscan.attacks.combined import COMBINED
from memberscan.attacks.error import ERROR, ZERO_KNOWLEDGE_ERROR
from memberscan.attacks.gradient import gradient_attack
from memberscan.attacks.gradient_magnitude import GRADIENT_MAGNITUDE, ZERO_KNOWLEDGE_GRADIENT
from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.attacks.prediction_label import PREDICTION_LABEL
from memberscan.errors import UnknownAttackError

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
    )
}
DEFAULT_ATTACKS = tuple(REGISTRY)


def named(name: str) -> Attack:
    """Return the attack of that name; ``gradient:LAYER`` is one for any layer.

    Raises
    ------
    UnknownAttackError
        If there is none.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    prefix, _, layer = name.partition(":")
    if prefix == "gradient" and layer:
        return gradient_attack(layer)
    raise UnknownAttackError(
        f"attack {name!r} is unknown; choose from {', '.join(REGISTRY)}, or gradient:LAYER"
    )


__all__ = [
    "DEFAULT_ATTACKS",
    "REGISTRY",
    "Attack",
    "Block",
    "Features",
    "LearnedAttack",
    "Needs",
    "Rule",
    "gradient_attack",
    "named",
]
