"""The likelihood of an embedding's norms: the ratio of two normal densities, whatever its unit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from memberscan.attacks.attack import KnownScans
from memberscan.attacks.embedding_norm import EMBEDDING_NORM, FLOOR, ORDERS, POOLED, log_norms
from memberscan.evidence.roc import aucs_of_rows
from memberscan.signals import View
from memberscan.signals.activations import ACTIVATION


def view_of(embeddings: np.ndarray) -> View:
    table = pd.DataFrame({"subject_id": np.arange(len(embeddings)).astype(str), "label": 60.0})
    return View(table.set_index(table["subject_id"]), {ACTIVATION: embeddings})


def auc(scores: np.ndarray, member: np.ndarray) -> float:
    return float(aucs_of_rows(scores[None], member[None].astype(float))[0])


def scored(view: View, member: np.ndarray, known: np.ndarray) -> np.ndarray:
    return EMBEDDING_NORM.score(EMBEDDING_NORM.observe(view), KnownScans(known, member[known]))


def test_norms_are_those_of_their_definition():
    values = np.random.default_rng(0).normal(size=(5, 4))
    size = np.abs(values)
    plain = np.column_stack([size.sum(axis=1), np.sqrt((size**2).sum(axis=1)), size.max(axis=1)])
    np.testing.assert_allclose(log_norms(view_of(values)), np.log(plain))
    assert np.isfinite(log_norms(view_of(np.zeros((2, 4))))).all()


def test_the_score_is_the_ratio_of_two_normal_densities():
    rng = np.random.default_rng(1)
    member = np.arange(60) % 2 == 0
    view = view_of(rng.normal(size=(60, 6)) * np.where(member, 1.0, 1.4)[:, None])
    features, known = EMBEDDING_NORM.observe(view), np.arange(40)
    x = features.values[:, : len(ORDERS)]
    np.testing.assert_allclose(np.cov(x.T, ddof=0), np.eye(3), atol=1e-9)
    sides = [x[:40][member[:40] == side] for side in (True, False)]
    around = (np.cov(sides[0].T, ddof=0) + np.cov(sides[1].T, ddof=0)) / 2
    log_densities = []
    for values in sides:
        shrunk = (20 * np.cov(values.T, ddof=0) + POOLED * around) / (20 + POOLED) + FLOOR * np.eye(3)
        log_densities.append(stats.multivariate_normal(values.mean(axis=0), shrunk).logpdf(x))
    np.testing.assert_allclose(scored(view, member, known), log_densities[0] - log_densities[1], atol=1e-9)


def test_members_with_another_spread_of_norms_are_found_though_the_mean_is_the_same():
    rng = np.random.default_rng(2)
    member = np.arange(400) % 2 == 0
    length = np.exp(rng.normal(size=400) * np.where(member, 0.1, 0.5))
    direction = rng.normal(size=(400, 8))
    view = view_of(direction / np.linalg.norm(direction, axis=1)[:, None] * length[:, None])
    assert auc(scored(view, member, np.arange(200))[200:], member[200:]) > 0.8


def test_the_unit_of_the_embedding_tells_nothing():
    rng = np.random.default_rng(3)
    values, member, known = rng.normal(size=(50, 6)), np.arange(50) % 2 == 0, np.arange(30)
    one, other = (scored(view_of(scale * values), member, known) for scale in (1.0, 1000.0))
    np.testing.assert_allclose(other, one, atol=1e-6)


def test_embeddings_of_length_one_are_told_by_their_other_norms():
    rng = np.random.default_rng(4)
    member = np.arange(200) % 2 == 0
    values = np.abs(rng.normal(size=(200, 8))) ** np.where(member, 1.0, 3.0)[:, None]
    view = view_of(values / np.linalg.norm(values, axis=1)[:, None])
    assert auc(scored(view, member, np.arange(100))[100:], member[100:]) > 0.8
