"""What reading a batch from the float16 store takes, as a share of the training step that it feeds."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from benchmarks.harness import Figure, alternate, arguments, ratio, show, timed
from memberscan.cohort import Cohort
from memberscan.cohort.manifest import VOLUMES
from memberscan.models import AgeRegressor, ModelSpec, build
from memberscan.models.inputs import as_inputs

LIMIT = 0.05
COHORTS = ((4.0, 32, 8), (2.0, 8, 4))
"""Spacing (mm), scans and batch size of each phantom cohort."""


def read_once(path: Path, size: int, *, cold: bool) -> float:
    """Return the seconds that one batch takes, from the page cache or, if ``cold``, from the disk."""
    cohort = Cohort.open(path)
    ids = cohort.scans.index[torch.randperm(len(cohort))[:size].numpy()].tolist()
    if cold:
        _forget(path / VOLUMES)
    else:
        as_inputs(Cohort.open(path), ids)
    start, before = time.perf_counter(), _bytes_read()
    inputs = as_inputs(cohort, ids)
    seconds = time.perf_counter() - start
    if cold and _bytes_read() - before < inputs.nbytes // 2:
        raise SystemExit(f"{path} did not leave the page cache; use a folder on a disk (TMPDIR)")
    return seconds


def _forget(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _bytes_read() -> int:
    """Return the bytes that this process made the kernel fetch from a disk."""
    found = re.search(r"^read_bytes: (\d+)$", Path("/proc/self/io").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def training_step(model: AgeRegressor, optimizer: torch.optim.Optimizer, inputs: torch.Tensor) -> None:
    """Do one step as :mod:`memberscan.training.loop` does."""
    loss = model.head.loss(model.standard_outputs(inputs).float(), torch.zeros(len(inputs))).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def measure(path: Path, spacing: float, scans: int, size: int, repetitions: int) -> list[Figure]:
    """Compare on one phantom cohort."""
    cohort = Cohort.phantom(path, subjects=scans, spacing=spacing)
    torch.manual_seed(0)
    model = build(ModelSpec("cnn3d", cohort.shape)).train()
    assert isinstance(model, AgeRegressor)
    optimizer = torch.optim.Adam(model.parameters())
    inputs = as_inputs(cohort, cohort.scans.index[:size].tolist())
    del cohort  # its memory map would keep the pages in memory
    samples = alternate(
        {
            "warm": partial(read_once, path, size, cold=False),
            "step": timed(lambda: training_step(model, optimizer, inputs)),
            "cold": partial(read_once, path, size, cold=True),
        },
        repetitions,
    )
    where = f"{spacing:g} mm, batch {size}"
    return [
        ratio(f"reading from the page cache / step, {where}", samples, "warm", "step", limit=LIMIT),
        ratio(f"reading from the disk / step, {where}", samples, "cold", "step", limit=LIMIT),
    ]


def main() -> int:
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="memberscan-bench-") as folder:
        figures = [
            figure
            for spacing, scans, size in COHORTS
            for figure in measure(Path(folder, f"{spacing:g}mm"), spacing, scans, size, options.repetitions)
        ]
    return show("loading from the store, 3D-CNN on phantoms", figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
