"""Check that every model of an imported transcript is the trained model of its learner and round.

A file that is not would be scored like any other, and the audit would show no leak. Certain faults of global
models end the import; a learner with a faulty model is left out of that round. Aggregation rules differ, so a
global model need not be the mean of the learners' models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.errors import TranscriptError
from memberscan.models.inputs import answers_of, as_inputs
from memberscan.models.weights import load_weights
from memberscan.runs.names import GLOBAL

if TYPE_CHECKING:
    from jaxtyping import Float

_SCANS = 4
_COORDINATES = 4096
_FAR_OFF = 3.0
_ABSURD_YEARS, _ABSURD = 30.0, 6.0
"""Predictions are implausible with a mean error above this, and _FAR_OFF times that of simpler models; of
other targets than age, above this many times the error of the best answer that is the same for everybody."""
_EXACT, _FAR = 1e-4, 0.1
"""Share of a step that a weighted sum leaves unexplained: below the first it fits, above the second not."""
_MOVED, _ROUNDING = 1e-4, 2e-6
"""The same relative to the model's norm, to distinguish a real step from the rounding of a mean."""

LeftOut = Mapping[int, Mapping[str, str]]
"""The reason why a learner's model is left out, by round and learner."""


class AllDifferencesError(TranscriptError):
    """All learners' files hold what a learner changed, and not the model that it sent."""


@dataclass(frozen=True, eq=False)
class ModelSummary:
    """A summary of one model of a transcript: enough to check it, and small however large the model is.

    Parameters
    ----------
    source
        Name of the model in error messages.
    digest
        Digest of all parameters.
    sample
        Some parameters, at the same positions in every model.
    error
        Mean absolute residual on a few scans; NaN if a prediction is not finite.
    """

    source: str
    digest: str
    sample: Float[np.ndarray, " coordinates"]
    error: float


class Summariser:
    """Summarises models, one at a time."""

    def __init__(self, network: nn.Module, cohort: Cohort) -> None:
        self._network = network
        ordered = cohort.labels.sort_values()
        places = (np.arange(_SCANS) + 0.5) / _SCANS * len(ordered)
        ids = ordered.index[places.astype(int)].tolist()
        self._inputs = as_inputs(cohort, ids)
        self._labels = torch.from_numpy(ordered.loc[ids].to_numpy(np.float64, copy=True))
        self._variable = cohort.target
        self.guess = cohort.target.error_of_constant(ordered.to_numpy(float))
        self.absurd = _ABSURD_YEARS if cohort.target.is_age else _ABSURD * self.guess
        sizes = {name: p.numel() for name, p in network.named_parameters() if name in network.state_dict()}
        total = sum(sizes.values())
        rng = seeds.generator(0, "sample of parameters", total)
        chosen = np.sort(rng.choice(total, min(total, _COORDINATES), replace=False))
        starts = np.cumsum([0, *sizes.values()])
        self._chosen = {
            name: torch.from_numpy(chosen[(chosen >= start) & (chosen < start + size)] - start)
            for (name, size), start in zip(sizes.items(), starts[:-1], strict=True)
        }

    def summarise(self, model: dict[str, Tensor], source: str) -> ModelSummary:
        """Return the summary of a model; the network holds its weights afterwards."""
        load_weights(self._network, model, source=source)
        state = self._network.state_dict()
        digest = hashlib.sha256()
        parts = []
        for name, places in self._chosen.items():
            values = state[name].detach().cpu().contiguous().reshape(-1)
            digest.update(memoryview(values.view(torch.uint8).numpy()))
            parts.append(values[places].double().numpy())
        with torch.no_grad():
            answers = answers_of(self._network, self._inputs, self._labels).double().cpu().numpy()
        error = float(np.abs(self._variable.residual(self._labels.numpy(), answers)).mean())
        sample = np.concatenate(parts) if parts else np.zeros(0)
        # Models without parameters never count as copies of each other.
        name = digest.hexdigest() if parts else source
        return ModelSummary(source, name, sample, error if np.isfinite(error) else np.nan)


