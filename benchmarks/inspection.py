"""How long ``memberscan inspect`` takes for a gibibyte: a checkpoint, a table and a log, against a cohort.

The files are made here from random numbers. Each is inspected by the command itself, from its start.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.harness import Figure, arguments, show
from memberscan.cohort import Cohort

SIZE = 1 << 30
SECONDS = 60.0
_PEOPLE, _MEASURES = 500, 200


def people(subjects: int, seed: int) -> pd.DataFrame:
    """Return a table of measures of people with ids and ages."""
    random = np.random.default_rng(seed)
    names = [f"thickness_{k}" for k in range(_MEASURES)]
    table = pd.DataFrame(random.normal(2.5, 0.3, (subjects, _MEASURES)).round(4), columns=names)
    table.insert(0, "subject", [f"LAB{seed}{k:06d}" for k in range(subjects)])
    table.insert(1, "age", random.uniform(20, 80, subjects).round(1))
    return table


def checkpoint(path: Path) -> None:
    """Write a checkpoint of 64 layers."""
    random = np.random.default_rng(1)
    layers = {f"layer{k}": random.standard_normal(SIZE // 256, dtype=np.float32) for k in range(64)}
    torch.save({name: torch.from_numpy(layer) for name, layer in layers.items()}, path)


def table(path: Path) -> None:
    """Write a table of measures, again and again."""
    lines = people(5000, 1).to_csv(index=False)
    heading, _, body = lines.partition("\n")
    _repeat(path, f"{heading}\n", body)


def log(path: Path) -> None:
    """Write the log of a long training."""
    stream = io.StringIO()
    for step in range(10_000):
        stream.write(
            f"2026-01-01 12:00:{step % 60:02d} INFO epoch {step // 100} step {step} loss 0.{step:05d}\n"
        )
    _repeat(path, "", stream.getvalue())


def _repeat(path: Path, heading: str, body: str) -> None:
    with path.open("w") as file:
        file.write(heading)
        while file.tell() < SIZE:
            file.write(body)


def seconds(path: Path, cohort: Path) -> float:
    """Return the wall time of the command, which must read the whole file."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "memberscan", "inspect", str(path), "--cohort", str(cohort), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    if '"not read"' in done.stdout:
        raise SystemExit(f"{path.name} was not read as a whole")
    return time.perf_counter() - start


def main() -> int:
    asked = arguments(__doc__).parse_args()
    figures = []
    with tempfile.TemporaryDirectory(prefix="memberscan-inspection-") as name:
        folder = Path(name)
        people(_PEOPLE, 0).to_csv(folder / "people.csv", index=False)
        Cohort.from_table(folder / "people.csv", folder / "cohort", subject="subject", age="age")
        for path, make in ((folder / "w.pt", checkpoint), (folder / "m.csv", table), (folder / "t.log", log)):
            make(path)
            took = [seconds(path, folder / "cohort") for _ in range(min(asked.repetitions, 2))]
            figures.append(Figure(f"inspect a {make.__name__} of 1 GiB", took, "s", limit=SECONDS))
            path.unlink()
    return show("memberscan inspect", figures, as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
