"""Audit predictions alone: simulate a model that errs less on its training set, and see what that gives away.

Run it with `python examples/audit_predictions.py [DIRECTORY]`. The people are simulated.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from memberscan import audit

PEOPLE, TRAIN_ERROR, TEST_ERROR = 600, 3.0, 5.0


def write_predictions(path: Path) -> None:
    """Write a predictions file: half of the people are members, whose Gaussian errors are smaller."""
    rng = np.random.default_rng(0)
    member = rng.permutation(PEOPLE) < PEOPLE // 2
    age = rng.uniform(45, 80, PEOPLE)
    error = rng.normal(0, np.where(member, TRAIN_ERROR, TEST_ERROR))
    table = pd.DataFrame(
        {
            "subject_id": [f"person-{number:03d}" for number in range(PEOPLE)],
            "age": age.round(2),
            "prediction": (age + error).round(2),
            "member": member.astype(int),
            "sex": rng.choice(["F", "M"], PEOPLE),
        }
    )
    table.to_csv(path, sep="\t", index=False)


def main(directory: Path) -> None:
    """Write the file, audit it, and compare the error attack with what theory expects of it."""
    directory.mkdir(parents=True, exist_ok=True)
    write_predictions(directory / "predictions.tsv")
    result = audit(directory / "predictions.tsv", directory / "audit")
    found = result.findings.set_index("attack").loc["error:zero-knowledge"]
    expected = 2 / np.pi * np.arctan(TEST_ERROR / TRAIN_ERROR)
    print(result.content["verdict"]["sentence"])
    interval = f"{found.auc_low:.3f} to {found.auc_high:.3f}"
    print(f"error attack: AUC {found.auc_value:.3f} ({interval}), expected {expected:.3f}")
    print(f"report: {directory / 'audit' / 'audit.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "audit-predictions"))
