"""Each entry of the table is found in a model that was fitted and pickled, and says what it says."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import (
    cluster,
    covariance,
    cross_decomposition,
    decomposition,
    ensemble,
    gaussian_process,
    impute,
    isotonic,
    kernel_approximation,
    kernel_ridge,
    linear_model,
    manifold,
    model_selection,
    neighbors,
    preprocessing,
    semi_supervised,
    svm,
    tree,
)

from memberscan.inspection.detectors.stored_rows import STORED_ROWS, StoredRows, stored_rows
from memberscan.inspection.values import Instance

from ..readers.pickle_lab import instances, loaded
from .golden.make import ages, inputs

GOLDEN = Path(__file__).parent / "golden"
ROWS, LABELS = inputs(), ages()
CLASSES = (LABELS.mean() < LABELS).astype(int)

REGRESSORS = (
    neighbors.KNeighborsRegressor(3, algorithm="kd_tree"),
    neighbors.RadiusNeighborsRegressor(5.0, algorithm="ball_tree"),
    neighbors.NearestNeighbors(n_neighbors=3),
    neighbors.KNeighborsTransformer(n_neighbors=3),
    neighbors.LocalOutlierFactor(3),
    neighbors.KernelDensity(),
    impute.KNNImputer(),
    svm.SVR(),
    svm.NuSVR(),
    svm.OneClassSVM(),
    gaussian_process.GaussianProcessRegressor(optimizer=None),
    kernel_ridge.KernelRidge(kernel="rbf"),
    decomposition.KernelPCA(2),
    kernel_approximation.Nystroem(n_components=5),
    cluster.AffinityPropagation(damping=0.9),
    cluster.HDBSCAN(min_cluster_size=3, copy=True),
    cluster.KMeans(3, n_init=1),
    cluster.MeanShift(),
    cluster.Birch(n_clusters=3),
    cluster.SpectralClustering(2, n_init=1),
    cluster.OPTICS(min_samples=3),
    manifold.Isomap(n_neighbors=4),
    manifold.LocallyLinearEmbedding(n_neighbors=4, eigen_solver="dense"),
    manifold.MDS(n_init=1, init="random", max_iter=5),
    manifold.SpectralEmbedding(n_neighbors=4),
    manifold.TSNE(perplexity=3, max_iter=250),
    covariance.MinCovDet(random_state=0),
    cross_decomposition.PLSRegression(2),
    linear_model.HuberRegressor(),
    linear_model.RANSACRegressor(min_samples=7, random_state=0),
    linear_model.RidgeCV(store_cv_results=True),
    model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": [1, 2]}, cv=2),
    ensemble.RandomForestRegressor(15, oob_score=True, random_state=0),
    preprocessing.QuantileTransformer(n_quantiles=5),
    preprocessing.OneHotEncoder(),
    tree.DecisionTreeRegressor(),
)
CLASSIFIERS = (
    neighbors.KNeighborsClassifier(3),
    svm.SVC(),
    svm.NuSVC(),
    gaussian_process.GaussianProcessClassifier(optimizer=None),
    semi_supervised.LabelPropagation(n_neighbors=3, kernel="knn"),
    semi_supervised.LabelSpreading(),
    ensemble.RandomForestClassifier(15, oob_score=True, random_state=0),
)


def _pickles() -> Iterator[bytes]:
    for models, labels in ((REGRESSORS, LABELS), (CLASSIFIERS, CLASSES)):
        yield from (pickle.dumps(model.fit(ROWS, labels)) for model in models)
    yield pickle.dumps(isotonic.IsotonicRegression().fit(ROWS[:, 0], np.sort(LABELS)))
    yield pickle.dumps(torch.utils.data.TensorDataset(torch.tensor(ROWS), torch.tensor(LABELS)))
    yield from (path.read_bytes() for path in sorted(GOLDEN.glob("*.pkl")))


@pytest.fixture(scope="module")
def found() -> list[tuple[StoredRows, Instance]]:
    """Each entry with each record in which its attribute was found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records = [record for data in _pickles() for record in instances(loaded(data))]
    return [
        (entry, record)
        for record in records
        for entry in stored_rows(record.class_name)
        if record.state.get(entry.attribute) is not None
    ]


def test_every_entry_is_found_in_a_fitted_model(found: list[tuple[StoredRows, Instance]]) -> None:
    missing = set(STORED_ROWS) - {entry for entry, _ in found}
    assert not missing


def test_rows_and_labels_are_those_of_the_training(found: list[tuple[StoredRows, Instance]]) -> None:
    known = {"rows": {tuple(row) for row in ROWS}, "labels": {*LABELS, *CLASSES, -1}}
    compared = 0
    for entry, record in found:
        # Isomap gives its inner model a kernel instead of rows.
        if entry.held == "derived" or record.state.get("kernel") == "precomputed":
            continue
        value: Any = record.state[entry.attribute]
        value = np.asarray(value[0] if isinstance(value, tuple) else value)
        values = [tuple(row) for row in value] if entry.held == "rows" else value.tolist()
        assert values, entry
        assert set(values) <= known[entry.held], (entry, record.class_name)
        compared += 1
    assert compared > 30


def test_models_that_hold_no_rows_are_not_in_the_table() -> None:
    for model in (linear_model.Ridge(), ensemble.GradientBoostingRegressor(n_estimators=2)):
        assert stored_rows(f"{type(model).__module__}.{type(model).__name__}") == ()
    assert stored_rows("my.sklearn.svm.SVR") == ()
    assert [entry.attribute for entry in stored_rows("sklearn.svm.classes.SVR")] == [
        "support_vectors_",
        "support_",
        "dual_coef_",
    ]


def test_numbers_of_a_tree_are_labels_where_a_leaf_holds_one_row() -> None:
    (record,) = [
        record
        for record in instances(loaded(pickle.dumps(tree.DecisionTreeRegressor().fit(ROWS, LABELS))))
        if record.class_name == "sklearn.tree._tree.Tree"
    ]
    assert set(LABELS) <= set(np.ravel(record.state["values"]).tolist())
