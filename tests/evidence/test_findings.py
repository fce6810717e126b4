from __future__ import annotations

import json

import numpy as np
import pytest

from memberscan.evidence.findings import findings
from memberscan.evidence.joint import joint
from memberscan.evidence.scored import Scored


def test_findings_have_the_published_form(simulate):
    attacks, member = simulate(np.random.default_rng(0), 70, 80, shift=1.0)
    found = findings(attacks, member, joint(attacks, member))
    assert [f.attack for f in found] == ["error", "fitted 0", "fitted 1"]
    for finding in found:
        value = json.loads(json.dumps(finding.to_dict(), allow_nan=False))
        assert set(value["auc"]) == {"value", "low", "high", "simultaneous", "standard_error"}
        assert set(value["auc"]["simultaneous"]) == {"level", "low"}
        assert value["auc"]["simultaneous"]["level"] == 0.99
        assert value["auc"]["simultaneous"]["low"] < value["auc"]["low"] < value["auc"]["value"]
        assert set(value["accuracy"]) == {"value", "low", "high"}
        assert {"fpr", "value", "low", "high", "reason"} <= set(value["tpr"][0])
    assert found[1].to_dict()["scored"] == {"members": 35, "nonmembers": 45}


def test_accuracy_is_balanced_and_decides_strictly_above_the_threshold():
    member = np.arange(50) < 10
    scores = np.where(member, 1.0, 0.0)
    scores[:2] = 0.0
    scores[10:20] = 1.0
    attack = Scored("loss", False, scores[None], np.array([0.0]))
    finding = findings([attack], member, joint([attack], member))[0]
    assert finding.accuracy.value == pytest.approx((8 / 10 + 30 / 40) / 2)
    everything = Scored("loss", False, scores[None], np.array([1.0]))
    assert findings([everything], member, joint([everything], member))[0].accuracy.value == 0.5


def test_known_subjects_count_neither_right_nor_wrong(simulate):
    attacks, member = simulate(np.random.default_rng(1), 24, 31, shift=2.0, draws=3)
    attack = attacks[1]
    expected = [
        np.mean([np.mean(row[member & ok] > t), np.mean(row[~member & ok] <= t)])
        for row, ok, t in zip(attack.scores, attack.scored, attack.thresholds, strict=True)
    ]
    finding = findings([attack], member, joint([attack], member))[0]
    assert finding.accuracy.value == pytest.approx(np.mean(expected))
