"""A run as a target: its people, its layers, and what its model does not give."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, StaleError
from memberscan.evidence.scores import ASIDE, IN
from memberscan.models.gradients import parameter_layers
from memberscan.runs import Role, Roles, Run
from memberscan.targets import PredictionsTable, open_target
from memberscan.targets.party import Party
from memberscan.targets.trained_model import TrainedModel
from memberscan.threat import Access, Attacker, ThreatModel

from ..recorded import deal_out, record

WEIGHTS = ThreatModel(Access.WEIGHTS)
PATHS = {"conv1": "encoder.blocks.0.conv", "conv6": "encoder.conv6", "output": "output"}


@pytest.fixture(scope="module")
def target(run: Run) -> TrainedModel:
    return TrainedModel.open(run.path, WEIGHTS)


def test_its_people_are_the_members_and_the_others_and_nobody_else(sixty: Cohort, tmp_path: Path):
    roles = dict(zip(sixty.subjects[5:], [Role.MEMBER, Role.NONMEMBER, Role.VALIDATION] * 18, strict=False))
    run = record(tmp_path / "run", sixty, roles=Roles(roles))
    target = TrainedModel.open(run.path, WEIGHTS)
    inside, outside = (set(run.roles.subjects(role)) for role in (Role.MEMBER, Role.NONMEMBER))
    assert set(target.people.ids) == inside | outside and len(target.people) == 36
    assert [s for s, m in zip(target.people.ids, target.member, strict=True) if m] == sorted(inside)
    np.testing.assert_array_equal(target.member_of_scan, target.scans["subject_id"].isin(inside))
    assert list(target.scans) == ["subject_id", "label"] and len(target.scans) == 72


def test_its_covariates_are_those_of_the_cohort(target: TrainedModel, volumes: Cohort):
    assert list(target.covariates) == ["sex"]
    assert target.covariates.equals(volumes.scans.loc[target.scans.index, ["sex"]])


def test_layers_go_by_landmark_or_path_and_those_without_parameters_are_not_there(target: TrainedModel):
    names = ["conv1", "conv6", "output", "encoder.blocks.1.conv", "encoder.relu", "encoder", "absent"]
    assert target.layer_paths(names) == PATHS | {"encoder.blocks.1.conv": "encoder.blocks.1.conv"}
    assert set(target.landmarks) >= set(PATHS)
    plain = dataclasses.replace(target, model=nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)))
    assert plain.landmarks == {"output": "1"}
    assert plain.layer_paths(["conv1", "1"]) == {"1": "1"}


def test_gradients_and_activations_of_our_networks_can_be_taken(target: TrainedModel):
    assert target.gradient_obstacle(None) is None
    assert target.gradient_obstacle(list(PATHS.values())) is None
    assert target.activation_obstacle("output") is None


class Silent(nn.Module):
    """Predicts without gradients, and calls its output layer's weights by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(9 * 10 * 11, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            result: torch.Tensor = inputs.flatten(1) @ self.output.weight.T
        return result


def test_a_network_that_gives_neither_says_why(target: TrainedModel):
    silent = dataclasses.replace(target, model=Silent().eval())
    assert silent.gradient_obstacle(None) and silent.gradient_obstacle(["output"])
    assert silent.activation_obstacle("output")


@pytest.mark.parametrize("leaked", [0.0, 0.5])
def test_an_outsider_draws_whom_it_knows_from_a_branch_of_the_seed(target: TrainedModel, leaked: float):
    other = dataclasses.replace(target, threat=ThreatModel(leaked=leaked, repeats=3), seed=4)
    rows = other.comparisons(learns=True)
    count = int(leaked * min(other.member.sum(), (~other.member).sum()))
    # Half known: two halves in each repeat.
    assert len(rows) == (6 if leaked else 3) and other.known_people == (count, count)
    for row in rows:
        assert (row.sides == ASIDE).sum() == 2 * count
    again = dataclasses.replace(other).comparisons(learns=True)
    assert all(np.array_equal(a.sides, b.sides) for a, b in zip(rows, again, strict=True))
    (everybody,) = other.comparisons(learns=False)
    np.testing.assert_array_equal(everybody.sides == IN, other.member)
    assert (other.nothing_to_learn_from is None) == (leaked > 0)
    assert other.most_others() == 0 and other.conceals is None


