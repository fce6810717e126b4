"""The pass of a trained model over the scans: one forward and backward pass gives all signals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from memberscan.files import fingerprint
from memberscan.models.footprint import batch_size
from memberscan.models.gradients import Capture, agrees_with_autograd, capture, capture_slowly
from memberscan.models.inputs import as_inputs, full_precision, resolve_device
from memberscan.models.trial import require_predicts
from memberscan.signals.passes.stored_rows import stored_rows
from memberscan.signals.signal import Signal

if TYPE_CHECKING:
    from memberscan.targets.trained_model import TrainedModel


@dataclass(frozen=True)
class Reading:
    """What a signal needs from the pass, and how a batch becomes rows.

    Parameters
    ----------
    rows
        Gives the rows of a batch from what was captured.
    gradients
        Module paths of the layers whose per-sample gradients are needed.
    entering
        Module paths of the layers whose inputs are needed.
    """

    rows: Callable[[Capture], np.ndarray]
    gradients: Sequence[str] = ()
    entering: Sequence[str] = ()


@full_precision()
def observe(
    target: TrainedModel, readings: Mapping[Signal, Reading], directory: Path
) -> dict[Signal, np.ndarray]:
    """Run a model over the target's scans and store what an attacker sees; resumes where a call stopped.

    Memory does not grow with the number of scans: the batch is as large as the memory limit allows for this
    model and grid, and the arrays are read back memory-mapped.

    Parameters
    ----------
    target
        The model with its cohort.
    readings
        What each signal needs from the pass.
    directory
        Where the arrays are kept.

    Raises
    ------
    StaleError
        If the directory holds signals of another model or of other scans.
    ModelError
        If the model cannot predict a single scan, or its predictions change from call to call.
    NotARegressorError
        If the model gives another number of values than one per scan.
    NonFiniteError
        If a prediction is NaN or infinite.
    """
    cohort, scan_ids = target.cohort, target.scans.index.tolist()
    device = resolve_device("auto")
    model = target.load().to(device)
    layers = list(dict.fromkeys(path for reading in readings.values() for path in reading.gradients))
    entering = list(dict.fromkeys(path for reading in readings.values() for path in reading.entering))
    example = as_inputs(cohort, scan_ids[:2]).to(device)
    require_predicts(model, example, f"the model of {target.run.path}", tries=1)
    size = batch_size(model, example[:1], backward=bool(layers))
    fast = agrees_with_autograd(model, example, layers, entering)
    request = {
        "weights": target.run.weights_fingerprint,
        "cohort": cohort.fingerprint,
        "scans": fingerprint(scan_ids),
        "signals": {str(signal): list(reading.gradients) for signal, reading in readings.items()},
        "entering": entering,
        "route": "batched" if fast else "one at a time",
        "device": device.type,
        "threads": torch.get_num_threads(),
        "batch": size,
    }

    def see(inputs: Tensor, labels: Tensor) -> dict[str, np.ndarray]:
        take = capture if fast else capture_slowly
        seen = take(model, inputs.to(device), labels.to(device), layers=layers, entering=entering)
        return {str(signal): reading.rows(seen) for signal, reading in readings.items()}

    # Signals are about single persons.
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    stored = stored_rows(directory, request, cohort, scan_ids, size, see, "reading signals")
    return {signal: stored[str(signal)] for signal in readings}
