"""Attacks on people whom no model saw must succeed by chance alone, on as many labellings as promised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memberscan.attacks import default_attacks
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError
from memberscan.studies.chance import LABELLINGS, chance
from memberscan.threat import Access, ThreatModel
from memberscan.training import TrainingConfig, train


@pytest.fixture(scope="module")
def phantom_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run with sixty non-members."""
    folder = tmp_path_factory.mktemp("chance")
    cohort = Cohort.phantom(folder / "cohort", subjects=80, spacing=12, workers=1)
    config = TrainingConfig(epochs=2, device="cpu")
    # A fixed draw: among many attacks, some draw of people exceeds what is allowed below by chance.
    return train(
        cohort, folder / "run", model="cnn3d", members=0.25, options={"width": 4}, config=config, seed=0
    ).path


def test_random_labels_are_hardly_ever_told_apart(phantom_run: Path, tmp_path: Path):
    table = chance(tmp_path, run=phantom_run).set_index("attack")
    # A single number has no uncertainty to attack, and no service changes answers here.
    others = {"prediction+label+uncertainty", "head-loss:zero-knowledge", "answer-jump"}
    assert set(table.index) == set(default_attacks(ThreatModel(Access.WEIGHTS))) - others
    assert (table["labellings"] == LABELLINGS).all()
    # Twenty labellings at a nominal 5%: five or more have a chance of a quarter of a percent.
    assert (table["alone_95"] <= 4).all()
    assert (table["simultaneous_99"] <= 2).all()
    np.testing.assert_allclose(table["mean_auc"], 0.5, atol=0.08)
    again = chance(tmp_path, run=phantom_run).set_index("attack")
    assert again.equals(table)


def test_it_needs_a_run(tmp_path: Path):
    with pytest.raises(BadInputError, match="give --run RUN"):
        chance(tmp_path)
