"""Training rows are found within lists, as sparse matrices, and by names that say what they are."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.inspection.values import Columns, Instance
from tests.inspection.looking import kinds, look

ROWS = np.random.default_rng(0).normal(size=(12, 5))
SPARSE = Instance("scipy.sparse._csr.csr_matrix", state={"_shape": (12, 5), "data": ROWS.ravel()})


@pytest.mark.parametrize(
    ("value", "people"),
    [
        (Instance("ksvm", state={"xmatrix": [ROWS, ROWS[:7]]}), 12),
        (Instance("ksvm", state={"xmatrix": {"a": ROWS[:7], "b": ROWS}}), 12),
        (Instance("sklearn.neighbors._regression.KNeighborsRegressor", state={"_fit_X": SPARSE}), 12),
        (Instance("lab.Neighbours", state={"_fit_X": ROWS}), 12),
        ({"SVs": ROWS, "rho": 1.0}, 12),
        ({"net": {"SupportVectors": ROWS[:4]}}, 4),
        ({"X_train": ROWS, "n": 3}, 12),
        ({"y_train": ROWS[:, 0]}, 12),
        ({"train_data": Columns({"a": ROWS[:, 0], "b": ROWS[:, 1]})}, 12),
    ],
)
def test_rows_are_found(value: object, people: int):
    (finding,) = look(value)
    assert (finding.kind, finding.grade, finding.people) == ("training rows", "leaks", people)


def test_a_data_set_must_be_looked_at_whatever_its_attributes_are_called():
    data = Instance("lab.BrainDataset", state={"kept": ROWS})
    assert kinds(Instance("torch.utils.data.dataset.Subset", state={"dataset": data})) == {
        ("training rows", "look")
    }


@pytest.mark.parametrize(
    "value",
    [
        {"train_data": "cohort.csv", "train_features": ["a", "b", "c"], "X_train": None},
        {"sv": 3.0, "train_set": np.ones(5)},
        Instance("lab.Net", state={"kept": ROWS}),
    ],
)
def test_what_only_has_such_a_name_is_not(value: object):
    assert look(value) == []


def test_programs_may_name_training_rows():
    assert look({"X_train": ROWS}, program=True) == []
