"""What attackers see of scans: a key for each signal, and one provider module for each kind.

A new kind of signal is one module with its key and its provider, and one line in :data:`PROVIDERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memberscan.errors import BadInputError
from memberscan.signals.activations import ACTIVATIONS
from memberscan.signals.augmented_activations import ACTIVATIONS_OF_COPIES
from memberscan.signals.augmented_predictions import PREDICTIONS_OF_COPIES
from memberscan.signals.broadcast_answers import ANSWERS
from memberscan.signals.covariates import COVARIATES_OF_SCANS
from memberscan.signals.head_outputs import HEAD_OUTPUTS_OF_SCANS
from memberscan.signals.layer_gradients import GRADIENT_LENGTHS, LAYER_GRADIENTS
from memberscan.signals.learner_updates import UPDATES
from memberscan.signals.nearby_predictions import NEARBY_PREDICTION, NEARBY_PREDICTIONS
from memberscan.signals.of_final_model import OfFinalModel, observe_final
from memberscan.signals.predictions import PREDICTION, PREDICTIONS
from memberscan.signals.reference_models import REFERENCES
from memberscan.signals.round_predictions import PREDICTIONS_BY_ROUND
from memberscan.signals.signal import COPY, REFERENCE, Observed, Provider, Signal
from memberscan.signals.view import View

if TYPE_CHECKING:
    from memberscan.targets.target import Target

PROVIDERS: tuple[Provider, ...] = (
    PREDICTIONS,
    PREDICTIONS_OF_COPIES,
    NEARBY_PREDICTIONS,
    HEAD_OUTPUTS_OF_SCANS,
    COVARIATES_OF_SCANS,
    ACTIVATIONS,
    ACTIVATIONS_OF_COPIES,
    LAYER_GRADIENTS,
    GRADIENT_LENGTHS,
    REFERENCES,
    PREDICTIONS_BY_ROUND,
    UPDATES,
    ANSWERS,
)
_OF_KIND = {kind: provider for provider in PROVIDERS for kind in provider.kinds}


def by_provider(signals: Iterable[Signal]) -> dict[Provider, list[Signal]]:
    """Return signals, each once, by the provider that gives them."""
    asked: dict[Provider, list[Signal]] = {}
    for signal in dict.fromkeys(signals):
        if signal.kind not in _OF_KIND:
            raise BadInputError(
                f"no provider gives the signal {signal}; add one to memberscan.signals.PROVIDERS, or let the "
                f"attack read one of: {', '.join(_OF_KIND)}"
            )
        asked.setdefault(_OF_KIND[signal.kind], []).append(signal)
    return asked


def made_of(target: Target, signals: Iterable[Signal]) -> dict[str, str]:
    """Return digests of the inputs of signals other than the target, by the kinds of signals."""
    digests = {provider.kinds[0]: provider.fingerprint(target) for provider in by_provider(signals)}
    return {kind: digest for kind, digest in digests.items() if digest is not None}


def see(target: Target, signals: Iterable[Signal], directory: Path) -> View:
    """Return the view of an attacker that sees these signals; the final predictions are always included.

    Parameters
    ----------
    target
        The audited target; it has all of the signals.
    signals
        Which ones.
    directory
        Where wide arrays are kept.
    """
    asked = by_provider([PREDICTION, *signals])
    final = {p: those for p, those in asked.items() if isinstance(p, OfFinalModel)}
    values: dict[Signal, Any] = dict(observe_final(final, target, directory))
    learners: tuple[str, ...] = ()
    rounds: tuple[int, ...] = ()
    for provider, those in asked.items():
        if provider in final:
            continue
        seen = provider.observe(those, target, directory)
        values |= seen.values
        learners, rounds = seen.learners or learners, seen.rounds or rounds
    seen_by_attacker = as_answered(target, values)
    return View(target.scans[["subject_id", "label"]], seen_by_attacker, learners, rounds, target.variable)


def as_answered(target: Target, values: Mapping[Signal, Any]) -> dict[Signal, Any]:
    """Return signals as the attacker sees them: all that a service answers has gone through its defence.

    Nothing of a model reaches an attack in another way.

    Raises
    ------
    BadInputError
        If a service hides one of the signals; attacks that read it are not run.
    """
    service = target.service
    if service is None:
        return dict(values)
    seen: dict[Signal, Any] = {}
    for signal, raw in values.items():
        kind = _OF_KIND[signal.kind].behind_service(signal)
        if kind == "hidden":
            raise BadInputError(f"the signal {signal} is hidden by {service.name}; choose another attack")
        change: Callable[..., Any] = service.of_model
        if REFERENCE in signal.dimensions and target.references is not None:
            change = partial(service.of_references, inside=target.references.inside)
        elif signal == NEARBY_PREDICTION:
            change = partial(service.of_model, nearby=True)
        seen[signal] = raw if kind == "unchanged" else change(raw, of_copies=COPY in signal.dimensions)
    return seen


__all__ = [
    "PREDICTION",
    "PROVIDERS",
    "Observed",
    "Provider",
    "Signal",
    "View",
    "as_answered",
    "by_provider",
    "made_of",
    "see",
]