def faulty_models(
    rounds: Sequence[Mapping[str, ModelSummary]], guess: float, absurd: float = _ABSURD_YEARS
) -> LeftOut:
    """Return which learners' models are faulty, by round, with the reason.

    Parameters
    ----------
    rounds
        Summaries of the models of each round from 0, by learner, and "global".
    guess
        Mean absolute residual of the best answer that is the same for everybody.
    absurd
        Mean absolute residual that no sensible model has.

    Raises
    ------
    TranscriptError
        If global models are certain to be wrong.
    AllDifferencesError
        If all learners sent differences instead of models.
    """
    ends = [models[GLOBAL] for models in rounds]
    for before, end in zip([None, *ends], ends, strict=False):
        if before is not None and _is_difference(end, before, guess):
            raise TranscriptError(
                f"{end.source} {_DIFFERENCES}; add it to the global model of the previous round"
            )
        if reason := _senseless(end, before, guess, absurd):
            raise TranscriptError(f"{end.source} {reason}; restore it, or end the transcript before it")
    learners = [{n: summary for n, summary in models.items() if n != GLOBAL} for models in rounds]
    copies = _copies(learners, ends)
    differences = _differences(learners, ends, guess)
    present = [(t, name) for t, models in enumerate(learners) for name in models]
    if present and set(differences) == set(present):
        first = learners[present[0][0]][present[0][1]]
        raise AllDifferencesError(f"{first.source} {_DIFFERENCES}, {_AND_ALL}")
    trained = [
        {n: summary for n, summary in models.items() if (t, n) not in copies}
        for t, models in enumerate(learners)
    ]
    _require_numbered(trained, ends)
    found: dict[int, dict[str, str]] = {}
    for t, name in present:
        summary = learners[t][name]
        reason = (
            copies.get((t, name))
            or differences.get((t, name))
            or _senseless(summary, ends[t - 1], guess, absurd)
        )
        if reason:
            found.setdefault(t, {})[name] = f"its model {reason}"
    return found


_DIFFERENCES = "holds differences from the global model that the round began with, not a model"
_AND_ALL = (
    "and so do all learners' files; add each to the global model of the previous round (NVFlare's parameter "
    "params_type FULL sends models)"
)


def _senseless(summary: ModelSummary, before: ModelSummary | None, guess: float, absurd: float) -> str | None:
    """Return what is wrong with a model's predictions, compared with the global model before it; or None."""
    if np.isnan(summary.error):
        return "predicts NaN or infinite numbers"
    if before is None:
        return None
    if summary.error > max(absurd, _FAR_OFF * guess, _FAR_OFF * before.error):
        return (
            f"is {summary.error:.4g} off on average, but the model before it was {before.error:.4g} "
            f"off, and the best answer that is the same for everybody is {guess:.2g} off"
        )
    return None


def _is_difference(summary: ModelSummary, before: ModelSummary, guess: float) -> bool:
    """Return whether parameters are small compared with the model before, and do not predict the target.

    Training may also make parameters small, but a trained model still predicts the target.
    """
    small = 2 * _norm(summary.sample) < _norm(summary.sample - before.sample)
    return small and not summary.error <= _FAR_OFF * guess


def _copies(
    learners: Sequence[Mapping[str, ModelSummary]], ends: Sequence[ModelSummary]
) -> dict[tuple[int, str], str]:
    """Return which learners' models are copies, with the model that each copies."""
    globals_ = {end.digest: t for t, end in reversed(list(enumerate(ends)))}
    places: dict[str, list[tuple[int, str]]] = {}
    for t, models in enumerate(learners):
        for name, summary in models.items():
            places.setdefault(summary.digest, []).append((t, name))
    found = {}
    for digest, same in places.items():
        for t, name in same:
            others = [place for place in same if place != (t, name)]
            began = globals_.get(digest, t)
            if began < t:
                found[t, name] = f"is the global model of round {began}: it did not train"
            elif others and (min(others)[1] != name or min(others)[0] < t):
                whose = f"{min(others)[1]}'s" if min(others)[1] != name else "its own"
                found[t, name] = f"is the same as {whose} of round {min(others)[0]}"
    return found


