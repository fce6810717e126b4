"""Peak memory of per-sample gradients of the paper's 3D-CNN at 91x109x91, beside that of a plain step."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

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

BATCHES = (1, 4)
KINDS = ("ours", "plain")


def peak_of_one(kind: str, size: int) -> int:
    """Return by how much the resident set rises at most in one step of this process."""
    from benchmarks.gradients import ALL, batch, paths, plain_step, target
    from memberscan.models.gradients import capture

    def step(grid: tuple[int, ...]) -> None:
        model, (inputs, ages) = target(grid), batch(size, grid)
        reset_peak()
        before.append(resident_bytes())
        if kind == "ours":
            capture(model, inputs, ages, layers=paths(model, ALL))
        else:
            plain_step(model, inputs, ages)

    before: list[int] = []
    # A small step first: libraries that are loaded and caches that are filled once are no one's price.
    step((24, 24, 24))
    step((91, 109, 91))
    return peak_bytes() - before[-1]


def in_fresh_process(kind: str, size: int) -> float:
    """Return :func:`peak_of_one` of a process that did nothing else."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", kind, str(size)]
    return float(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def measure(size: int, repetitions: int) -> Figure:
    """Compare at one batch size."""
    samples = alternate(
        {kind: partial(in_fresh_process, kind, size) for kind in KINDS}, repetitions, warm_up=False
    )
    name = f"conv1 + conv6 + output / plain step, batch {size}"
    return ratio(name, samples, *KINDS, limit=1.35, goal=1.2, unit="MiB", scale=2**-20)


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument(
        "--one", nargs=2, metavar=("KIND", "BATCH"), help="print the bytes of one step, and stop"
    )
    options = parser.parse_args()
    if options.one:
        print(peak_of_one(options.one[0], int(options.one[1])))
        return 0
    figures = [measure(size, options.repetitions) for size in BATCHES]
    return show("per-sample gradients, 3D-CNN at 91x109x91: peak memory", figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
