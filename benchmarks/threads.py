"""Two commands side by side, beside one after the other, and one alone, beside threads that spin.

OpenMP's threads spin at barriers by default: while one waits for the slowest, it keeps a core busy that the
slowest may need. memberscan lets them sleep. Other work on the machine changes these figures most of all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import Figure, alternate, arguments, ratio, show, timed
from memberscan.threads import available

COHORT = ("cohort", "phantom", "cohort", "--subjects", "48", "--spacing", "6", "--seed", "0")
TABLE = ("cohort", "table", "table.csv", "table", "--subject", "id", "--age", "age")
TRAINING = ("--members", "0.5", "--seed", "0", "--epochs")
SPINNING = {"OMP_NUM_THREADS": str(available()), "GOMP_SPINCOUNT": "300000"}
"""What torch and GNU's OpenMP do by default: here a user's choice, which memberscan leaves as it is."""


def commands() -> dict[str, tuple[str, ...]]:
    """Return what is timed, without its output directory."""
    return {
        "train 3D-CNN": ("train", "cohort", "{}", "--model", "cnn3d", *TRAINING, "8"),
        "train perceptron": ("train", "table", "{}", "--model", "mlp", *TRAINING, "60"),
        "audit 3D-CNN": ("audit", "run-cnn3d", "{}", "--access", "weights", "--repeats", "2"),
        "audit perceptron": ("audit", "run-mlp", "{}", "--access", "weights", "--repeats", "2"),
    }


class Workplace:
    """A folder with cohorts and trained models, in which commands run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0
        _write_table(folder / "table.csv")
        training = commands()
        self.run(COHORT)
        self.run(TABLE)
        for model, name in (("cnn3d", "3D-CNN"), ("mlp", "perceptron")):
            self.run([word.format(f"run-{model}") for word in training[f"train {name}"]])

    def start(self, command: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
        """Start a command in a process of its own, with the default of every variable that is not given."""
        prefixes = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
        return subprocess.Popen(
            [sys.executable, "-m", "memberscan", *command],
            cwd=self.folder,
            env={**kept, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, command: Sequence[str], **environment: str) -> None:
        """Run a command to its end."""
        self._end(self.start(command, **environment))

    def alone(self, command: Sequence[str], **environment: str) -> None:
        """Run a command into a new directory."""
        self.run(self._into_new(command), **environment)

    def one_after_the_other(self, command: Sequence[str]) -> None:
        """Run a command twice."""
        for _ in range(2):
            self.alone(command)

    def side_by_side(self, command: Sequence[str], **environment: str) -> None:
        """Run a command twice at once."""
        both = [self.start(self._into_new(command), **environment) for _ in range(2)]
        for process in both:
            self._end(process)

    def _into_new(self, command: Sequence[str]) -> list[str]:
        self._made += 1
        out = self.folder / f"out-{self._made}"
        shutil.rmtree(self.folder / f"out-{self._made - 4}", ignore_errors=True)
        return [word.format(out) for word in command]

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.wait():
            raise SystemExit(f"memberscan failed: {process.args}")


def _write_table(path: Path) -> None:
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(300, 68)), columns=[f"thickness {n}" for n in range(68)])
    table.insert(0, "id", [f"p{n}" for n in range(300)])
    table.insert(1, "age", (60 + 5 * table["thickness 0"] + rng.normal(0, 5, 300)).clip(20, 95).round(1))
    table.to_csv(path, index=False)


def measure(place: Workplace, name: str, command: Sequence[str], repetitions: int) -> list[Figure]:
    """Time one command in all ways."""
    ways: Mapping[str, Callable[[], object]] = {
        "side by side": partial(place.side_by_side, command),
        "one after the other": partial(place.one_after_the_other, command),
        "side by side, spinning": partial(place.side_by_side, command, **SPINNING),
        "alone": partial(place.alone, command),
        "alone, spinning": partial(place.alone, command, **SPINNING),
    }
    samples = alternate({way: timed(work) for way, work in ways.items()}, repetitions, warm_up=False)
    return [
        ratio(f"{name}: two at once / in turn", samples, "side by side", "one after the other", limit=1.25),
        ratio(f"{name}: two at once, sleeping / spinning", samples, *_both("side by side"), limit=None),
        ratio(f"{name}: alone, sleeping / spinning", samples, *_both("alone"), limit=1.05),
    ]


def _both(way: str) -> tuple[str, str]:
    return way, f"{way}, spinning"


def main() -> int:
    parser = arguments(__doc__)
    parser.set_defaults(repetitions=3)
    parser.add_argument("--only", help="time the commands whose name holds this text")
    options = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="memberscan-threads-") as temporary:
        place = Workplace(Path(temporary))
        figures = [
            figure
            for name, command in commands().items()
            if not options.only or options.only in name
            for figure in measure(place, name, command, options.repetitions)
        ]
    took = f"{time.perf_counter() - start:.0f} s in all"
    return show(f"threads that wait for each other, {took}", figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
