from __future__ import annotations

import json

import numpy as np
import pytest

from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_accuracies, estimate_aucs
from memberscan.evidence.findings import collect_findings
from memberscan.evidence.operating import operating_points, roc_points
from memberscan.evidence.resampling import Resampling

from .simulated import federate, simulate


def test_findings_have_the_published_form():
    attacks, _ = simulate(np.random.default_rng(0), 70, 80, shift=1.0)
    estimates = estimate_aucs(attacks, DeLong())
    found = collect_findings(attacks, estimates, DeLong())
    assert [f.attack for f in found] == ["error", "fitted 0", "fitted 1"]
    for finding in found:
        value = json.loads(json.dumps(finding.to_dict(), allow_nan=False))
        assert set(value["auc"]) == {"value", "low", "high", "simultaneous", "standard_error"}
        assert set(value["auc"]["simultaneous"]) == {"level", "low"}
        assert value["auc"]["simultaneous"]["level"] == 0.99
        assert value["auc"]["simultaneous"]["low"] < value["auc"]["low"] < value["auc"]["value"]
        assert set(value["accuracy"]) == {"value", "low", "high"}
        assert {"fpr", "value", "low", "high", "reason"} <= set(value["tpr"][0])
    assert found[1].to_dict()["scored"] == {
        "members": int(estimates.members[1]),
        "nonmembers": int(estimates.nonmembers[1]),
    }


def test_findings_of_pairs_have_the_published_form_and_average_over_large_pairs():
    attacks, _ = federate(np.random.default_rng(12), [12, 7, 8, 13], 41, shift=1.0, attacks=2)
    errors = Resampling.draw(attacks, np.random.default_rng(13), resamples=100)
    estimates = estimate_aucs(attacks, errors)
    found = collect_findings(attacks, estimates, errors)
    assert [f.attack for f in found] == ["attack 0", "attack 1"]
    large = [k for k, row in enumerate(attacks[0].rows) if row.victim in ("site 0", "site 3")]
    alone = [attacks[0].of_rows([k]) for k in large]
    assert found[0].tpr[0].value == pytest.approx(np.mean([operating_points(a)[0].value for a in alone]))
    assert found[0].tpr[1].reason == "needs 300 non-members scored in one draw; there are 41"
    np.testing.assert_allclose(found[0].roc, np.mean([roc_points(a) for a in alone], axis=0))
    value = json.loads(json.dumps(found[1].to_dict(), allow_nan=False))
    assert value["scored"] == {"members": 25, "nonmembers": 41}
    assert value["auc"]["simultaneous"]["low"] < value["auc"]["low"] < value["auc"]["value"]
    assert found[1].accuracy == estimate_accuracies([attacks[1].of_rows(large)], errors)[0]
