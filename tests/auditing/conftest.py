"""Predictions files with a known leak, confounded ones, and the published schema to hold results against."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest

from memberscan.report.schema import published

VALIDATOR = jsonschema.Draft202012Validator(published())
MakePredictions = Callable[..., Path]


def require_valid(content: dict[str, Any]) -> None:
    """Fail unless this is an audit.json by the published schema, without a key that it does not describe."""
    VALIDATOR.validate(content)


def predictions_table(
    rng: np.random.Generator, subjects: int = 80, *, ratio: float = 1.0, older: float = 0.0, scans: int = 1
) -> pd.DataFrame:
    """Return predictions whose errors are ``ratio`` times as large for non-members.

    Members are ``older`` standard deviations older; errors do not depend on age.
    """
    member = np.arange(subjects) % 2 == 0
    age = np.repeat(rng.normal(62 + 8 * older * member, 8), scans) + np.tile(np.arange(scans), subjects) / 2
    inside = np.repeat(member, scans)
    error = rng.normal(size=len(age)) * np.where(inside, 3.0, 3.0 * ratio)
    table = pd.DataFrame(
        {
            "subject_id": np.repeat([f"Subjekt {n:04d}/é" for n in range(subjects)], scans),
            "age": age.round(3),
            "prediction": (age + error).round(6),
            "member": inside.astype(int),
            "sex": np.repeat(rng.choice(["F", "M"], subjects), scans),
            "icv": np.repeat(rng.normal(1500, 100, subjects).round(1), scans),
        }
    )
    if scans > 1:
        table.insert(1, "scan_id", [f"scan/{n}" for n in rng.permutation(len(table))])
    return table


@pytest.fixture
def predictions(tmp_path: Path) -> MakePredictions:
    """Return a function that writes a predictions file."""

    def write(name: str = "predictions.tsv", *, seed: int = 0, subjects: int = 80, **options: Any) -> Path:
        table = predictions_table(np.random.default_rng(seed), subjects, **options)
        table.to_csv(tmp_path / name, sep="\t", index=False)
        return tmp_path / name

    return write
