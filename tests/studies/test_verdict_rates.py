from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from memberscan.studies import verdict_rates as study


def test_false_leaks_are_rare_and_large_leaks_are_found(monkeypatch):
    kept = ("exchangeable", "members 1.0 SD older", "members 4.0 SD older", "two humps")
    monkeypatch.setattr(study, "NO_LEAK", {name: study.NO_LEAK[name] for name in kept})
    monkeypatch.setattr(study, "CONFOUNDED_LEAKS", ("two humps",))
    monkeypatch.setattr(study, "POWER", (0.75,))
    table = study.verdict_rates(4, seed=3, sides=(150,)).set_index("scenario")
    np.testing.assert_allclose(table[list(study.LABELS)].sum(axis=1), 1)
    for scenario in kept:
        assert stats.binomtest(round(4 * table.leaks[scenario]), 4, 0.05, "greater").pvalue > 1e-3
        assert table.false_leaks_low[scenario] <= table.leaks[scenario] <= table.false_leaks_high[scenario]
        assert np.isnan(table.oracle[scenario])
    assert table.leaks["leak, AUC 0.75"] > 0.5 and table.oracle["leak, AUC 0.75"] == 1
    assert np.isnan(table.false_leaks_low["leak, AUC 0.75"])
    # Only where sides do not overlap is there no answer.
    assert table.confounded["members 4.0 SD older"] == 1
    assert table.confounded.drop("members 4.0 SD older").max() == 0


@pytest.mark.parametrize("scenario", study.NO_LEAK)
def test_every_scenario_gives_a_label(scenario):
    label, _ = study._one_audit(study.NO_LEAK[scenario], 0.5, 40, np.random.default_rng(0))
    assert label in study.LABELS


def test_errors_have_the_auc_that_is_asked_for():
    rng = np.random.default_rng(0)
    people = study.People.alike(20_000, rng)
    ratio = np.where(people.member, 1.0, np.tan(np.pi / 2 * 0.65))
    inside, outside = (np.abs(people.noise * ratio)[side] for side in (people.member, ~people.member))
    assert stats.mannwhitneyu(outside, inside).statistic / 20_000**2 == pytest.approx(0.65, abs=0.01)


def test_the_same_seed_gives_the_same_table(monkeypatch):
    monkeypatch.setattr(study, "NO_LEAK", {"scan counts": study.scan_counts})
    monkeypatch.setattr(study, "CONFOUNDED_LEAKS", ())
    monkeypatch.setattr(study, "POWER", ())
    one, other = (study.verdict_rates(2, seed=1, sides=(30,)) for _ in range(2))
    assert one.equals(other)
    assert one.equals(study.verdict_rates(2, seed=1, sides=(30,), processes=2))


def test_the_error_attack_shows_what_the_gap_predicts():
    table = study.gap_identity(20)
    assert table.seed.tolist() == list(range(20))
    assert table.within.sum() >= 17
    assert (table.auc_low < table.auc).all()
