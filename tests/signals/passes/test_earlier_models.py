"""What a learner sees: predictions by every round's global model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.errors import StaleError, TranscriptError
from memberscan.models.inputs import as_inputs, predict
from memberscan.signals.passes.earlier_models import predictions_by_round

from ...models.awkward import Mixing
from ..conftest import Federate, party_of


@pytest.mark.parametrize("model", ["cnn3d", "mlp", f"{Mixing.__module__}:Mixing"])
def test_columns_are_predictions_of_each_scan_alone(
    model: str, volumes: Cohort, vectors: Cohort, federation: Federate, tmp_path: Path
):
    cohort = volumes if model == "cnn3d" else vectors
    run = federation(cohort, model)
    ids = cohort.scans.index[[7, 2, 11, 3, 5, 1, 0, 9, 4, 6]].tolist()
    found = predictions_by_round(party_of(run, cohort, ids, (3, 1)), tmp_path / "out")
    for column, number in zip(found.T, (3, 1), strict=True):
        network = run.model_with(run.transcript.global_model(number))
        with torch.no_grad():
            alone = [predict(network, as_inputs(cohort, [scan])).item() for scan in ids]
        np.testing.assert_allclose(column, alone, rtol=1e-5)


def test_predictions_are_in_full_precision(
    vectors: Cohort, federation: Federate, tmp_path: Path, precise: list[bool]
):
    run = federation(vectors, "mlp")
    precise.clear()
    predictions_by_round(party_of(run, vectors, vectors.scans.index[:3].tolist(), (1,)), tmp_path / "out")
    assert precise and all(precise)


def test_it_goes_on_where_it_stopped_and_keeps_what_is_done(vectors: Cohort, federation: Federate, tmp_path):
    run, ids = federation(vectors, "mlp"), vectors.scans.index.tolist()
    first = predictions_by_round(party_of(run, vectors, ids, (1,)), tmp_path / "out")
    written = (tmp_path / "out" / "0001" / "prediction.npy").stat().st_mtime_ns
    both = predictions_by_round(party_of(run, vectors, ids, (1, 2)), tmp_path / "out")
    np.testing.assert_array_equal(both[:, :1], first)
    content = (tmp_path / "out" / "0001" / "prediction.npy").stat()
    assert content.st_mtime_ns == written


def test_predictions_of_another_federation_are_refused(vectors: Cohort, federation: Federate, tmp_path: Path):
    run, other = federation(vectors, "mlp"), federation(vectors, "mlp", seed=1)
    ids = vectors.scans.index.tolist()
    predictions_by_round(party_of(run, vectors, ids, (1,)), tmp_path / "out")
    with pytest.raises(StaleError):
        predictions_by_round(party_of(other, vectors, ids, (1,)), tmp_path / "out")


def test_a_damaged_round_is_said(vectors: Cohort, federation: Federate, tmp_path: Path):
    run = federation(vectors, "mlp")
    party = party_of(run, vectors, vectors.scans.index.tolist(), (1, 2))
    path = party.transcript.path / "0002" / "global.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(TranscriptError, match="truncated or has changed"):
        predictions_by_round(party, tmp_path / "out")
