"""Rows of signals on disk: each signal has a file of its own, whatever its layers are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from memberscan.cohort import Cohort
from memberscan.signals.layer_gradients import GRADIENT_NORMS, gradient
from memberscan.signals.passes.stored_rows import stored_rows


@pytest.mark.parametrize(
    "names",
    [
        (str(gradient("norms")), str(GRADIENT_NORMS)),
        ("gradient:a/b", "gradient:a-b", "gradient:a:b", "gradient:a%2Fb"),
        ("gradient:é", "gradient:e", "gradient:E"),
    ],
)
def test_two_signals_never_share_a_file(names: tuple[str, ...], vectors: Cohort, tmp_path: Path):
    ids = vectors.scans.index.tolist()

    def read(inputs: Tensor, ages: Tensor) -> dict[str, np.ndarray]:
        return {name: np.full(len(inputs), float(n)) for n, name in enumerate(names)}

    found = stored_rows(tmp_path, {}, vectors, ids, 5, read, "reading")
    assert list(found) == list(names)
    for number, values in enumerate(found.values()):
        np.testing.assert_array_equal(values, np.full(len(ids), number))
    assert len(list(tmp_path.glob("*.npy"))) == len(names)
