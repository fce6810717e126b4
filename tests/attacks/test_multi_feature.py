"""Measurements of the baseline of the literature against their definition, and what it finds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from memberscan.attacks.attack import KnownScans
from memberscan.attacks.multi_feature import (
    MULTI_FEATURE,
    of_augmentation,
    of_ensemble,
    of_error,
    of_targeted,
)
from memberscan.evidence.roc import aucs_of_rows
from memberscan.signals import PREDICTION, View
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS
from memberscan.signals.reference_models import REFERENCE_PREDICTIONS


def drawn(seed: int, *, people: int = 240, kept: float = 0.6) -> tuple[View, np.ndarray]:
    """Draw a model, four others and three copies, which all err on a person in nearly the same way.

    Training leaves a share of a member's own error.
    """
    rng = np.random.default_rng(seed)
    member, age = rng.permutation(people) < people // 2, rng.uniform(45, 80, people)
    wrong = 5 * rng.normal(size=people)
    copies = wrong[:, None] + rng.normal(size=(people, 3))
    others = wrong + rng.normal(size=(4, people))
    own = np.where(member, kept, 1.0) * (wrong + rng.normal(size=people))
    values = {
        PREDICTION: age - own,
        AUGMENTED_PREDICTIONS: age[:, None] - copies,
        REFERENCE_PREDICTIONS: age - others,
    }
    scans = pd.DataFrame({"subject_id": np.arange(people).astype(str), "label": age})
    return View(scans.set_index(scans["subject_id"]), values), member


def test_each_column_is_what_a_loop_gives():
    view, _ = drawn(0, people=9)
    for n, age in enumerate(view.label):
        own, copies, others = (
            view[PREDICTION][n],
            view[AUGMENTED_PREDICTIONS][n],
            view[REFERENCE_PREDICTIONS][:, n],
        )
        error = abs(age - own)
        excesses = [abs(age - copy) - error for copy in copies]
        moved = [abs(copy - own) for copy in copies]
        np.testing.assert_allclose(of_error(view)[n], [error, error**2])
        np.testing.assert_allclose(
            of_augmentation(view)[n], [np.std(copies), np.mean(moved), max(moved), np.mean(excesses)]
        )
        less = np.mean([abs(age - other) for other in others]) - error
        np.testing.assert_allclose(of_ensemble(view)[n], [np.std(others), abs(own - np.mean(others)), less])
        np.testing.assert_allclose(of_targeted(view)[n], [min(excesses), max(excesses)])


def test_it_finds_members_where_training_leaves_less_of_an_error_and_nobody_else():
    for kept, low, high in ((0.6, 0.75, 1.0), (1.0, 0.44, 0.56)):
        aucs = []
        for seed in range(6):
            view, member = drawn(seed, kept=kept)
            known = KnownScans(np.arange(120), member[:120])
            scores = MULTI_FEATURE.score(MULTI_FEATURE.observe(view), known)[120:]
            aucs.append(aucs_of_rows(scores[None], member[None, 120:].astype(float))[0])
        assert low < np.mean(aucs) < high
