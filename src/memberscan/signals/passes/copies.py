"""The pass of a trained model over changed copies of the scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from memberscan.files import fingerprint
from memberscan.models.copies import Copies
from memberscan.models.footprint import batch_size
from memberscan.models.gradients import agrees_with_autograd
from memberscan.models.inputs import answers_of, as_inputs, full_precision, resolve_device
from memberscan.signals.passes.stored_rows import stored_rows

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.targets.trained_model import TrainedModel


@full_precision()
def predictions_of_copies(target: TrainedModel, directory: Path) -> Float[np.ndarray, "scans copies"]:
    """Return the answers on all copies of each scan; resumes where it stopped."""
    cohort, scan_ids = target.cohort, target.scans.index.tolist()
    device, copies = resolve_device("auto"), Copies.of(cohort)
    model = target.load().to(device)
    example = as_inputs(cohort, scan_ids[:2]).to(device)
    # A model that mixes the samples of a batch gives other predictions for single scans.
    alone = not agrees_with_autograd(model, example, [])
    size = 1 if alone else batch_size(model, example[:1], backward=False)
    request = {
        "weights": target.run.weights_fingerprint,
        "cohort": cohort.fingerprint,
        "scans": fingerprint(scan_ids),
        "copies": copies.in_words,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "batch": size,
    }

    def see(inputs: Tensor, labels: Tensor) -> dict[str, np.ndarray]:
        own = labels.to(device)
        with torch.no_grad():
            columns = [answers_of(model, copy, own) for copy in copies(inputs.to(device))]
        return {"prediction": torch.stack(columns, dim=1).double().cpu().numpy()}

    what = "predicting changed copies"
    return stored_rows(directory, request, cohort, scan_ids, size, see, what)["prediction"]
