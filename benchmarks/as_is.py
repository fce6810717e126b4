"""A cohort of images as they are at 1 mm: seconds and bytes of a scan, and memory that does not grow."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from benchmarks.harness import (
    Figure,
    alternate,
    arguments,
    peak_bytes,
    ratio,
    reset_peak,
    resident_bytes,
    show,
)
from memberscan.cohort import Cohort
from memberscan.cohort.manifest import VOLUMES

GRID = (182, 218, 182)
FEW, MANY = 4, 16
KEYS = ("bytes", "seconds", "stored")


def of_one(count: int) -> dict[str, float]:
    """Build a cohort of so many images; return the rise of the resident set, and time and bytes of a scan."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for n in range(count):
            (root / "bids" / f"sub-{n}" / "anat").mkdir(parents=True)
            image = nib.Nifti1Image(rng.integers(0, 4000, GRID, dtype=np.int16), np.eye(4))
            nib.save(image, root / "bids" / f"sub-{n}" / "anat" / f"sub-{n}_T1w.nii.gz")
        people = pd.DataFrame({"participant_id": [f"sub-{n}" for n in range(count)], "age": 50})
        people.to_csv(root / "bids" / "participants.tsv", sep="\t", index=False)
        reset_peak()
        before, start = resident_bytes(), time.perf_counter()
        Cohort.from_bids(root / "bids", root / "cohort", spacing=None, workers=1)
        seconds = time.perf_counter() - start
        stored = (root / "cohort" / VOLUMES).stat().st_size
        return dict(zip(KEYS, (peak_bytes() - before, seconds / count, stored / count), strict=True))


def in_fresh_process(key: str, count: int) -> float:
    """Return one figure of :func:`of_one` of a process that did nothing else."""
    command = [sys.executable, "-m", "benchmarks.as_is", "--one", str(count)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return float(found[key])


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--one", type=int, metavar="SCANS", help="print the figures of one build, and stop")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(of_one(options.one)))
        return 0
    peaks = {str(n): partial(in_fresh_process, "bytes", n) for n in (FEW, MANY)}
    samples = alternate(peaks, options.repetitions, warm_up=False)
    name = f"peak memory of {MANY} scans / {FEW}"
    figures = [
        ratio(name, samples, str(MANY), str(FEW), limit=1.2, unit="MiB", scale=2**-20),
        Figure("time of a scan", [in_fresh_process("seconds", FEW)], "s"),
        Figure("size of a scan", [in_fresh_process("stored", FEW) / 2**20], "MiB"),
    ]
    return show("images as they are at 182x218x182", figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
