"""The similarity of embeddings of copies: plain cosines, whatever is common to all scans."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks import embedding_similarity
from memberscan.attacks.attack import KnownScans
from memberscan.attacks.embedding_similarity import (
    EMBEDDING_SIMILARITY,
    ZERO_KNOWLEDGE_SIMILARITY,
    of_pairs,
    similarities,
)
from memberscan.evidence.roc import aucs_of_rows
from memberscan.signals import View
from memberscan.signals.activations import ACTIVATION
from memberscan.signals.augmented_activations import AUGMENTED_ACTIVATIONS

from .conftest import scored


def view_of(scans: np.ndarray, copies: np.ndarray) -> View:
    table = pd.DataFrame({"subject_id": np.arange(len(scans)).astype(str), "label": 60.0})
    values = {ACTIVATION: scans, AUGMENTED_ACTIVATIONS: copies}
    return View(table.set_index(table["subject_id"]), values)


def encoder(seed: int, people: int = 300, width: int = 8) -> tuple[View, np.ndarray]:
    """Draw embeddings that keep more of a member when the scan is changed."""
    rng = np.random.default_rng(seed)
    member = np.arange(people) % 2 == 0
    scans = rng.normal(size=(people, width))
    change = rng.normal(size=(people, 5, width)) * np.where(member, 0.3, 0.6)[:, None, None]
    return view_of(scans, scans[:, None] + change), member


def auc(scores: np.ndarray, member: np.ndarray) -> float:
    return float(aucs_of_rows(scores[None], member[None].astype(float))[0])


def plain(scans: np.ndarray, copies: np.ndarray) -> np.ndarray:
    mean, rows = scans.mean(axis=0), []
    for scan, those in zip(scans, copies, strict=True):
        every = [scan - mean, *(copy - mean for copy in those)]
        pairs = [(a, b) for n, a in enumerate(every) for b in every[n + 1 :]]
        rows.append([a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in pairs])
    return np.array(rows)


@pytest.mark.parametrize("tile", [3, 1024])
def test_the_similarities_are_cosines_of_all_pairs(tile: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedding_similarity, "TILE", tile)
    rng = np.random.default_rng(0)
    scans, copies = rng.normal(size=(7, 8)) + 2, rng.normal(size=(7, 3, 8)) + 2
    found = similarities(view_of(scans, copies))
    np.testing.assert_allclose(found, plain(scans, copies), rtol=1e-12)
    features = of_pairs(view_of(scans, copies))
    np.testing.assert_array_equal(features[:, -2:].T, [found.mean(axis=1), found.min(axis=1)])
    np.testing.assert_array_equal(
        scored(ZERO_KNOWLEDGE_SIMILARITY, view_of(scans, copies)), found.mean(axis=1)
    )


def test_what_all_embeddings_have_in_common_and_their_unit_tell_nothing():
    view, _ = encoder(1)
    scans, copies = view[ACTIVATION], view[AUGMENTED_ACTIVATIONS]
    common = 100 * np.random.default_rng(2).normal(size=scans.shape[1])
    other = view_of(3 * scans + common, 3 * copies + common)
    np.testing.assert_allclose(similarities(other), similarities(view), atol=1e-9)


def test_members_whose_embeddings_change_less_are_found_with_and_without_known_people():
    view, member = encoder(3)
    assert auc(scored(ZERO_KNOWLEDGE_SIMILARITY, view), member) > 0.85
    known = KnownScans(np.arange(100), member[:100])
    learnt = EMBEDDING_SIMILARITY.score(EMBEDDING_SIMILARITY.observe(view), known)
    assert auc(learnt[100:], member[100:]) > 0.85


def test_an_embedding_that_is_the_same_for_every_scan_shows_nothing():
    same = np.full((9, 4), 0.1, np.float32)
    found = similarities(view_of(same, np.repeat(same[:, None], 5, axis=1)))
    np.testing.assert_array_equal(found, 0)
