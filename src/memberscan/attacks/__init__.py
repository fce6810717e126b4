"""Attacks: each turns what an attacker sees into one score per scan; higher means more likely a member.

A new attack is one module, and one line in :data:`REGISTRY`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memberscan.attacks.activation import ACTIVATIONS
from memberscan.attacks.answer_jump import ANSWER_JUMP
from memberscan.attacks.attack import Attack, Features, FittedAttack, KnownScans, Rule
from memberscan.attacks.augmented_error import AUGMENTED_ERROR, ZERO_KNOWLEDGE_AUGMENTED
from memberscan.attacks.availability import adds, tried_by_default
from memberscan.attacks.combined import COMBINED
from memberscan.attacks.embedding_norm import EMBEDDING_NORM
from memberscan.attacks.embedding_similarity import EMBEDDING_SIMILARITY, ZERO_KNOWLEDGE_SIMILARITY
from memberscan.attacks.error import ERROR, ZERO_KNOWLEDGE_ERROR
from memberscan.attacks.fedmia import FEDMIA_COSINE, FEDMIA_ERROR
from memberscan.attacks.gradient import gradient_attack
from memberscan.attacks.gradient_alignment import GRADIENT_COSINE, GRADIENT_DIFFERENCE
from memberscan.attacks.gradient_ascent import GRADIENT_ASCENT
from memberscan.attacks.gradient_magnitude import GRADIENT_MAGNITUDE, ZERO_KNOWLEDGE_GRADIENT
from memberscan.attacks.head_outputs import HEAD_LOSS, UNCERTAINTY
from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.attacks.least_squares import LEAST_SQUARES
from memberscan.attacks.leverage_likelihood import LEVERAGE_LIKELIHOOD, LEVERAGE_LIKELIHOOD_REFERENCES
from memberscan.attacks.local_error import LOCAL_ERROR
from memberscan.attacks.loss_series import LOSS_SERIES, ZERO_KNOWLEDGE_LOSS_SERIES
from memberscan.attacks.multi_feature import MULTI_FEATURE
from memberscan.attacks.prediction_label import PREDICTION_LABEL
from memberscan.attacks.quantile import QUANTILE, QUANTILE_EMBEDDING
from memberscan.attacks.references.calibration import ATTACK_R, DIFFICULTY
from memberscan.attacks.references.confidence import BASE, RMIA
from memberscan.attacks.references.empirical_bayes import EMPIRICAL_BAYES
from memberscan.attacks.references.leverage import LEVERAGE
from memberscan.attacks.references.lira import LIRA, LIRA_FIXED, LIRA_OFFLINE, LIRA_SIGNED
from memberscan.attacks.references.regression import REGRESSION
from memberscan.attacks.references.stacking import STACKING, STACKING_COPIES
from memberscan.attacks.signed_residual import SIGNED_RESIDUAL
from memberscan.errors import UnknownAttackError
from memberscan.threat import ThreatModel

if TYPE_CHECKING:
    from memberscan.targets import Target

REGISTRY: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        ERROR,
        PREDICTION_LABEL,
        AUGMENTED_ERROR,
        ACTIVATIONS,
        GRADIENT_MAGNITUDE,
        gradient_attack("conv1"),
        gradient_attack("conv6"),
        gradient_attack("output"),
        COMBINED,
        ZERO_KNOWLEDGE_ERROR,
        ZERO_KNOWLEDGE_AUGMENTED,
        ANSWER_JUMP,
        ZERO_KNOWLEDGE_GRADIENT,
        UNCERTAINTY,
        HEAD_LOSS,
        LEVERAGE_LIKELIHOOD,
        LEVERAGE_LIKELIHOOD_REFERENCES,
        MULTI_FEATURE,
        QUANTILE,
        QUANTILE_EMBEDDING,
        EMBEDDING_SIMILARITY,
        ZERO_KNOWLEDGE_SIMILARITY,
        EMBEDDING_NORM,
        LOSS_SERIES,
        ZERO_KNOWLEDGE_LOSS_SERIES,
        LOCAL_ERROR,
        GRADIENT_COSINE,
        GRADIENT_DIFFERENCE,
        FEDMIA_ERROR,
        FEDMIA_COSINE,
        SIGNED_RESIDUAL,
        LEAST_SQUARES,
        GRADIENT_ASCENT,
        STACKING,
        STACKING_COPIES,
        REGRESSION,
        EMPIRICAL_BAYES,
        LIRA_SIGNED,
        LIRA,
        LIRA_FIXED,
        LIRA_OFFLINE,
        LEVERAGE,
        BASE,
        RMIA,
        DIFFICULTY,
        ATTACK_R,
    )
}


def default_attacks(
    threat: ThreatModel, *, references: bool = False, checkpoints: bool = False
) -> tuple[str, ...]:
    """Return the names of all attacks that this attacker tries unasked, by what it has beside the target."""
    return tuple(
        name
        for name, attack in REGISTRY.items()
        if tried_by_default(attack, threat, references=references, checkpoints=checkpoints)
    )


def attacks_on(target: Target) -> list[Attack]:
    """Return the attacks that a target's attacker tries unasked: those whose signals may tell something."""
    has = {"references": target.references is not None, "checkpoints": target.checkpoints is not None}
    names = default_attacks(target.threat, **has)
    return [REGISTRY[name] for name in names if adds(REGISTRY[name], target)]


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
    "REGISTRY",
    "Attack",
    "Block",
    "Features",
    "FittedAttack",
    "KnownScans",
    "LearnedAttack",
    "Rule",
    "attacks_on",
    "default_attacks",
    "gradient_attack",
    "named",
]
