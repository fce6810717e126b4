"""The pass of a trained model over changed copies of the scans that keeps the inputs of one layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from memberscan.files import fingerprint
from memberscan.models.copies import Copies
from memberscan.models.footprint import batch_size
from memberscan.models.gradients import agrees_with_autograd, capture, capture_slowly
from memberscan.models.inputs import as_inputs, full_precision, resolve_device
from memberscan.signals.passes.stored_rows import stored_rows

if TYPE_CHECKING:
    from jaxtyping import Float32

    from memberscan.targets.trained_model import TrainedModel


@full_precision()
def activations_of_copies(
    target: TrainedModel, layer: str, directory: Path
) -> Float32[np.ndarray, "scans copies features"]:
    """Return the inputs of a layer for all copies of each scan, memory-mapped; resumes where it stopped.

    Parameters
    ----------
    target
        The model with its cohort.
    layer
        Module path of the layer.
    directory
        Where the rows are kept.
    """
    cohort, scan_ids = target.cohort, target.scans.index.tolist()
    device, copies = resolve_device("auto"), Copies.of(cohort)
    model = target.load().to(device)
    example = as_inputs(cohort, scan_ids[:2]).to(device)
    # A model that mixes the samples of a batch gives other activations for single scans.
    together = agrees_with_autograd(model, example, [], [layer])
    size = batch_size(model, example[:1], backward=False) if together else 1
    take = capture if together else capture_slowly
    request = {
        "weights": target.run.weights_fingerprint,
        "cohort": cohort.fingerprint,
        "scans": fingerprint(scan_ids),
        "copies": copies.in_words,
        "entering": layer,
        "route": "batched" if together else "one at a time",
        "device": device.type,
        "threads": torch.get_num_threads(),
        "batch": size,
    }

    def see(inputs: Tensor, labels: Tensor) -> dict[str, np.ndarray]:  # noqa: ARG001
        every = [
            take(model, copy, None, entering=[layer]).entered[layer] for copy in copies(inputs.to(device))
        ]
        return {"activation": torch.stack(every, dim=1).float().cpu().numpy()}

    what = "embedding changed copies"
    return stored_rows(directory, request, cohort, scan_ids, size, see, what)["activation"]
