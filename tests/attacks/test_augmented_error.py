"""Errors on copies of a scan against their definition, and what they add to the error alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from memberscan.attacks.attack import KnownScans
from memberscan.attacks.augmented_error import AUGMENTED_ERROR, ZERO_KNOWLEDGE_AUGMENTED, of_copies
from memberscan.attacks.error import ZERO_KNOWLEDGE_ERROR
from memberscan.evidence.roc import aucs_of_rows
from memberscan.signals import PREDICTION, View
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS

from .conftest import scored


def drawn(seed: int, people: int = 400) -> tuple[View, np.ndarray]:
    """Draw people of whom some are hard to predict, whether they are members or not.

    Training brings a member's own scan a fifth nearer to the truth, and copies of it not at all.
    """
    rng = np.random.default_rng(seed)
    member = rng.permutation(people) < people // 2
    own = rng.normal(size=people) * rng.gamma(1, size=people)
    copies = own[:, None] + 0.2 * rng.normal(size=(people, 5))
    age = rng.uniform(45, 80, people)
    values = {
        PREDICTION: age - own * np.where(member, 0.8, 1.0),
        AUGMENTED_PREDICTIONS: age[:, None] - copies,
    }
    scans = pd.DataFrame({"subject_id": np.arange(people).astype(str), "label": age})
    return View(scans.set_index(scans["subject_id"]), values), member


def auc(scores: np.ndarray, member: np.ndarray) -> float:
    return float(aucs_of_rows(scores[None], member[None].astype(float))[0])


def test_the_score_is_the_mean_excess_of_the_copies_errors():
    view, _ = drawn(0, people=12)
    copies, found = view[AUGMENTED_PREDICTIONS], scored(ZERO_KNOWLEDGE_AUGMENTED, view)
    for n, age in enumerate(view.label):
        error = abs(age - view[PREDICTION][n])
        each = [abs(age - copies[n, k]) - error for k in range(5)]
        np.testing.assert_allclose(found[n], np.mean(each))
        np.testing.assert_allclose(of_copies(view)[n], [*each, np.mean(each), error, np.std(copies[n])])


def test_copies_tell_more_than_the_error_where_some_people_are_harder_to_predict():
    found = []
    for seed in range(4):
        view, member = drawn(seed)
        known = np.random.default_rng(seed).permutation(len(member))[:200]
        learnt = AUGMENTED_ERROR.score(AUGMENTED_ERROR.observe(view), KnownScans(known, member[known]))
        rest = np.setdiff1d(np.arange(len(member)), known)
        without = [scored(attack, view) for attack in (ZERO_KNOWLEDGE_AUGMENTED, ZERO_KNOWLEDGE_ERROR)]
        found.append([auc(scores[rest], member[rest]) for scores in (learnt, *without)])
    learnt, copies, error = np.mean(found, axis=0)
    assert min(learnt, copies) > error + 0.1


def test_copies_that_are_the_scan_itself_tell_nothing():
    view, _ = drawn(1)
    same = np.repeat(view[PREDICTION][:, None], 5, axis=1)
    assert not ZERO_KNOWLEDGE_AUGMENTED.observe(
        View(view.scans, {**view.values, AUGMENTED_PREDICTIONS: same})
    ).vary
