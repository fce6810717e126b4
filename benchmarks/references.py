"""What training reference models takes: many of them, and two at a time against one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import Figure, arguments, show

PEOPLE, FEATURES = 518, 245
MANY, FEW = 64, 24
SECONDS, AT_MOST = 180.0, 1 / 1.6


def write_table(path: Path) -> None:
    """Write regional measures of people, of which some follow age."""
    random = np.random.default_rng(0)
    age = random.uniform(5, 75, PEOPLE)
    slopes = random.normal(size=FEATURES) * (random.random(FEATURES) < 0.3)
    values = random.normal(size=(PEOPLE, FEATURES)) + np.outer(age / 30, slopes)
    table = pd.DataFrame(values, columns=[f"measure {k}" for k in range(FEATURES)])
    table.insert(0, "subject", [f"s{k:04d}" for k in range(PEOPLE)])
    table.insert(1, "age", age.round(2))
    table.to_csv(path, index=False)


def _command(*words: object, folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "memberscan", *map(str, words)], cwd=folder, check=True, capture_output=True
    )
    return time.perf_counter() - started


def main() -> int:
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="memberscan-references-") as name:
        folder = Path(name)
        write_table(folder / "table.csv")
        _command(
            "cohort", "table", "table.csv", "cohort", "--subject", "subject", "--age", "age", folder=folder
        )
        _command("train", "cohort", "run", "--model", "mlp", "--seed", "0", folder=folder)
        ratios = []
        for k in range(min(options.repetitions, 3)):
            one, two = (
                _command(
                    *("references", "run", f"refs-{k}-{workers}", "--count", FEW, "--workers", workers),
                    folder=folder,
                )
                for workers in (1, 2)
            )
            ratios.append(two / one)
        many = _command("references", "run", "many", "--count", MANY, "--workers", 2, folder=folder)
    figures = [
        Figure(f"{MANY} perceptrons on {PEOPLE} people, two at a time", [many], "s", limit=SECONDS),
        Figure(f"{FEW} perceptrons: two at a time / one", ratios, "", limit=AT_MOST),
    ]
    return show("training reference models", figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
