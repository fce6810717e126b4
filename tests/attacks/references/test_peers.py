"""Scores of other auditing tools on the same signals; ``python -m benchmarks.peers`` makes the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from memberscan.attacks.references.confidence import rmia
from memberscan.attacks.references.lira import gaussian_ratio, log_square
from memberscan.attacks.references.trials import Trials
from memberscan.attacks.with_references import Compared

GOLDEN = json.loads((Path(__file__).parents[1] / "golden_peers.json").read_text("utf-8"))
SIGNALS = {name: np.array(values) for name, values in GOLDEN["signals"].items()}
SCORES = {name: np.array(values) for name, values in GOLDEN["scores"].items()}
TRIALS = Trials.of_target(
    Compared(SIGNALS["residual"], SIGNALS["references"], SIGNALS["inside"], SIGNALS["age"])
)


def test_the_error_is_opake_s_loss():
    np.testing.assert_allclose(-(SIGNALS["residual"] ** 2), SCORES["loss, opake"], atol=1e-9)


@pytest.mark.parametrize(("fixed", "name"), [(False, "variance by scan"), (True, "one variance")])
def test_lira_is_tensorflow_s(fixed: bool, name: str):
    ours = gaussian_ratio(log_square(TRIALS), fixed_variance=fixed, floor=0)[0]
    np.testing.assert_allclose(ours, SCORES[f"LiRA, {name}, TensorFlow"], atol=1e-9)


def test_rmia_is_privacyguard_s():
    ratio = rmia(TRIALS, a=0.3)[0]
    share = np.mean(ratio[:, None] > ratio[~SIGNALS["member"]], axis=1)
    np.testing.assert_allclose(share, SCORES["RMIA offline, PrivacyGuard"], atol=1e-9)
