"""Recipes for models of age from tables of regional measures, for the study of references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from memberscan.errors import BadInputError

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

MORPHOMETRY = ("morphometry/openneuro.csv", "morphometry/ixi.csv")


@dataclass(frozen=True, eq=False)
class Measures:
    """Regional measures of some scans.

    Parameters
    ----------
    scans
        Columns subject_id, age, sex and site.
    features
        Of each scan, standardised within its table.
    """

    scans: pd.DataFrame
    features: Float[np.ndarray, "scans features"]


def morphometry(folder: Path) -> Measures:
    """Read both tables of a folder; a measure that only the other table has is zero, its mean.

    Raises
    ------
    BadInputError
        If a table is not there.
    """
    openneuro, ixi = (_csv(folder / name) for name in MORPHOMETRY)
    first = _described(openneuro, "uid", openneuro["site"], ["sub_id", "sitenum", "split"])
    second = _described(ixi, "participant_id", pd.Series("ixi", index=ixi.index), [])
    sizes = [len(first.scans), len(second.scans)]
    features = np.zeros((sum(sizes), first.features.shape[1] + second.features.shape[1] + 1))
    features[: sizes[0], : first.features.shape[1]] = first.features
    features[sizes[0] :, first.features.shape[1] : -1] = second.features
    features[: sizes[0], -1] = 1
    return Measures(pd.concat([first.scans, second.scans], ignore_index=True), features)


def _csv(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise BadInputError(f"the study of references needs {path}; give the folder that has it as --data")
    return pd.read_csv(path)


def _described(table: pd.DataFrame, subject: str, site: pd.Series, others: list[str]) -> Measures:
    scans = pd.DataFrame(
        {"subject_id": table[subject], "age": table["age"], "sex": table["sex"], "site": site}
    )
    rest = table.drop(columns=[subject, "age", *others]).select_dtypes("number").to_numpy(float)
    rest = rest[:, rest.std(axis=0) > 0]
    return Measures(scans, (rest - rest.mean(axis=0)) / rest.std(axis=0))


Predict = Callable[[np.ndarray], np.ndarray]
"""Return the predicted age, in years, of each row of features."""
Recipe = Callable[[np.ndarray, np.ndarray, int], Predict]
"""Train a model: features, age, seed."""


def ridge(x: np.ndarray, age: np.ndarray, seed: int) -> Predict:  # noqa: ARG001
    """Ridge regression, penalty 100."""
    from sklearn.linear_model import Ridge

    return cast("Predict", Ridge(alpha=100.0).fit(x, age).predict)


def support_vectors(x: np.ndarray, age: np.ndarray, seed: int) -> Predict:  # noqa: ARG001
    """Support-vector regression with a Gaussian kernel."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR

    model = make_pipeline(StandardScaler(), SVR(C=10.0, epsilon=1.0)).fit(x, age)
    return cast("Predict", model.predict)


def forest(x: np.ndarray, age: np.ndarray, seed: int) -> Predict:
    """A random forest of 100 trees, the defaults of scikit-learn but for the share of features."""
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(max_features=1 / 3, random_state=seed).fit(x, age)
    return cast("Predict", model.predict)


def mlp(x: np.ndarray, age: np.ndarray, seed: int) -> Predict:
    """Two hidden layers of 128 units, 60 epochs of Adam."""
    import torch

    mean, spread = float(age.mean()), float(age.std())
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        inputs = torch.as_tensor(x, dtype=torch.float32)
        targets = torch.as_tensor((age - mean) / spread, dtype=torch.float32)
        model = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], 128),
            torch.nn.ReLU(),
            torch.nn.Linear(128, 128),
            torch.nn.ReLU(),
            torch.nn.Linear(128, 1),
        )
        _descend(model, inputs, targets, epochs=60)

    def predict(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found = model(torch.as_tensor(rows, dtype=torch.float32))[:, 0]
        return np.asarray(found.numpy(), dtype=float) * spread + mean

    return predict


def _descend(model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor, *, epochs: int) -> None:
    import torch

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(inputs)), 32):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(inputs[rows])[:, 0], targets[rows])
            torch.autograd.backward(loss)
            optimizer.step()


RECIPES: dict[str, Recipe] = {
    "ridge": ridge,
    "support vectors": support_vectors,
    "forest": forest,
    "MLP": mlp,
}