@pytest.mark.parametrize("environment", ["skewed-noniid", None])
def test_people_held_out_at_random_are_so_however_the_others_were_dealt_out(
    environment: str | None, sixty: Cohort, tmp_path: Path
):
    """An outsider asks about everybody's data; by chance alone its two sides differ."""
    run = record(tmp_path / "run", sixty, roles=deal_out(sixty, 24), environment=environment)
    assert not run.randomised
    target = TrainedModel.open(run.path, WEIGHTS)
    assert target.randomised == (environment is not None) == target.describe()["randomised"]
    (group,) = target.groups
    assert group.randomised == (environment is not None) and group.asked.all()
    np.testing.assert_array_equal(group.inside, target.member)


def test_what_it_is_and_where_it_comes_from(target: TrainedModel, run: Run, volumes: Cohort):
    assert target.describe() == {
        "kind": "run",
        "model": "cnn3d",
        "parameters": sum(p.numel() for p in run.load().parameters()),
        "synthetic": True,
        "randomised": True,
        "defence": None,
        "guarantee": None,
        "answers": None,
        "taught_on": None,
    }
    assert target.provenance() == {
        "cohort": volumes.fingerprint,
        "roles": run.roles.fingerprint,
        "weights": run.weights_fingerprint,
        "predictions": None,
        "threads": torch.get_num_threads(),
    }
    assert target.roles_digest == run.roles_digest != run.roles.fingerprint
    assert target.shows is Access.WEIGHTS
    assert all(target.lacks(access) is None for access in Access)
    assert set(parameter_layers(target.model)) >= set(PATHS.values())


def test_a_path_is_opened_as_what_the_attacker_has_before_it(
    run: Run, sixty: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    server = ThreatModel(attacker=Attacker.SERVER)
    federation = record(tmp_path / "run", sixty, roles=deal_out(sixty, 24))
    assert type(open_target(run.path, WEIGHTS)) is TrainedModel
    assert type(open_target(federation.path, WEIGHTS)) is TrainedModel
    assert type(open_target(federation.path, server)) is Party
    table = tmp_path / "p.tsv"
    table.write_text("subject_id\tage\tprediction\tmember\na\t60\t61.5\t1\nb\t70.5\t66\t0\n")
    opened = open_target(table, WEIGHTS, seed=3)
    assert type(opened) is PredictionsTable and opened.seed == 3
    with pytest.raises(BadInputError, match=r"a server is a party of a federation.*give a run"):
        open_target(table, server)
    with pytest.raises(BadInputError, match="does not exist; give a run directory, or a TSV or CSV"):
        open_target(tmp_path / "absent", WEIGHTS)


def test_another_cohort_is_refused(run: Run, sixty: Cohort):
    with pytest.raises(StaleError, match="another cohort"):
        open_target(run.path, WEIGHTS, cohort=sixty.path)


def test_an_audit_of_predictions_opens_its_target_without_torch(tmp_path: Path):
    (tmp_path / "p.tsv").write_text("subject_id\tage\tprediction\tmember\na\t60\t61\t1\nb\t70\t66\t0\n")
    code = (
        "import sys; from pathlib import Path\n"
        "from memberscan.attacks import availability, attempt, identity, REGISTRY\n"
        "from memberscan.signals import see\n"
        "from memberscan.targets import open_target\n"
        "from memberscan.threat import ThreatModel\n"
        f"target = open_target(Path({str(tmp_path / 'p.tsv')!r}), ThreatModel())\n"
        "for attack in REGISTRY.values():\n"
        "    if availability.obstacle(attack, target) is None: see(target, attack.reads, Path('nowhere'))\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
