from __future__ import annotations

import numpy as np
from scipy import stats

from memberscan.studies import verdict_rates as study


def test_false_leaks_are_rare_and_large_leaks_are_found(monkeypatch):
    monkeypatch.setattr(study, "SIDES", (60,))
    table = study.verdict_rates(12, seed=3).set_index("scenario")
    np.testing.assert_allclose(table[list(study.LABELS)].sum(axis=1), 1)
    for scenario in ("no leak", "confounded", "randomised"):
        assert stats.binomtest(round(12 * table.leaks[scenario]), 12, 0.05, "greater").pvalue > 1e-3
        assert table.false_leaks_low[scenario] <= table.leaks[scenario] <= table.false_leaks_high[scenario]
    assert table.leaks["leak, AUC 0.75"] > 0.5
    assert np.isnan(table.false_leaks_low["leak, AUC 0.75"])
    assert table.confounded["confounded"] > 0.5
    assert table.confounded["randomised"] == 0


def test_the_same_seed_gives_the_same_table(monkeypatch):
    monkeypatch.setattr(study, "SIDES", (30,))
    assert study.verdict_rates(2, seed=1).equals(study.verdict_rates(2, seed=1))


def test_the_error_attack_shows_what_the_gap_predicts():
    table = study.gap_identity(20)
    assert table.seed.tolist() == list(range(20))
    assert table.within.sum() >= 17
    assert (table.auc_low < table.auc).all()
