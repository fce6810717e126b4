from __future__ import annotations

import json
import re
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from memberscan.evidence.blind import blind_check
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.overlap import Overlap, diagnose_overlap
from memberscan.evidence.permutation import normal_null, permuted_null
from memberscan.evidence.power import smallest_detectable_auc
from memberscan.evidence.scores import MODEL
from memberscan.evidence.strata import Strata, estimate_within_strata
from memberscan.evidence.verdict import Sides, judge

from .simulated import once, simulate


def audit(members, nonmembers, *, shift=0.0, older=0.0, randomised=False, seed=0, **options):
    rng = np.random.default_rng(seed)
    attacks, member = simulate(rng, members, nonmembers, shift=shift, **options)
    table = pd.DataFrame({"age": rng.normal(size=len(member)) + older * member})
    check = blind_check(table, member, rng, randomised=randomised)
    estimates = estimate_aucs(attacks, DeLong())
    within = overlap = None
    if check.gates:
        within = estimate_within_strata(attacks, {MODEL: Strata.of_check(check)}, DeLong())
        overlap = diagnose_overlap([(member, check.strata)])
    return estimates, normal_null(estimates), check, within, None, overlap


def test_a_leak_is_named_with_its_attack_its_size_and_its_bound():
    estimates, *rest = audit(120, 120, shift=1.5)
    verdict = judge(estimates, *rest)
    assert verdict.label == "leaks"
    assert verdict.basis.attack == "error" in verdict.basis.shown
    assert verdict.basis.rule == "simultaneous bound"
    assert verdict.basis.bound == estimates.simultaneous_low[0]
    assert verdict.sentence.startswith("This model leaks who was in its training set: attack error ranks")
    stated = float(re.search(r"at least ([\d.]+)%", verdict.sentence)[1])
    error = 100 * estimates.standard_error[0]
    assert stated <= 100 * estimates.simultaneous_low[0] < stated + error
    assert "over the 3 attacks tried" in verdict.sentence
    assert 0.62 < verdict.smallest_detectable_auc < 0.65


@pytest.mark.parametrize("older", [0.0, 1.0])
def test_the_sentence_says_what_leaks(older: float):
    sides = Sides.of_learners(["learner-1"], "The learners' updates leak who was in their training sets")
    *found, _, overlap = audit(300, 300, shift=2.0, older=older)
    verdict = judge(*found, sides, overlap)
    assert verdict.label == "leaks"
    assert verdict.sentence.startswith("The learners' updates leak who was in their training sets: ")


def test_no_leak_shown_says_what_could_have_been_missed():
    verdict = judge(*audit(400, 400))
    assert verdict.label == "no leak shown"
    stated = float(re.search(r"an AUC of ([\d.]+)", verdict.sentence)[1])
    assert stated >= verdict.smallest_detectable_auc > stated - 0.01
    assert "could have been missed" in verdict.sentence
    assert verdict.basis.shown == () and len(verdict.basis.ranking) == 3


def test_a_small_audit_without_success_is_inconclusive():
    verdict = judge(*audit(40, 40))
    assert verdict.label == "inconclusive"
    assert "too small" in verdict.sentence
    assert verdict.smallest_detectable_auc > 0.65


def test_significantly_worse_than_chance_is_inconclusive():
    verdict = judge(*audit(400, 400, shift=-0.6))
    assert verdict.label == "inconclusive"
    assert "worse than chance" in verdict.sentence


def test_below_thirty_a_side_permutations_decide_whatever_the_bounds_say():
    estimates, _, check, *_ = audit(29, 40, shift=2.5, draws=2, attacks=1)
    assert estimates.simultaneous_low.max() > 0.5
    rng = np.random.default_rng(1)
    strict = permuted_null(estimates, rng.normal(0.5, 0.1, size=(199, 2)))
    verdict = judge(estimates, strict, check)
    assert verdict.label == "leaks"
    assert "p < 0.01" in verdict.sentence
    assert verdict.basis.rule == "permutation" and verdict.basis.bound is None
    assert verdict.basis.p_value == min(strict.p_values) < 0.01
    unsure = permuted_null(estimates, rng.uniform(0, 1, size=(199, 2)))
    verdict = judge(estimates, unsure, check)
    assert verdict.label != "leaks" and verdict.basis.shown == ()


