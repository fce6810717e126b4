"""What reference models take: training many, two at a time against one, and all attacks that use them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import Figure, arguments, peak_bytes, show

PEOPLE, FEATURES = 518, 245
MANY, FEW = 64, 12
SECONDS, AT_MOST = 180.0, 1 / 1.6
SCANS, REFERENCES = 10_000, 64
ATTACK_SECONDS, MEGABYTES = 3.0, 1000.0


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


def attacks_here() -> dict[str, float]:
    """Run every attack with references once; return the seconds and the peak memory of this process."""
    from memberscan.attacks import REGISTRY
    from memberscan.attacks.with_references import Compared, ReferenceAttack

    random = np.random.default_rng(0)
    half = random.permuted(np.tile(np.arange(SCANS) % 2 == 0, (REFERENCES // 2, 1)), axis=1)
    inside = np.stack([half, ~half], axis=1).reshape(REFERENCES, SCANS)
    own = random.normal(size=SCANS)
    residual = 5 * (own + random.normal(size=inside.shape)) * np.where(inside, 0.7, 1.0)
    compared = Compared(residual[0], residual, inside, random.uniform(20, 80, SCANS))
    # Loading scipy's and scikit-learn's modules is not part of it.
    every = [attack for attack in REGISTRY.values() if isinstance(attack, ReferenceAttack)]
    small = np.arange(100)
    tiny = Compared(residual[0, small], residual[:4, small], inside[:4, small], compared.age[small])
    for attack in every:
        attack.statistic(tiny)
    started = time.perf_counter()
    for attack in every:
        attack.statistic(compared)
    return {"seconds": time.perf_counter() - started, "peak": peak_bytes(), "attacks": len(every)}


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--attacks", action="store_true", help="run the attacks, print what they took, stop")
    options = parser.parse_args()
    if options.attacks:
        print(json.dumps(attacks_here()))
        return 0
    taken = [
        json.loads(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.references", "--attacks"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for _ in range(options.repetitions)
    ]
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
        Figure(
            f"all attacks on {SCANS:,} scans and {REFERENCES} references",
            [t["seconds"] for t in taken],
            "s",
            limit=ATTACK_SECONDS,
        ),
        Figure("the same, peak memory", [t["peak"] / 1e6 for t in taken], "MB", limit=MEGABYTES),
    ]
    return show("reference models", figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
