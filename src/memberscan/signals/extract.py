"""One pass over a run's scans that writes down what an attacker sees of each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from memberscan.cohort import Cohort
from memberscan.errors import StaleError
from memberscan.files import read_json, write_json
from memberscan.models.footprint import footprint
from memberscan.models.inputs import as_inputs, batches, resolve_device
from memberscan.progress import progress
from memberscan.rows import RowFile
from memberscan.runs import Run
from memberscan.signals.gradients import Capture, agrees_with_autograd, capture, capture_slowly, parameter_layers
from memberscan.signals.signals import ACTIVATION, GRADIENT_NORMS, PREDICTION, Signals, gradient

MEMORY_LIMIT = 2 << 30
_LARGEST_BATCH = 8
_BACKWARD_FACTOR = 2.5
_LEDGER = "signals.json"


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
    modules = dict(model.named_modules())
    paths = {name: declared.get(name, name) for name in names}
    return {name: path for name, path in paths.items() if path in modules and any(modules[path].parameters(recurse=False))}


def extract(run: Run, cohort: Cohort, scan_ids: Sequence[str], wanted: Wanted, directory: Path) -> Signals:
    """Run a model over scans and store what an attacker sees, batch by batch, resuming where an earlier call stopped.

    Memory does not grow with the number of scans: the batch is as large as :data:`MEMORY_LIMIT` allows for this model and
    grid, and wide signals are read back memory-mapped.

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
    """
    device = resolve_device("auto")
    model = run.load().to(device)
    layers = list(dict.fromkeys([*wanted.gradients.values(), *(parameter_layers(model) if wanted.norms else [])]))
    first = cohort.scans.loc[list(scan_ids[:2])]
    inputs = as_inputs(cohort, first.index.tolist()).to(device)
    ages = torch.from_numpy(first["age"].to_numpy(np.float32, copy=True)).to(device)
    size = _batch_size(model, inputs[:1], backward=wanted.needs_gradients)
    fast = not layers or agrees_with_autograd(model, inputs, ages, layers)
    request = {
        "weights": run.weights_fingerprint,
        "cohort": cohort.fingerprint,
        "scans": list(scan_ids),
        "gradients": dict(wanted.gradients),
        "layers": layers,
        "activation": wanted.activation,
        "route": "batched" if fast else "one at a time",
        "threads": torch.get_num_threads(),
        "batch": size,
    }
    done = _rows_done(directory, request)
    take = capture if fast else capture_slowly
    entering = [wanted.activation] if wanted.activation else []
    widths = _widths(take(model, inputs[:1], ages[:1], layers=layers, entering=entering), wanted)
    with _row_files(directory, len(scan_ids), widths) as stores, progress("reading signals", len(scan_ids), done=done) as bar:
        for x, y in batches(cohort, scan_ids[done:], size):
            for name, values in _arrays(take(model, x.to(device), y.to(device), layers=layers, entering=entering), wanted).items():
                stores[name].write(done, values)
            done += len(y)
            write_json(directory / _LEDGER, {"request": request, "rows": done})
            bar(len(y))
    arrays = {name: np.load(directory / _file(name), mmap_mode="r", allow_pickle=False) for name in widths}
    return Signals(cohort.scans.loc[list(scan_ids), ["subject_id", "age"]], arrays)


def _batch_size(model: nn.Module, example: torch.Tensor, *, backward: bool) -> int:
    """Return how many scans fit the memory limit; the same on every machine, since sums depend on it in their last bits."""
    per_scan = footprint(model, example).activation_bytes * (_BACKWARD_FACTOR if backward else 1.0)
    return int(np.clip(MEMORY_LIMIT // max(per_scan, 1.0), 1, _LARGEST_BATCH))


def _rows_done(directory: Path, request: dict[str, Any]) -> int:
    """Return how many rows an earlier call finished; refuse what was made from something else."""
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / _LEDGER).exists():
        return 0
    stored = read_json(directory / _LEDGER)
    if stored["request"] != request:
        raise StaleError(f"{directory} holds signals of another model, cohort or thread count; delete it and audit again")
    return int(stored["rows"])


def _arrays(seen: Capture, wanted: Wanted) -> dict[str, np.ndarray]:
    """Return the rows of each signal that one batch gives."""
    arrays = {PREDICTION: seen.predictions.double().cpu().numpy()}
    if wanted.activation:
        arrays[ACTIVATION] = seen.entered[wanted.activation].float().cpu().numpy()
    for name, path in wanted.gradients.items():
        arrays[gradient(name)] = seen.gradients[path].float().cpu().numpy()
    if wanted.norms:
        norms = [g.norm(dim=1) for g in seen.gradients.values()]
        arrays[GRADIENT_NORMS] = torch.stack(norms, dim=1).float().cpu().numpy()
    return arrays


def _widths(seen: Capture, wanted: Wanted) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    return {name: (values.shape[1:], values.dtype) for name, values in _arrays(seen, wanted).items()}


@contextlib.contextmanager
def _row_files(
    directory: Path, rows: int, widths: Mapping[str, tuple[tuple[int, ...], np.dtype]]
) -> Iterator[dict[str, RowFile]]:
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(RowFile.open(directory / _file(name), rows, shape, dtype))
            for name, (shape, dtype) in widths.items()
        }


def _file(name: str) -> str:
    return name.replace(":", "-").replace("/", "-") + ".npy"
