"""Loss and uncertainty of heads with several outputs, from the network to the attacks on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from memberscan import ThreatModel, audit, federate, train
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError
from memberscan.federation.settings import Settings
from memberscan.models.heads import HEADS
from memberscan.models.inputs import as_inputs
from memberscan.runs import Run
from memberscan.signals import see
from memberscan.signals.head_outputs import HEAD_OUTPUTS
from memberscan.targets import open_target
from memberscan.threat import Access, Attacker
from memberscan.training import TrainingConfig

ATTACKS = {"prediction+label+uncertainty", "head-loss:zero-knowledge"}
UNCERTAIN = [name for name, head in HEADS.items() if head.outputs > 1 and head.standardised]
PEOPLE = 80


@pytest.fixture(scope="module")
def measures(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder, rng = tmp_path_factory.mktemp("measures"), np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(PEOPLE, 30)), columns=[f"m{n}" for n in range(30)])
    table["age"], table["id"] = rng.uniform(45, 80, PEOPLE).round(1), [f"p{n}" for n in range(PEOPLE)]
    table.to_csv(folder / "t.csv", index=False)
    return Cohort.from_table(folder / "t.csv", folder / "cohort", subject="id", age="age")


def trained(measures: Cohort, path: Path, head: str, epochs: int = 120) -> Run:
    config = TrainingConfig(epochs=epochs, device="cpu", batch_size=20, learning_rate=5e-3)
    return train(measures, path, model="mlp", options={"head": head, "width": 16}, config=config, seed=0)


@pytest.mark.parametrize("head", UNCERTAIN)
def test_an_overfitted_model_leaks_by_them_and_they_are_those_of_the_network(
    measures: Cohort, tmp_path: Path, head: str
) -> None:
    run = trained(measures, tmp_path / "run", head)
    result = audit(run.path, threat=ThreatModel(repeats=1))
    assert set(result.findings["attack"]) >= ATTACKS
    aucs = result.findings.set_index("attack")["auc_value"]
    assert (aucs[list(ATTACKS)] > 0.8).all()
    target = open_target(run.path, ThreatModel())
    seen = see(target, [HEAD_OUTPUTS], tmp_path / "signals")[HEAD_OUTPUTS]
    model, scans = run.load(), target.scans.index.tolist()
    with torch.no_grad():
        outputs = model.outputs(as_inputs(measures, scans))
        ages = torch.tensor(measures.scans.loc[scans, "age"].to_numpy(np.float32))
        expected = torch.stack([model.head.loss(outputs, ages), model.head.uncertainty(outputs)], dim=1)
    np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("head", UNCERTAIN)
def test_a_federation_of_such_a_model_is_audited_by_a_learner(
    measures: Cohort, tmp_path: Path, head: str
) -> None:
    config = TrainingConfig(epochs=2, device="cpu")
    settings = Settings("mlp", {"head": head, "width": 8}, config, rounds=2)
    run = federate(measures, tmp_path / "run", settings=settings, learners=2, held_out=0.4, seed=0)
    result = audit(run.path, threat=ThreatModel(attacker=Attacker.LEARNER, repeats=1))
    assert set(result.findings["attack"]) >= ATTACKS
    server = audit(run.path, threat=ThreatModel(attacker=Attacker.SERVER))
    assert {"local-error", "gradient-cosine", "least-squares"} <= set(server.findings["attack"])


def test_weights_of_such_a_model_are_attacked_too(measures: Cohort, tmp_path: Path) -> None:
    run = trained(measures, tmp_path / "run", "gaussian", epochs=5)
    result = audit(run.path, threat=ThreatModel(access=Access.WEIGHTS, repeats=1))
    assert {"gradient-magnitude", "gradient:output", "activation"} <= set(result.findings["attack"])


def test_of_a_single_number_they_are_not_tried_unless_asked_for(measures: Cohort, tmp_path: Path) -> None:
    run = trained(measures, tmp_path / "run", "squared-error", epochs=1)
    content = audit(run.path, threat=ThreatModel(repeats=1)).content
    tried = {f["attack"] for f in content["findings"]} | {n["attack"] for n in content["not_run"]}
    assert not tried & ATTACKS
    with pytest.raises(
        BadInputError, match=r"needs a head that says more than a prediction \(classes, or --head gaussian"
    ):
        audit(run.path, attacks=["head-loss:zero-knowledge"])
    rows = pd.DataFrame({"subject_id": [f"p{n}" for n in range(40)], "age": np.linspace(40, 80, 40)})
    rows.assign(prediction=60.0 + np.arange(40) % 7, member=np.arange(40) % 2).to_csv(
        tmp_path / "p.csv", index=False
    )
    with pytest.raises(BadInputError, match="a predictions file holds its predictions only"):
        audit(tmp_path / "p.csv", attacks=["prediction+label+uncertainty"])
