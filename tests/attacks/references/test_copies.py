"""What copies add to references: measurements against their definition, and what stacking finds by them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks.attack import NOBODY, Attack
from memberscan.attacks.references.copies import with_copies
from memberscan.attacks.references.stacking import STACKING, STACKING_COPIES
from memberscan.attacks.with_references import Compared
from memberscan.evidence.roc import aucs_of_rows
from memberscan.signals import PREDICTION, View
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS
from memberscan.signals.reference_models import REFERENCE_COPIES, REFERENCE_MEMBERS, REFERENCE_PREDICTIONS

from .conftest import twins


def drawn(
    seed: int, *, kept: float = 0.85, people: int = 300, references: int = 4
) -> tuple[View, np.ndarray]:
    """Draw models that err on a scan as on its copies, but that errors on members' own scans are smaller.

    What each model gets wrong about a person is its own in part, so that references alone tell less.
    """
    rng = np.random.default_rng(seed)
    member = rng.permutation(people) < people // 2
    inside = np.concatenate([member[None], twins(rng, references, people)])
    wrong = 5 * rng.normal(size=people) + 3 * rng.normal(size=inside.shape)
    copies = wrong[:, :, None] + 0.7 * rng.normal(size=(*inside.shape, 5))
    residual = np.where(inside, kept, 1.0) * wrong + 0.3 * rng.normal(size=inside.shape)
    age = rng.uniform(45, 80, people)
    values = {
        PREDICTION: age - residual[0],
        AUGMENTED_PREDICTIONS: age[:, None] - copies[0],
        REFERENCE_PREDICTIONS: age - residual[1:],
        REFERENCE_COPIES: age[:, None] - copies[1:],
        REFERENCE_MEMBERS: inside[1:],
    }
    scans = pd.DataFrame({"subject_id": np.arange(people).astype(str), "label": age})
    return View(scans.set_index(scans["subject_id"]), values), member


def auc(attack: Attack, view: View, member: np.ndarray) -> float:
    scores = attack.score(attack.observe(view), NOBODY)
    return float(aucs_of_rows(scores[None], member[None].astype(float))[0])


def test_what_is_compared_is_shift_excess_and_mean():
    view, _ = drawn(0, people=12)
    own, others = (view.label[:, None] - view[signal] for signal in (AUGMENTED_PREDICTIONS, REFERENCE_COPIES))
    compared = with_copies(Compared.of(view), own, others)
    shift, excess, mean = compared.also
    for k, (own, copies) in enumerate(
        [
            (view[PREDICTION], view[AUGMENTED_PREDICTIONS]),
            *zip(view[REFERENCE_PREDICTIONS], view[REFERENCE_COPIES], strict=True),
        ]
    ):
        for n, age in enumerate(view.label):
            error, errors = age - own[n], age - copies[n]
            expected = error - errors.mean(), np.abs(errors).mean() - abs(error), errors.mean()
            found = [(m.residual if k == 0 else m.references[k - 1])[n] for m in (shift, excess, mean)]
            np.testing.assert_allclose(found, expected)
    np.testing.assert_array_equal(compared.residual, view.residual)


@pytest.mark.parametrize("references", [2, 4])
def test_copies_add_to_references_where_models_err_each_in_its_own_way(references: int):
    for seed in range(2):
        view, member = drawn(seed, references=references)
        assert auc(STACKING_COPIES, view, member) > auc(STACKING, view, member) + 0.1


def test_without_a_leak_it_has_an_auc_of_a_half():
    found = [auc(STACKING_COPIES, *drawn(seed, kept=1.0, people=120)) for seed in range(6)]
    assert abs(np.mean(found) - 0.5) < 4 * np.std(found, ddof=1) / np.sqrt(len(found))
