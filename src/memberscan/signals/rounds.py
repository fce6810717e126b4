"""Predictions by the global model of each round: what every learner of a federation sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from memberscan.cohort import Cohort
from memberscan.files import fingerprint
from memberscan.models.gradients import agrees_with_autograd
from memberscan.models.inputs import as_inputs, full_precision, predict, resolve_device
from memberscan.runs import Run, Transcript
from memberscan.signals.extract import batch_size, stored_rows

if TYPE_CHECKING:
    from jaxtyping import Float


@full_precision()
def predictions_by_round(
    run: Run,
    transcript: Transcript,
    cohort: Cohort,
    scan_ids: Sequence[str],
    rounds: Sequence[int],
    directory: Path,
) -> Float[np.ndarray, "scans rounds"]:
    """Return predictions (years) by the global model at the end of each round; resumes where it stopped."""
    device = resolve_device("auto")
    example = as_inputs(cohort, scan_ids[:2]).to(device)
    columns = []
    for number in rounds:
        model = run.model_with(transcript.global_model(number)).to(device)
        # A model that mixes the samples of a batch predicts something else for each scan alone.
        alone = not agrees_with_autograd(model, example, [])
        size = 1 if alone else batch_size(model, example[:1], backward=False)
        request = {
            "transcript": transcript.fingerprint,
            "round": number,
            "cohort": cohort.fingerprint,
            "scans": fingerprint(list(scan_ids)),
            "device": device.type,
            "threads": torch.get_num_threads(),
            "batch": size,
        }

        def see(inputs: Tensor, ages: Tensor, model: torch.nn.Module = model) -> dict[str, np.ndarray]:  # noqa: ARG001
            with torch.no_grad():
                return {"prediction": predict(model, inputs.to(device)).double().cpu().numpy()}

        folder = directory / f"{number:04d}"
        columns.append(
            stored_rows(folder, request, cohort, scan_ids, size, see, f"round {number}")["prediction"]
        )
    return np.column_stack(columns)