def _differences(
    learners: Sequence[Mapping[str, ModelSummary]], ends: Sequence[ModelSummary], guess: float
) -> dict[tuple[int, str], str]:
    """Return which learners' files hold differences from the global model instead of models.

    Differences are small compared with the model that the round began with. If the global model is a weighted
    sum of the learners' files, it decides: its step is a sum of the files if these are differences, and a sum
    of the files minus the starting model if these are models.
    """
    found = {}
    for t, models in list(enumerate(learners))[1:]:
        if not models:
            continue
        start, step = ends[t - 1].sample, ends[t].sample - ends[t - 1].sample
        files = np.stack([summary.sample for summary in models.values()])
        as_models, as_differences = _left_over(step, files - start), _left_over(step, files)
        for name, summary in models.items():
            summed = as_differences < _EXACT and as_models > _FAR
            if summed or (_is_difference(summary, ends[t - 1], guess) and not as_models < _EXACT):
                found[t, name] = _DIFFERENCES
    return found


def _left_over(
    step: Float[np.ndarray, " coordinates"], parts: Float[np.ndarray, "parts coordinates"]
) -> float:
    """Return the share of a step that no weighted sum of the parts explains; NaN if that is meaningless.

    That is for a step of length 0, and for too many parts: with almost as many parts as coordinates, least
    squares explains any step.
    """
    length = _norm(step)
    if not length or 4 * len(parts) > len(step):
        return float("nan")
    weights = np.linalg.lstsq(parts.T, step, rcond=None)[0]
    return _norm(step - weights @ parts) / length


def _require_numbered(learners: Sequence[Mapping[str, ModelSummary]], ends: Sequence[ModelSummary]) -> None:
    """Refuse global models that belong to another round than the learners' models beside them.

    A mean of learners' models is exact up to rounding. A global model that is only nearer to another round's
    models may come from another aggregation rule, such as server momentum, and is accepted.
    """
    if any(learners) and len({end.digest for end in ends}) == 1:
        raise TranscriptError(
            f"{ends[1].source} and all later ones are the initial model, although learners trained; put the "
            "global model at the end of each round into that round's folder"
        )
    for late, words in ((1, "before"), (-1, "after")):
        rows = list(_distances(learners, ends, late))
        own, other, size = np.sum(rows, axis=0) if rows else np.zeros(3)
        if own > _MOVED * size and other < _ROUNDING * size:
            raise TranscriptError(
                f"{ends[-1].source} and the other global models are made of the learners' models of the "
                f"round {words}: their round numbers are one {'too high' if late == 1 else 'too low'}; "
                "store the global model made of the learners' models of round t as round t"
            )


def _distances(
    learners: Sequence[Mapping[str, ModelSummary]], ends: Sequence[ModelSummary], late: int
) -> Iterator[tuple[float, float, float]]:
    """Yield the distances of each global model from its own and another round's learners, and its norm.

    The distance is to the nearest weighted sum of the learners' models.
    """
    for t in range(1, len(ends)):
        if 1 <= t - late < len(ends) and learners[t] and learners[t - late]:
            start = ends[t - 1].sample
            step = ends[t].sample - start
            shares = [
                _left_over(step, np.stack([summary.sample - start for summary in learners[s].values()]))
                for s in (t, t - late)
            ]
            if not np.isnan(shares).any():
                length = _norm(step)
                yield shares[0] * length, shares[1] * length, _norm(ends[t].sample)


def _norm(values: np.ndarray) -> float:
    return float(np.linalg.norm(values))
