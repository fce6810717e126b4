"""The passes of each round's global model over the scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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


@full_precision()
def predictions_by_round(party: Party, directory: Path) -> Float[np.ndarray, "scans rounds"]:
    """Return predictions (years) by the global model at the end of each round; resumes where it stopped."""
    cohort, scan_ids = party.cohort, party.scans.index.tolist()
    device = resolve_device("auto")
    example = as_inputs(cohort, scan_ids[:2]).to(device)
    columns = []
    for number in party.rounds:
        model = party.run.model_with(party.transcript.global_model(number)).to(device)
        # A model that mixes the samples of a batch gives other predictions for single scans.
        alone = not agrees_with_autograd(model, example, [])
        size = 1 if alone else batch_size(model, example[:1], backward=False)
        request = {
            "transcript": party.transcript.fingerprint,
            "round": number,
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
            stored_rows(folder, request, cohort, scan_ids, size, see, f"round {number}")["prediction"]
        )
    return np.column_stack(columns)