def test_the_sentence_names_the_strongest_attack_of_the_basis():
    """Whatever the rule; below thirty a side, bounds and p-values may put another attack first."""
    orders = set()
    for seed in range(40):
        estimates, _, check, *_ = audit(14, 14, shift=1.8, draws=2, seed=seed)
        null = permuted_null(estimates, np.random.default_rng(seed).normal(0.5, 0.08, size=(199, 3)))
        verdict = judge(estimates, null, check)
        best = estimates.attacks[estimates.strongest]
        orders.add(verdict.basis.attack == best)
        assert (verdict.label == "leaks") == bool(verdict.basis.shown)
        if verdict.label == "leaks":
            assert f"attack {verdict.basis.attack} ranks" in verdict.sentence
    assert orders == {True, False}


@pytest.mark.parametrize("side", [300, 600])
def test_sides_that_do_not_overlap_are_confounded_and_the_covariate_and_the_matched_subset_are_named(side):
    estimates, null, check, within, _, overlap = audit(side, side, older=3.2)
    verdict = judge(estimates, null, check, within, overlap=overlap)
    assert overlap.extent == "failed"
    assert verdict.label == "confounded"
    assert "by age (AUC 0.9" in verdict.sentence
    assert f"the weight of only {100 * overlap.effective_members:.0f}% of the members" in verdict.sentence
    pairs = int(check.matched.sum()) // 2
    assert f"{pairs} members and {pairs} non-members" in verdict.sentence
    assert verdict.basis.rule == "within strata" and verdict.basis.shown == ()
    assert verdict.smallest_detectable_auc > smallest_detectable_auc(estimates)


@pytest.mark.parametrize(("side", "label"), [(60, "inconclusive"), (400, "no leak shown")])
def test_where_sides_overlap_the_answer_is_about_people_alike_and_says_so(side, label):
    estimates, null, check, within, _, overlap = audit(side, side, older=1.0)
    verdict = judge(estimates, null, check, within, overlap=overlap)
    assert verdict.label == label
    assert verdict.basis.rule == "within strata" and verdict.basis.shown == ()
    assert verdict.smallest_detectable_auc == smallest_detectable_auc(within)
    assert "can be told apart without the model, most of all by age (AUC 0." in verdict.sentence
    assert "only about people who are alike in the covariates" in verdict.sentence
    assert f"; {100 * overlap.members:.0f}% of the members have" in verdict.sentence
    assert "Among all people" not in verdict.sentence
    assert ("alike in the covariates" in verdict.would_change) == (label == "inconclusive")


def test_success_among_all_people_only_is_said_and_is_no_leak():
    rng, side = np.random.default_rng(2), 400
    member = np.arange(2 * side) < side
    age = rng.normal(size=2 * side) + member
    attacks = [once("older", age + 0.3 * rng.normal(size=2 * side), member)]
    check = blind_check(pd.DataFrame({"age": age}), member, rng)
    estimates = estimate_aucs(attacks, DeLong())
    within = estimate_within_strata(attacks, {MODEL: Strata.of_check(check)}, DeLong())
    overlap = diagnose_overlap([(member, check.strata)])
    verdict = judge(estimates, normal_null(estimates), check, within, overlap=overlap)
    assert verdict.label == "no leak shown"
    assert "Among all people attack older ranks a member above a non-member in " in verdict.sentence
    assert "may explain that" in verdict.sentence
    failed = Overlap(1, 1, 0.2, 0.2)
    assert judge(estimates, normal_null(estimates), check, within, overlap=failed).label == "confounded"


def test_a_leak_among_people_alike_is_a_leak():
    verdict = judge(*audit(250, 250, shift=1.5, older=1.0))
    assert verdict.label == "leaks" and verdict.basis.rule == "within strata"
    assert f"even among people alike in the covariates, attack {verdict.basis.attack} " in verdict.sentence
    assert "age" in verdict.sentence


def test_nobody_alike_is_confounded_however_strong_the_attack():
    estimates, null, check, within, _, overlap = audit(100, 100, shift=3.0, older=12.0)
    assert within is None
    verdict = judge(estimates, null, check, within, overlap=overlap)
    assert verdict.label == "confounded"
    assert "too few people are alike" in verdict.sentence
    assert verdict.smallest_detectable_auc == 1.0
    assert verdict.basis.rule == "none" and verdict.basis.shown == () and len(verdict.basis.ranking) == 3


def test_chance_imbalance_of_a_randomised_membership_is_not_confounding():
    assert judge(*audit(400, 400, older=0.5, randomised=True)).label == "no leak shown"


@pytest.mark.parametrize("options", [{}, {"shift": 1.5}, {"older": 1.5}, {"shift": -1.0}])
def test_verdicts_are_json_and_never_say_safe(options):
    verdict = judge(*audit(150, 160, **options))
    value = json.loads(json.dumps(asdict(verdict), allow_nan=False))
    assert "safe" not in value["sentence"].lower()
    assert value["sentence"].endswith(".")
