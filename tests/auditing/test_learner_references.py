"""A learner attacks the final global model with references; who attacks updates cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan import ThreatModel, audit, collect_references, plan_references
from memberscan.errors import BadInputError
from memberscan.runs import Run
from memberscan.threat import Attacker


@pytest.fixture(scope="module")
def references(federated: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return predictions of four references, as a lab would return them."""
    directory, rng = tmp_path_factory.mktemp("learner") / "references", np.random.default_rng(0)
    plan = plan_references(federated().path, directory, count=4)
    scans = pd.read_csv(directory / "scans.tsv", sep="\t")
    (directory / "returned").mkdir()
    for k in range(len(plan.inside)):
        inside = scans["subject_id"].isin(plan.members(k)).to_numpy()
        residual = 4 * rng.normal(size=len(scans)) * np.where(inside, 1, 1.5)
        rows = pd.DataFrame({"scan_id": scans["scan_id"], "prediction": scans["age"] - residual})
        rows.to_csv(directory / "returned" / f"reference-{k + 1:03d}.tsv", sep="\t", index=False)
    assert not collect_references(directory, []).missing
    return directory


def test_a_learner_asks_about_each_other_learner(federated: Callable[..., Run], references: Path) -> None:
    found = audit(
        federated().path,
        attacks=["error:zero-knowledge", "stacking"],
        threat=ThreatModel(attacker=Attacker.LEARNER),
        references=references,
    )
    assert {finding["attack"] for finding in found.content["findings"]} == {
        "error:zero-knowledge",
        "stacking",
    }
    pairs = [pair for pair in found.content["federation"]["pairs"] if pair["attack"] == "stacking"]
    assert len(pairs) == 12 and {pair["members"] for pair in pairs} == {24}
    assert found.content["references"]["count"] == 4


@pytest.mark.parametrize("attacker", [Attacker.SERVER, Attacker.AGGREGATE])
def test_whoever_attacks_updates_has_no_use_for_them(
    federated: Callable[..., Run], references: Path, attacker: Attacker
) -> None:
    with pytest.raises(BadInputError, match=r"outsider, learner.*leave out --references"):
        audit(federated().path, threat=ThreatModel(attacker=attacker), references=references)
