"""Rows of signals on disk, batch by batch: memory does not grow, and a killed pass goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor

from memberscan.cohort import Cohort
from memberscan.errors import StaleError
from memberscan.files import disk_guard, write_json
from memberscan.models.inputs import as_inputs, batches
from memberscan.progress import progress
from memberscan.received import load_json
from memberscan.rows import RowFile

_LEDGER = "signals.json"
_SECONDS_BETWEEN_COUNTS = 2.0


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
    done = _rows_done(directory, request, len(scan_ids))
    with contextlib.ExitStack() as stack:
        stores = {
            name: stack.enter_context(
                RowFile.open(directory / _file(name), len(scan_ids), row.shape[1:], row.dtype)
            )
            for name, row in one.items()
        }
        if any(store.fresh for store in stores.values()):
            done = 0
        advance = stack.enter_context(progress(what, len(scan_ids), done=done))
        counted = time.monotonic()
        for inputs, ages in batches(cohort, scan_ids[done:], size):
            for name, values in see(inputs, ages).items():
                stores[name].write(done, values)
            done += len(ages)
            if done == len(scan_ids) or time.monotonic() - counted > _SECONDS_BETWEEN_COUNTS:
                _count(directory, request, done, stores.values())
                counted = time.monotonic()
            advance(len(ages))
    return {name: np.load(directory / _file(name), mmap_mode="r", allow_pickle=False) for name in one}


def _count(directory: Path, request: dict[str, Any], done: int, stores: Iterable[RowFile]) -> None:
    """Record in the ledger how many rows are finished, after they are on the disk.

    The system writes files in any order. After a power cut, a ledger that was on the disk before its rows
    would count rows of zeros.
    """
    for store in stores:
        store.sync()
    write_json(directory / _LEDGER, {"request": request, "rows": done}, mode=0o600)


def _rows_done(directory: Path, request: dict[str, Any], scans: int) -> int:
    """Return how many rows an earlier call finished; refuse what was made from something else."""
    with disk_guard(directory):
        directory.mkdir(parents=True, exist_ok=True)
    if not (directory / _LEDGER).exists():
        return 0
    stored = load_json(directory / _LEDGER)
    if not isinstance(stored, dict) or stored.get("request") != request:
        raise StaleError(
            f"{directory} holds signals of another model, cohort or thread count; delete it and audit again"
        )
    rows = stored.get("rows")
    if type(rows) is not int or not 0 <= rows <= scans:
        raise StaleError(f"{directory / _LEDGER} is damaged; delete {directory} and audit again")
    return rows


def _file(name: str) -> str:
    """Return a file name for a signal; two signals never share one, whatever their layers are called."""
    return quote(name, safe="") + ".npy"
