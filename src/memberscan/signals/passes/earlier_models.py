"""The passes of a training's models over the scans: of the global model of each round, or of checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from memberscan.files import fingerprint
from memberscan.models.footprint import batch_size
from memberscan.models.gradients import agrees_with_autograd
from memberscan.models.inputs import answers_of, as_inputs, full_precision, resolve_device
from memberscan.signals.passes.stored_rows import stored_rows

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.targets.party import Party
    from memberscan.targets.trained_model import TrainedModel


def predictions_by_round(party: Party, directory: Path) -> Float[np.ndarray, "scans rounds"]:
    """Return predictions (years) by the global model at the end of each round; resumes where it stopped."""

    def load(number: int) -> nn.Module:
        return party.run.model_with(party.transcript.global_model(number))

    transcript = party.transcript.fingerprint
    asked = {number: {"transcript": transcript, "round": number} for number in party.rounds}
    return _predictions(party, asked, load, directory, "round")


def predictions_by_checkpoint(target: TrainedModel, directory: Path) -> Float[np.ndarray, "scans models"]:
    """Return predictions by each checkpoint, and by the finished model at the end; resumes likewise."""
    checkpoints = target.checkpoints
    assert checkpoints is not None

    def load(number: int) -> nn.Module:
        if number > len(checkpoints):
            return target.load()
        return target.run.model_with(checkpoints.weights(number - 1))

    files, weights = checkpoints.fingerprint, target.run.weights_fingerprint
    numbers = range(1, len(checkpoints) + 2)
    asked = {number: {"checkpoints": files, "weights": weights, "checkpoint": number} for number in numbers}
    return _predictions(target, asked, load, directory, "checkpoint")


@full_precision()
def _predictions(
    target: TrainedModel,
    asked: Mapping[int, Mapping[str, Any]],
    load: Callable[[int], nn.Module],
    directory: Path,
    what: str,
) -> Float[np.ndarray, "scans models"]:
    """Return the predictions by several models; ``asked`` tells by number what each model depends on."""
    cohort, scan_ids = target.cohort, target.scans.index.tolist()
    device = resolve_device("auto")
    example = as_inputs(cohort, scan_ids[:2]).to(device)
    columns = []
    for number, depends_on in asked.items():
        model = load(number).to(device)
        # A model that mixes the samples of a batch gives other predictions for single scans.
        alone = not agrees_with_autograd(model, example, [])
        size = 1 if alone else batch_size(model, example[:1], backward=False)
        request = {
            **depends_on,
            "cohort": cohort.fingerprint,
            "scans": fingerprint(scan_ids),
            "device": device.type,
            "threads": torch.get_num_threads(),
            "batch": size,
        }

        def see(inputs: Tensor, labels: Tensor, model: nn.Module = model) -> dict[str, np.ndarray]:
            with torch.no_grad():
                answers = answers_of(model, inputs.to(device), labels.to(device))
            return {"prediction": answers.double().cpu().numpy()}

        folder = directory / f"{number:04d}"
        columns.append(
            stored_rows(folder, request, cohort, scan_ids, size, see, f"{what} {number}")["prediction"]
        )
    return np.column_stack(columns)
