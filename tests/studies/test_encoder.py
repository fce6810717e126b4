"""The study of encoders on a toy: a row per embedding and length, and one of people drawn afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from memberscan.cohort import Cohort
from memberscan.studies import encoder
from memberscan.studies.contrastive import on_features
from memberscan.studies.encoder import ATTACKS, PENALTIES, drawn_sides, fit_head, regression


def test_there_is_a_row_for_each_embedding_and_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "SUBJECTS": 46,
        "SPACING": 20.0,
        "PEOPLE": 12,
        "LENGTHS": (0, 2),
        "MODELS": 2,
    }.items():
        monkeypatch.setattr(encoder, name, value)
    found = encoder.encoder(tmp_path / "out")
    keys = list(found[["members", "embedding", "epochs"]].itertuples(index=False, name=None))
    assert keys == [
        *(("trained on", name, epochs) for epochs in (0, 2) for name in ("features", "projection")),
        *(("drawn afterwards", name, 2) for name in ("features", "projection")),
    ]
    assert found[list(ATTACKS)].stack().between(0, 1).all()
    assert found[[f"{name}_se" for name in ATTACKS]].notna().all(axis=None)
    own, drawn = found[:4], found[4:]
    assert own[["loss_members", "loss_others", "r2", "mae"]].notna().all(axis=None)
    assert drawn[["loss_members", "loss_others", "r2", "mae"]].isna().all(axis=None)
    assert (tmp_path / "out" / "encoder.tsv").is_file()


def test_nobody_is_on_two_sides():
    sides = drawn_sides([f"s{n}" for n in range(100)], 1)
    assert len(sides.members) == len(sides.nonmembers) == encoder.PEOPLE
    assert len({*sides.members, *sides.nonmembers, *sides.rest}) == 100
    assert drawn_sides([f"s{n}" for n in range(100)], 2).members != sides.members


def test_the_regression_has_the_least_leave_one_out_error():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 6)) * [1, 1, 5, 1, 1, 1e-6] + 3
    y = 60 + x[:, 0] + rng.normal(size=30)
    total = np.square(x - x.mean(axis=0)).sum()
    errors = []
    for penalty in PENALTIES * total:
        left = [
            Ridge(penalty).fit(np.delete(x, k, 0), np.delete(y, k)).predict(x[k : k + 1]) for k in range(30)
        ]
        errors.append(np.mean((np.ravel(left) - y) ** 2))
    best = Ridge(PENALTIES[np.argmin(errors)] * total).fit(x, y)
    weights, offset = regression(x, y)
    np.testing.assert_allclose(weights, best.coef_, rtol=1e-6, atol=1e-9)
    assert offset == pytest.approx(best.intercept_)


def test_the_head_predicts_what_the_regression_does(volumes: Cohort):
    network = on_features().eval()
    people = volumes.subjects[:12]
    fit_head(network, volumes, people)
    scans = volumes.scans.index[volumes.scans["subject_id"].isin(people)].tolist()
    embeddings = encoder.embeddings_of(network, volumes, scans)
    weights, offset = regression(embeddings, volumes.scans.loc[scans, "age"].to_numpy(float))
    with torch.no_grad():
        predicted = network.output(torch.tensor(embeddings, dtype=torch.float32)).flatten().numpy()
    np.testing.assert_allclose(predicted, embeddings @ weights + offset, rtol=1e-4)
