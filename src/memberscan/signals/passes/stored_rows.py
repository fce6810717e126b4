"""Rows of signals on disk, batch by batch: memory does not grow, and an interrupted pass resumes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor

from memberscan.cohort import Cohort
from memberscan.errors import StaleError
from memberscan.files import OWNER_ONLY, disk_guard, write_json
from memberscan.models.inputs import as_inputs, batches
from memberscan.progress import progress
from memberscan.received import load_json
from memberscan.requests import differences, in_words
from memberscan.rows import RowFile

_RECORDED = ("threads", "batch")
"""How rows were computed: recorded with the rows, and never a reason to refuse them."""
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
    """Fill one file per signal, batch by batch, from where an earlier call stopped, and map them into memory.

    Parameters
    ----------
    directory, request
        Where the rows are stored, and what they depend on.
    cohort, scan_ids, size
        Which scans, and how many at a time.
    see
        Gives the rows of each signal from inputs and labels.
    what
        The label of the progress bar.
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
        for inputs, labels in batches(cohort, scan_ids[done:], size):
            for name, values in see(inputs, labels).items():
                stores[name].write(done, values)
            done += len(labels)
            if done == len(scan_ids) or time.monotonic() - counted > _SECONDS_BETWEEN_COUNTS:
                _count(directory, request, done, computed, stores.values())
                counted = time.monotonic()
            advance(len(labels))
    return {name: np.load(directory / _file(name), mmap_mode="r", allow_pickle=False) for name in one}


def _computed(
    earlier: Sequence[Mapping[str, Any]], request: Mapping[str, Any], done: int
) -> list[Mapping[str, Any]]:
    """Return how rows were computed: from which row on, with how many threads and scans per batch.

    The last bits of sums depend on both, so this is recorded if an audit was resumed on another machine.
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
    """Record in the ledger how many rows are finished, after they are on disk.

    The system writes files in any order. After a power failure, a ledger written before its rows would count
    rows of zeros.
    """
    for store in stores:
        store.sync()
    decides = {name: value for name, value in request.items() if name not in _RECORDED}
    ledger = {"request": decides, "computed": list(computed), "rows": done}
    write_json(directory / _LEDGER, ledger, mode=OWNER_ONLY)


def _rows_done(directory: Path, request: dict[str, Any], scans: int) -> tuple[int, list[Mapping[str, Any]]]:
    """Return how many rows an earlier call finished, and how; refuse rows of another request."""
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


def _file(name: str) -> str:
    """Return a file name for a signal; two signals never share one, whatever their layers are called."""
    return quote(name, safe="") + ".npy"
