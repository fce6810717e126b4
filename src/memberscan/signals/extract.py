"""One pass over a run's scans that writes down what an attacker sees of each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from memberscan.cohort import Cohort
from memberscan.errors import StaleError
from memberscan.files import OWNER_ONLY, disk_guard, fingerprint, write_json
from memberscan.models.footprint import footprint
from memberscan.models.gradients import (
    Capture,
    agrees_with_autograd,
    capture,
    capture_slowly,
    parameter_layers,
)
from memberscan.models.inputs import as_inputs, batches, full_precision, resolve_device
from memberscan.models.trial import require_predicts
from memberscan.progress import progress
from memberscan.received import load_json
from memberscan.requests import differences, in_words
from memberscan.rows import RowFile
from memberscan.runs import Run
from memberscan.signals.signals import ACTIVATION, GRADIENT_NORMS, PREDICTION, Signals, gradient

MEMORY_LIMIT = 2 << 30
_LARGEST_BATCH = 8
_LARGEST_BATCH_ON_CUDA = 64
_SHARE_OF_CUDA = 0.25
_RECORDED = ("threads", "batch")
"""How rows were computed: recorded of the rows, and never a reason to refuse them."""
_BACKWARD_FACTOR = 2.5
_LEDGER = "signals.json"
_SECONDS_BETWEEN_COUNTS = 2.0


@dataclass(frozen=True)
class Wanted:
    """Which signals to extract beside predictions.

    Parameters
    ----------
    gradients
        Module path of each layer whose per-sample gradients are wanted, by the name that attacks use.
    norms
        Whether to take the gradient norm of every layer.
    activation
        Path of the output layer, whose input is the activation; None to leave it.
    """

    gradients: Mapping[str, str] = field(default_factory=dict)
    norms: bool = False
    activation: str | None = None

    @property
    def needs_gradients(self) -> bool:
        """Whether a backward pass is needed."""
        return self.norms or bool(self.gradients)


def landmark_paths(model: nn.Module, names: Sequence[str]) -> dict[str, str]:
    """Return the module path of each name that this model has: a declared landmark, or a path itself."""
    declared: Mapping[str, str] = getattr(model, "landmarks", {})
    layers = set(parameter_layers(model))
    return {name: path for name in names if (path := declared.get(name, name)) in layers}


@full_precision()
def extract(run: Run, cohort: Cohort, scan_ids: Sequence[str], wanted: Wanted, directory: Path) -> Signals:
    """Run a model over scans and store what an attacker sees, batch by batch, resuming where a call stopped.

    Memory does not grow with the number of scans: the batch is as large as :data:`MEMORY_LIMIT` allows for
    this model and grid, and wide signals are read back memory-mapped.

    Parameters
    ----------
    run, cohort
        The model, and the cohort it was trained on.
    scan_ids
        Which scans, in the order of the rows.
    wanted
        Which signals.
    directory
        Where the arrays are kept.

    Raises
    ------
    StaleError
        If the directory holds signals of another model or of other scans.
    ModelError
        If the model does not predict a scan by itself, or predicts something else each time.
    NotARegressorError
        If the model gives another number of values than one per scan.
    NonFiniteError
        If a prediction is NaN or infinite.
    """
    device = resolve_device("auto")
    model = run.load().to(device)
    every = parameter_layers(model) if wanted.norms else []
    layers = list(dict.fromkeys([*wanted.gradients.values(), *every]))
    entering = [wanted.activation] if wanted.activation else []
    example = as_inputs(cohort, scan_ids[:2]).to(device)
    require_predicts(model, example, f"the model of {run.path}", tries=1)
    size = batch_size(model, example[:1], backward=wanted.needs_gradients)
    fast = agrees_with_autograd(model, example, layers, entering)
    request = {
        "weights": run.weights_fingerprint,
        "cohort": cohort.fingerprint,
        "scans": fingerprint(list(scan_ids)),
        "gradients": dict(wanted.gradients),
        "norms": every,
        "activation": wanted.activation,
        "route": "batched" if fast else "one at a time",
        "device": device.type,
        "threads": torch.get_num_threads(),
        "batch": size,
    }

    def see(inputs: Tensor, ages: Tensor) -> dict[str, np.ndarray]:
        take = capture if fast else capture_slowly
        seen = take(model, inputs.to(device), ages.to(device), layers=layers, entering=entering)
        return _arrays(seen, wanted, every)

    arrays = stored_rows(directory, request, cohort, scan_ids, size, see, "reading signals")
    return Signals(cohort.scans.loc[list(scan_ids), ["subject_id", "age"]], arrays)


def stored_rows(
    directory: Path,
    request: dict[str, Any],
    cohort: Cohort,
    scan_ids: Sequence[str],
    size: int,
    see: Callable[[Tensor, Tensor], dict[str, np.ndarray]],
    what: str,
) -> dict[str, np.ndarray]:
    """Fill one file a signal, batch by batch, from where an earlier call stopped, and map them into memory.

    Parameters
    ----------
    directory, request
        Where, and what the rows depend on.
    cohort, scan_ids, size
        Which scans, and how many at a time.
    see
        Gives the rows of each signal from inputs and ages.
    what
        Says in the progress bar what is done.
    """
    one = see(as_inputs(cohort, scan_ids[:1]), torch.zeros(1))
    done, computed = _rows_done(directory, request, len(scan_ids))
    with contextlib.ExitStack() as stack:
        stores = {
            name: stack.enter_context(
                RowFile.open(directory / _file(name), len(scan_ids), row.shape[1:], row.dtype)
            )
            for name, row in one.items()
        }
        if any(store.fresh for store in stores.values()):
            done, computed = 0, []
        computed = _computed(computed, request, done)
        advance = stack.enter_context(progress(what, len(scan_ids), done=done))
        counted = time.monotonic()
        for inputs, ages in batches(cohort, scan_ids[done:], size):
            for name, values in see(inputs, ages).items():
                stores[name].write(done, values)
            done += len(ages)
            if done == len(scan_ids) or time.monotonic() - counted > _SECONDS_BETWEEN_COUNTS:
                _count(directory, request, done, computed, stores.values())
                counted = time.monotonic()
            advance(len(ages))
    return {name: np.load(directory / _file(name), mmap_mode="r", allow_pickle=False) for name in one}


def _computed(
    earlier: Sequence[Mapping[str, Any]], request: Mapping[str, Any], done: int
) -> list[Mapping[str, Any]]:
    """Return how rows were computed: from which row on with how many threads, and how many scans a batch.

    The last bits of sums depend on both, so rows that an interrupted audit computed on two machines say so.
    """
    now = {name: request.get(name) for name in _RECORDED}
    if earlier and now == {name: earlier[-1].get(name) for name in _RECORDED}:
        return list(earlier)
    return [*earlier, {"from": done, **now}]


def _count(
    directory: Path,
    request: dict[str, Any],
    done: int,
    computed: Sequence[Mapping[str, Any]],
    stores: Iterable[RowFile],
) -> None:
    """Record in the ledger how many rows are finished, after they are on the disk.

    The system writes files in any order. After a power cut, a ledger that was on the disk before its rows
    would count rows of zeros.
    """
    for store in stores:
        store.sync()
    decides = {name: value for name, value in request.items() if name not in _RECORDED}
    ledger = {"request": decides, "computed": list(computed), "rows": done}
    write_json(directory / _LEDGER, ledger, mode=OWNER_ONLY)


def batch_size(model: nn.Module, example: Tensor, *, backward: bool) -> int:
    """Return how many scans fit the memory limit.

    On processors it is the same on every machine, since the last bits of a sum depend on it. On CUDA the
    limit is a share of the card's memory, so that the batch is the same on equal cards.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        return 1  # hooks cannot see its layers, so their memory is unknown
    per_scan = footprint(model, example).activation_bytes * (_BACKWARD_FACTOR if backward else 1.0)
    memory, largest = _limits(example.device)
    return int(np.clip(memory // max(per_scan, 1.0), 1, largest))


def _limits(device: torch.device) -> tuple[float, int]:
    """Return how many bytes the activations of a batch may take on a device, and its most scans."""
    if device.type != "cuda":
        return MEMORY_LIMIT, _LARGEST_BATCH
    return _SHARE_OF_CUDA * torch.cuda.get_device_properties(device).total_memory, _LARGEST_BATCH_ON_CUDA


def _rows_done(directory: Path, request: dict[str, Any], scans: int) -> tuple[int, list[Mapping[str, Any]]]:
    """Return how many rows an earlier call finished, and how; refuse what was made from something else."""
    with disk_guard(directory):
        directory.mkdir(parents=True, exist_ok=True)
    if not (directory / _LEDGER).exists():
        return 0, []
    stored = load_json(directory / _LEDGER)
    earlier = stored.get("request") if isinstance(stored, dict) else None
    damaged = StaleError(f"{directory / _LEDGER} is damaged; delete {directory} and audit again")
    if not isinstance(stored, dict) or not isinstance(earlier, dict):
        raise damaged
    changes = differences(earlier, request)
    if others := {name: change for name, change in changes.items() if name not in _RECORDED}:
        raise StaleError(
            f"{directory} holds signals of another audit ({in_words(others)}); delete it and audit again"
        )
    rows, computed = stored.get("rows"), stored.get("computed", [])
    if type(rows) is not int or not 0 <= rows <= scans:
        raise damaged
    if not isinstance(computed, list) or not all(isinstance(entry, dict) for entry in computed):
        raise damaged
    return rows, computed


def _arrays(seen: Capture, wanted: Wanted, every: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the rows of each signal that one batch gives."""
    arrays = {PREDICTION: seen.predictions.double().cpu().numpy()}
    if wanted.activation:
        arrays[ACTIVATION] = seen.entered[wanted.activation].float().cpu().numpy()
    for name, path in wanted.gradients.items():
        arrays[gradient(name)] = seen.gradients[path].float().cpu().numpy()
    if every:
        norms = [seen.gradients[path].norm(dim=1) for path in every]
        arrays[GRADIENT_NORMS] = torch.stack(norms, dim=1).float().cpu().numpy()
    return arrays


def _file(name: str) -> str:
    return name.replace(":", "-").replace("/", "-") + ".npy"
