"""The passes over the scans that relate each scan to the learners' updates; no gradient is stored.

One backward pass gives each scan's Jacobian, the gradient of its prediction; layer by layer its products with
all updates of the round, its norm and its sketch are computed, and it is dropped. The gradient of a scan's
loss is its Jacobian times the derivative of the loss in the prediction, so everything about it follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from memberscan.files import fingerprint
from memberscan.models.footprint import batch_size
from memberscan.models.gradients import (
    Capture,
    agrees_with_autograd,
    capture,
    capture_nothing,
    capture_slowly,
    parameter_layers,
)
from memberscan.models.heads import head_of, loss_derivatives
from memberscan.models.inputs import answers_of, as_inputs, full_precision, resolve_device
from memberscan.signals import learner_updates as given
from memberscan.signals.passes.sketch import Sketch
from memberscan.signals.passes.stored_rows import stored_rows
from memberscan.signals.signal import Observed, Signal
from memberscan.signals.view import ByRound
from memberscan.targets.party import ALL

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.cohort import Cohort
    from memberscan.runs import Run, Transcript

SKETCH = 4096
"""Size of the sketch of a Jacobian; a model with fewer parameters is not sketched."""
_STORED = {
    "took_part": given.TOOK_PART,
    "before": given.START_PREDICTIONS,
    "local": given.LOCAL_PREDICTIONS,
    "products": given.UPDATE_PRODUCTS,
    "norms": given.JACOBIAN_NORMS,
    "descent_norms": given.UPDATE_NORMS,
    "descent_sketches": given.UPDATE_SKETCHES,
}
"""Signals by the names of their files and arrays here."""


def observe_updates(
    run: Run,
    transcript: Transcript,
    cohort: Cohort,
    scan_ids: Sequence[str],
    rounds: Sequence[int],
    directory: Path,
    *,
    aggregate: bool = False,
    gradients: bool = True,
) -> Observed:
    """Relate scans to updates, round by round; resumes where a call stopped.

    Memory does not grow with rounds or scans, except for a few numbers per scan.

    Parameters
    ----------
    run, transcript, cohort
        The federation.
    scan_ids
        Which scans, in the order of the rows.
    rounds
        Which rounds, from 1.
    directory
        Where the arrays are kept.
    aggregate
        Whether only the sum of the updates is seen.
    gradients
        Whether the network gives gradients; without them everything computed from them is NaN.
    """
    learners = (ALL,) if aggregate else transcript.learners
    seen = [
        _observe_round(
            run, transcript, cohort, scan_ids, number, learners, directory / f"{number:04d}", gradients
        )
        for number in rounds
    ]
    values: dict[Signal, Any] = {
        signal: np.stack([one[name] for one in seen]) for name, signal in _STORED.items()
    }
    label = cohort.labels[list(scan_ids)].to_numpy(float)
    head = head_of(run.model_with(transcript.global_model(rounds[0] - 1)))
    starts = values[given.START_PREDICTIONS]
    values[given.LOSS_DERIVATIVES] = (
        np.stack([loss_derivatives(head, start[:, None], label)[:, 0] for start in starts])
        if head.outputs == 1
        else np.ones_like(starts)
    )
    sketches = ByRound([Path(cast("np.memmap", one["sketches"]).filename or "") for one in seen])
    return Observed(
        {**values, given.JACOBIAN_SKETCHES: sketches},
        learners=learners,
        rounds=tuple(rounds),
    )


@full_precision()
def _observe_round(
    run: Run,
    transcript: Transcript,
    cohort: Cohort,
    scan_ids: Sequence[str],
    number: int,
    learners: Sequence[str],
    directory: Path,
    gradients: bool,
) -> dict[str, np.ndarray]:
    lens = _Lens(run, transcript, number, learners)
    example = as_inputs(cohort, scan_ids[:2]).to(lens.device)
    fast = agrees_with_autograd(lens.model, example, lens.layers if gradients else ())
    # A model that mixes the samples of a batch gives other predictions for single scans.
    size = batch_size(lens.model, example[:1], backward=gradients) if fast else 1
    take = (capture if fast else capture_slowly) if gradients else capture_nothing
    request = {
        "round": {**transcript.rounds[number - 1].digests, "number": str(number)},
        "transcript": transcript.fingerprint,
        "cohort": cohort.fingerprint,
        "scans": fingerprint(list(scan_ids)),
        "learners": list(learners),
        "route": "batched" if fast else "one at a time",
        "device": lens.device.type,
        "threads": torch.get_num_threads(),
        "batch": size,
        "sketch": lens.sketch.width,
    }

    several = head_of(lens.model).outputs != 1

    def see(inputs: Tensor, labels: Tensor) -> dict[str, np.ndarray]:
        inputs, labels = inputs.to(lens.device), labels.to(lens.device)
        # A loss gradient is the Jacobian of the one output times one derivative. With several outputs, the
        # loss gradient itself is kept in place of the Jacobian, and the derivative is 1.
        seen = take(lens.model, inputs, labels if several else None, layers=lens.layers)
        return lens.see(inputs, labels, seen)

    arrays = stored_rows(directory, request, cohort, scan_ids, size, see, f"reading round {number}")
    return {**arrays, **lens.of_updates()}


class _Lens:
    """One round: the model that it began with, and each learner's model at its end."""

    def __init__(self, run: Run, transcript: Transcript, number: int, learners: Sequence[str]) -> None:
        self.device = resolve_device("auto")
        self.model = run.model_with(transcript.global_model(number - 1)).to(self.device)
        self.layers = parameter_layers(self.model)
        present = (ALL, *transcript.rounds[number - 1].took_part)
        self.present = np.array([name in present for name in learners])
        self.ends = [
            run.model_with(
                transcript.global_model(number) if name == ALL else transcript.learner_model(number, name)
            ).to(self.device)
            for name in learners
            if name in present
        ]
        weights = {path: _flat(self.model, path) for path in self.layers}
        ends = [{path: _flat(end, path) for path in self.layers} for end in self.ends]
        # A round in which no learner took part still has an empty array for every layer.
        self.descents = {
            path: torch.stack([w - end[path] for end in ends] or [w])[: len(ends)]
            for path, w in weights.items()
        }
        sizes = {path: len(w) for path, w in weights.items()}
        self.sketch = Sketch(min(SKETCH, sum(sizes.values())), sizes)

    def see(self, inputs: Tensor, labels: Tensor, seen: Capture) -> dict[str, np.ndarray]:
        """Return the rows of one batch, by the names in ``_STORED``."""
        shape = len(inputs), len(self.present), len(self.layers)
        products, local = np.zeros(shape, np.float32), np.full(shape[:2], np.nan)
        products[:, self.present] = inner_products(seen.gradients, self.descents).float().cpu().numpy()
        with torch.no_grad():
            for place, end in zip(np.flatnonzero(self.present), self.ends, strict=True):
                local[:, place] = answers_of(end, inputs, labels).double().cpu().numpy()
        norms = torch.stack([seen.gradients[path].norm(dim=1) for path in self.layers], dim=1)
        return {
            "before": seen.predictions.double().cpu().numpy(),
            "local": local,
            "products": products,
            "norms": norms.float().cpu().numpy(),
            "sketches": self.sketch(seen.gradients).float().cpu().numpy(),
        }

    def of_updates(self) -> dict[str, np.ndarray]:
        """Return what depends on no scan, by the names in ``_STORED``."""
        norms = np.zeros((len(self.present), len(self.layers)))
        sketches = np.zeros((len(self.present), self.sketch.width), np.float32)
        lengths = [self.descents[path].norm(dim=1) for path in self.layers]
        norms[self.present] = torch.stack(lengths, dim=1).double().cpu().numpy()
        sketches[self.present] = self.sketch(self.descents).float().cpu().numpy()
        return {"took_part": self.present, "descent_norms": norms, "descent_sketches": sketches}


def _flat(model: nn.Module, path: str) -> Float[Tensor, " p"]:
    """Return a layer's own parameters in one row."""
    return torch.cat([p.detach().flatten() for p in model.get_submodule(path).parameters(recurse=False)])


def inner_products(
    gradients: Mapping[str, Float[Tensor, "n p"]], directions: Mapping[str, Float[Tensor, "d p"]]
) -> Float[Tensor, "n d layers"]:
    """Return the inner product of each scan's gradient and each direction, layer by layer.

    One backward pass is enough for all directions; forward mode needs one pass per direction.
    """
    return torch.stack([rows @ directions[path].T for path, rows in gradients.items()], dim=2)
