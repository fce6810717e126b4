"""Recipes as users write them, for tests of references of any model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import Ridge

from memberscan.cohort import Cohort

SAID = "something went wrong in the lab's own code"


def data(cohort: Cohort, members: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    scans = cohort.scans[cohort.scans["subject_id"].isin(members)]
    return cohort.read(scans.index.tolist()).reshape(len(scans), -1), scans["age"].to_numpy()


def ridge(cohort: Cohort, members: Sequence[str], seed: int) -> Ridge:
    return Ridge().fit(*data(cohort, members))


def predictions(cohort: Cohort, members: Sequence[str], seed: int) -> np.ndarray:
    """Return noisy predictions of all scans; the noise is from numpy's global generator."""
    inputs = cohort.read(cohort.scans.index.tolist()).reshape(len(cohort), -1)
    noise = np.random.normal(size=len(cohort))  # noqa: NPY002
    return np.asarray(ridge(cohort, members, seed).predict(inputs) + noise)


def by_scan(cohort: Cohort, members: Sequence[str], seed: int) -> pd.Series:
    """Return the same by scan id, in another order."""
    return pd.Series(predictions(cohort, members, seed), index=cohort.scans.index)[::-1]


def network(cohort: Cohort, members: Sequence[str], seed: int) -> torch.nn.Module:
    inputs = cohort.read(cohort.scans.index[:1].tolist())
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(inputs.size, 1))


class WithDose(torch.nn.Module):
    """Takes a number beside the row of features."""

    def forward(self, features: torch.Tensor, dose: torch.Tensor) -> torch.Tensor:
        return features.mean(dim=1) + dose[:, 0]


def with_dose(cohort: Cohort, members: Sequence[str], seed: int) -> torch.nn.Module:
    return WithDose()


def of_everybody(cohort: Cohort, members: Sequence[str], seed: int) -> Ridge:
    """Return the same model whoever is asked for: a mistake that is easily made."""
    del members
    return ridge(cohort, cohort.subjects, seed)


def constant(cohort: Cohort, members: Sequence[str], seed: int) -> np.ndarray:
    return np.full(len(cohort), 60.0)


def fails(cohort: Cohort, members: Sequence[str], seed: int) -> Any:
    raise RuntimeError(SAID)


def too_few(cohort: Cohort, members: Sequence[str], seed: int) -> np.ndarray:
    return predictions(cohort, members, seed)[:-1]


def nothing(cohort: Cohort, members: Sequence[str], seed: int) -> None:
    return None


def lacking(cohort: Cohort, members: Sequence[str], seed: int) -> dict[str, float]:
    return dict(list(by_scan(cohort, members, seed).items())[:-1])
