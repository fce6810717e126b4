"""How much a finished model looks as if it had been trained on each canary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from memberscan.models.gradients import capture, parameter_layers
from memberscan.models.inputs import as_inputs, full_precision, parts_of, predict_scans, resolve_device
from memberscan.training.central import new_network

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import nn

    from memberscan.cohort import Cohort
    from memberscan.runs.canaries import Canaries
    from memberscan.targets.trained_model import TrainedModel

_CANARIES_AT_ONCE = 16
_SKETCH = 8192


def scores_of_outputs(target: TrainedModel, canaries: Canaries) -> Float[np.ndarray, " canaries"]:
    """Return how far the model's answer is moved towards the label that each canary was given.

    Of a number it is the prediction, minus what a straight line through all canaries predicts from the true
    label, times the direction in which the label was moved: what a model learns of the target is taken away,
    and what it learns of the canary is left. Of classes it is the log-probability of the canary's class. The
    mean over a canary's scans is taken. Nothing here depends on who was in. A defence of answers is not
    applied, because what canaries test is the training.
    """
    cohort = canaries.added_to(target.cohort)
    answers = predict_scans(target.model, cohort, canaries.scans())[:, 0]
    whose = _whose(canaries)
    if target.variable.classes:
        return _mean_by(answers, whose)
    true, given = (
        _mean_by(np.concatenate([getattr(each, name) for each in canaries.canaries]), whose)
        for name in ("true", "labels")
    )
    means = _mean_by(answers, whose)
    line = np.column_stack([np.ones(len(true)), true])
    rest = means - line @ np.linalg.lstsq(line, means, rcond=None)[0]
    return np.asarray(np.sign(given - true) * rest)


@full_precision()
def scores_of_weights(target: TrainedModel, canaries: Canaries) -> Float[np.ndarray, " canaries"]:
    """Return how much of the movement of the weights in training each canary explains.

    With u_i the unit vector along the gradient of the loss on canary i (the mean over its scans) at the
    initial weights, and m the difference of the final weights from them, it is the coefficient c_i of

        minimise over c:  |m + sum_i c_i u_i|^2 + |c|^2,   so that  c = -(U U' + I)^-1 U m.

    The inner products -<u_i, m> are the white-box attack of Steinke, Nasr and Jagielski (NeurIPS 2023). The
    ridge regression takes away what other canaries with similar gradients explain. The owner makes the
    initial weights again from the seed. Nothing here depends on who was in.
    """
    cohort, device = canaries.added_to(target.cohort), resolve_device("auto")
    model = new_network(target.run.spec, canaries.weights_seed).to(device).eval()
    moved = _moved(target.model.to(device), model)
    whose, scans = _whose(canaries), np.array(canaries.scans(), dtype=object)
    along, sketches = [], []
    for part in parts_of(len(canaries), _CANARIES_AT_ONCE):
        chosen = np.isin(whose, part)
        rows = _unit_gradients(model, cohort, scans[chosen].tolist(), whose[chosen] - part[0])
        along.append(sum((each @ moved[path] for path, each in rows.items()), torch.zeros(())).cpu())
        sketches.append(_sketch(rows))
    sketch = torch.cat(sketches).double().numpy()
    gram = sketch @ sketch.T + np.eye(len(canaries))
    return np.asarray(np.linalg.solve(gram, -torch.cat(along).double().numpy()))


def _moved(final: nn.Module, first: nn.Module) -> dict[str, Float[Tensor, " p"]]:
    """Return how far the parameters of each layer moved; ``first`` gets the buffers of ``final``."""
    with torch.no_grad():
        for buffer, known in zip(first.buffers(), final.buffers(), strict=True):
            # The scale of the labels is set by the training.
            buffer.copy_(known)
    last, before = dict(final.named_modules()), dict(first.named_modules())
    moved = {}
    for path in parameter_layers(first):
        pairs = zip(last[path].parameters(recurse=False), before[path].parameters(recurse=False), strict=True)
        moved[path] = torch.cat([(now - then).detach().flatten() for now, then in pairs])
    return moved


def _unit_gradients(
    model: nn.Module, cohort: Cohort, scans: list[str], whose: np.ndarray
) -> dict[str, Float[Tensor, "canaries p"]]:
    """Return by layer the gradient of each canary, of length one over all layers."""
    device = next(model.parameters()).device
    labels = torch.from_numpy(cohort.labels[scans].to_numpy(np.float32, copy=True)).to(device)
    layers = parameter_layers(model)
    rows = capture(model, as_inputs(cohort, scans).to(device), labels, layers=layers).gradients
    index, count = torch.from_numpy(whose).to(device), int(whose.max()) + 1
    summed = {
        path: each.new_zeros(count, each.shape[1]).index_add_(0, index, each) for path, each in rows.items()
    }
    length = torch.stack([each.norm(dim=1) for each in summed.values()]).norm(dim=0)
    # A canary without a gradient has no direction, and keeps a vector of zeros.
    return {path: each / length.clamp_min(1e-30)[:, None] for path, each in summed.items()}


def _sketch(rows: Mapping[str, Float[Tensor, "n p"]]) -> Float[Tensor, "n s"]:
    """Return short vectors whose inner products are those of the rows, up to an error of about 1%.

    Each parameter is added, with a random sign, to one random place. Source: Charikar, Chen and
    Farach-Colton, "Finding frequent items in data streams" (2004).
    """
    total = torch.zeros(len(next(iter(rows.values()))), _SKETCH)
    for number, each in enumerate(rows.values()):
        generator = torch.Generator().manual_seed(number)
        place = torch.randint(_SKETCH, (each.shape[1],), generator=generator)
        sign = 2.0 * torch.randint(2, (each.shape[1],), generator=generator) - 1
        total.index_add_(1, place, each.cpu() * sign)
    return total


def _whose(canaries: Canaries) -> np.ndarray:
    """Return the number of the canary of each scan."""
    return np.repeat(np.arange(len(canaries)), [len(canary.sources) for canary in canaries.canaries])


def _mean_by(values: np.ndarray, whose: np.ndarray) -> Float[np.ndarray, " canaries"]:
    return pd.Series(values).groupby(whose).mean().to_numpy(float)
