"""Writes the models in this folder; each was written by running this with the version in its name.

Usage: python make.py NAME, where NAME is "sklearn-0.23", "lightgbm-4.7", "umap-0.5" or "sklearn_rvm-0.1".
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

PEOPLE = 12


def inputs() -> np.ndarray:
    """Return the training rows, of shape (12, 5); all rows differ, and float32 holds them."""
    return (np.arange(60) * 7 % 60).reshape(12, 5) / 8.0


def ages() -> np.ndarray:
    """Return the labels, of shape (12,); none is a value of the inputs."""
    return np.arange(12) * 1.25 + 60.0625


def old_models() -> list[Any]:
    """Return models whose attributes or modules had other names in old versions of scikit-learn."""
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.decomposition import KernelPCA
    from sklearn.linear_model import RidgeCV
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.svm import SVR

    models = [
        KernelPCA(2),
        RidgeCV(store_cv_values=True),
        PLSRegression(),
        KNeighborsRegressor(algorithm="kd_tree"),
        SVR(),
    ]
    return [model.fit(inputs(), ages()) for model in models]


def model(name: str) -> Any:
    """Return a small model, or several, fitted on the rows."""
    if name == "sklearn":
        return old_models()
    if name == "lightgbm":
        import lightgbm

        return lightgbm.Dataset(inputs(), ages(), free_raw_data=False)
    if name == "umap":
        import umap

        return umap.UMAP(n_neighbors=3, random_state=0).fit(inputs())
    import sklearn_rvm

    machine = sklearn_rvm.EMRVR(kernel="rbf")
    machine.fit(inputs(), ages())
    return machine


if __name__ == "__main__":
    path = Path(__file__).parent / f"{sys.argv[1]}.pkl"
    path.write_bytes(pickle.dumps(model(sys.argv[1].partition("-")[0]), protocol=4))
