"""Whether an attack can be run, and the reason where it cannot: one function, and every reason it gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from memberscan.attacks import REGISTRY, Attack, default_attacks, named
from memberscan.attacks.attack import Features, KnownScans
from memberscan.attacks.availability import needed_access, obstacle, tried_by_default
from memberscan.cohort import Cohort
from memberscan.models.heads import SquaredError
from memberscan.runs import Role, Roles, Run
from memberscan.signals import PREDICTION, Signal, View
from memberscan.signals.activations import ACTIVATION
from memberscan.signals.layer_gradients import GRADIENT_NORMS
from memberscan.signals.learner_updates import LOCAL_PREDICTIONS
from memberscan.targets import PredictionsTable, Target, open_target
from memberscan.targets.party import Party
from memberscan.threat import OF_OUTSIDERS, Access, Attacker, ThreatModel
from memberscan.training import import_run

from ..recorded import deal_out, record

OUTPUTS, WEIGHTS = ThreatModel(), ThreatModel(Access.WEIGHTS)
Federation = Callable[..., Path]


@pytest.fixture
def federation(sixty: Cohort, tmp_path: Path) -> Federation:
    """Return a function that records a federation of a perceptron, which has no convolutions."""

    def write(**options: Any) -> Path:
        options.setdefault("roles", deal_out(sixty, 24))
        return record(tmp_path / "federation", sixty, **options).path

    return write


@pytest.fixture
def table(tmp_path: Path) -> Callable[[ThreatModel], PredictionsTable]:
    lines = [f"s{n}\t{50 + n}\t{52.5 + n}\t{n % 2}" for n in range(24)]
    (tmp_path / "p.tsv").write_text("\n".join(["subject_id\tage\tprediction\tmember", *lines]))
    return lambda threat: PredictionsTable.read(tmp_path / "p.tsv", threat)


def reason(name: str, target: Target) -> str:
    found = obstacle(named(name), target)
    assert found is not None
    assert found[0].islower() and not found.endswith("."), "it follows the attack's name"
    return found


def party(path: Path, attacker: str, **threat: Any) -> Party:
    return Party.open(path, ThreatModel(attacker=Attacker(attacker), **threat))


def test_a_table_shows_outputs_only(table):
    for threat in (OUTPUTS, WEIGHTS):
        assert obstacle(named("error"), table(threat)) is None
        for name in ("activation", "gradient-magnitude", "gradient:conv1", "loss-series", "local-error"):
            assert reason(name, table(threat)) == (
                "needs the model's weights; a predictions file shows outputs only"
            )


def test_an_outsider_with_outputs_does_not_see_weights(run: Run):
    target = open_target(run.path, OUTPUTS)
    assert obstacle(named("prediction+label"), target) is None
    for name in ("activation", "gradient-magnitude", "gradient:output"):
        assert reason(name, target) == (
            "needs access to weights; this audit assumes outputs only (--access weights)"
        )
    target = open_target(run.path, WEIGHTS)
    obstacles = {name: obstacle(named(name), target) or "" for name in default_attacks(WEIGHTS)}
    assert not any("access to weights" in reason for reason in obstacles.values())
    for name in ("activation", "gradient-magnitude", "gradient:output", "gradient:conv1"):
        assert not obstacles[name]


@pytest.mark.parametrize("threat", [OUTPUTS, WEIGHTS])
def test_an_outsider_sees_the_final_model_only(threat: ThreatModel, run: Run):
    target = open_target(run.path, threat)
    assert reason("loss-series", target) == (
        "needs every round's global model (--attacker learner), or models that were kept in training "
        "(--checkpoints)"
    )
    for name in ("local-error", "fedmia:cosine", "gradient-ascent"):
        assert reason(name, target) == (
            "needs the learners' updates; an outsider sees the final model only; use --attacker server"
        )


def test_a_layer_that_is_not_there_is_named_before_anything_else(run: Run):
    for threat in (OUTPUTS, WEIGHTS, ThreatModel(leaked=0.0)):
        target = open_target(run.path, threat)
        found = reason("gradient:conv9", target)
        assert found.startswith("the model has no layer conv9 with parameters (its landmarks: conv1, conv6, ")
        assert found.endswith("name a layer by its module path, as in gradient:encoder.conv6")
    assert obstacle(named("gradient:encoder.blocks.1.conv"), open_target(run.path, WEIGHTS)) is None


def test_two_layers_that_are_not_there_are_named_together(federation: Federation):
    target = open_target(federation(), WEIGHTS)
    name = "prediction+label+gradient:conv6+gradient:output"
    assert "no layer conv6 with parameters" in reason(name, target)


class Plain(nn.Module):
    """A network that declares no landmark; its second part works without gradients."""

    def __init__(self, *, cut: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 3), nn.Linear(3, 1)
        self.cut = cut

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.first(inputs)
        result: torch.Tensor = self.second(hidden.detach() if self.cut else hidden)
        return result


def cut() -> Plain:
    return Plain(cut=True)


class ByHand(nn.Module):
    """A network whose output layer is never called."""

    landmarks = {"output": "output"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(6, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(inputs, self.output.weight, self.output.bias)


@pytest.fixture
def brought(sixty: Cohort, tmp_path: Path) -> Callable[..., Target]:
    """Return a function that imports a network of this module."""

    def bring(factory: Callable[[], nn.Module], threat: ThreatModel = WEIGHTS) -> Target:
        name = f"{__name__}:{factory.__name__}"
        torch.manual_seed(0)
        save_file(factory().state_dict(), tmp_path / "w.safetensors")
        roles = Roles({s: [Role.MEMBER, Role.NONMEMBER][n % 2] for n, s in enumerate(sixty.subjects)})
        run = import_run(
            tmp_path / factory.__name__,
            cohort=sixty,
            model=name,
            weights=tmp_path / "w.safetensors",
            roles=roles,
        )
        return open_target(run.path, threat, model=name)

    return bring


class Nameless(Plain):
    """The same, which declares that it has no landmark."""

    landmarks: ClassVar = {}


def test_a_guessed_output_layer_serves_attacks_on_it(brought):
    target = brought(Plain)
    for name in ("activation", "gradient:output"):
        assert obstacle(named(name), target) is None


def test_a_model_without_an_output_layer_has_no_known_activation(brought):
    target = brought(Nameless)
    assert reason("activation", target) == (
        "the model has no landmark 'output', so its last activation is not known"
    )
    assert "its landmarks: none" in reason("gradient:output", target)
    assert obstacle(named("gradient:second"), target) is None


def test_gradients_that_do_not_reach_a_layer_stop_those_attacks_only(brought):
    target = brought(cut)
    assert "no gradient reaches first" in reason("gradient:first", target)
    assert "no gradient reaches first" in reason("gradient-magnitude", target)
    assert obstacle(named("gradient:second"), target) is None
    assert obstacle(named("error"), target) is None


class TwoOutputs(SquaredError):
    """A head of a later kind, of which a network gives two numbers for each scan."""

    outputs = 2


def test_an_output_layer_that_is_never_called_shows_no_activation(brought):
    target = brought(ByHand)
    assert reason("activation", target) == target.activation_obstacle("output")


def test_the_model_is_tried_only_if_nothing_else_stands_in_the_way(brought, monkeypatch):
    from memberscan.targets.trained_model import TrainedModel

    def never(*_: object) -> str:
        raise AssertionError("the model was run")

    monkeypatch.setattr(TrainedModel, "gradient_obstacle", never)
    target = brought(Plain, OUTPUTS)
    assert "needs access to weights" in reason("gradient-magnitude", target)
    target = brought(Plain, ThreatModel(Access.WEIGHTS, leaked=0.0))
    assert "needs people whose membership is known" in reason("gradient-magnitude", target)
    with pytest.raises(AssertionError, match="was run"):
        obstacle(named("gradient-magnitude:zero-knowledge"), target)


def test_without_known_people_nothing_is_learned(run: Run):
    target = open_target(run.path, ThreatModel(Access.WEIGHTS, leaked=0.0))
    known = open_target(run.path, WEIGHTS)
    for name in default_attacks(WEIGHTS):
        attack = REGISTRY[name]
        if attack.learns and obstacle(attack, known) is None:
            assert reason(name, target) == (
                "needs people whose membership is known, but this audit assumes none; use --leaked 0.5"
            )
        else:
            assert obstacle(attack, target) == obstacle(attack, known)
    assert obstacle(named("error:zero-knowledge"), target) is None


def test_too_few_known_non_members_are_counted(table):
    enough = dataclasses.replace(named("quantile"), nonmembers=6)
    assert obstacle(enough, table(OUTPUTS)) is None
    assert reason("quantile", table(OUTPUTS)) == (
        "needs at least 200 known non-members to learn from; this attacker knows 6"
    )


def test_a_learner_learns_from_its_own_people_and_known_held_out_ones(federation: Federation, sixty: Cohort):
    nobody = party(federation(), "learner", leaked=0.0)
    assert reason("loss-series", nobody) == (
        "needs known held-out people, but this audit assumes none; use --leaked 0.5"
    )
    assert obstacle(named("loss-series:zero-knowledge"), nobody) is None


def test_a_learner_that_is_alone_with_its_people_learns_nothing(federation: Federation, sixty: Cohort):
    alone = party(federation(roles=deal_out(sixty, 24, ["site-2"])), "learner")
    assert reason("error", alone) == (
        "needs the attacking learner's own people, but only the victim's are here"
    )
    assert obstacle(named("error:zero-knowledge"), alone) is None


def test_parties_do_not_have_what_others_see(federation: Federation):
    path = federation(environment="uniform-iid")
    for attacker in ("server", "active-server", "aggregate"):
        for name in ("error", "gradient-magnitude", "loss-series"):
            assert reason(name, party(path, attacker)) == (
                f"needs the attacker's own people, as a learner has them; this attacker ({attacker}) has none"
            )
    for name in ("local-error", "gradient-ascent"):
        assert reason(name, party(path, "learner")) == (
            "needs the learners' updates; this attacker (learner) does not have them"
        )
    for attacker in ("server", "aggregate"):
        assert reason("gradient-ascent", party(path, attacker)) == (
            "needs a server that changes its broadcast; use --attacker active-server"
        )
    assert reason("local-error", party(path, "active-server")) == (
        "needs rounds without a changed broadcast; use --attacker server"
    )


def test_learners_of_an_imported_federation_do_not_answer_once_more(federation: Federation):
    found = reason("gradient-ascent", party(federation(), "active-server"))
    assert found.startswith("needs learners to train once more on the changed model; this federation was")


@pytest.mark.parametrize(("attacker", "rounds", "seen"), [("aggregate", None, 0), ("server", 1, 1)])
def test_too_few_learners_to_compare_with(attacker: str, rounds, seen: int, federation: Federation):
    path = federation(left_out=[(3, "site-2")])
    target = party(path, attacker, rounds=rounds)
    for name in ("fedmia:error", "fedmia:cosine"):
        assert reason(name, target) == (
            f"needs at least 2 other learners in a round; this attacker sees at most {seen}"
        )
    assert obstacle(named("local-error"), target) is None
    assert obstacle(named("fedmia:error"), party(path, "server")) is None


@pytest.mark.parametrize("attacker", ["server", "active-server"])
def test_encryption_is_the_reason_for_every_attack_of_a_server(attacker: str, federation: Federation):
    target = party(federation(secure="ckks"), attacker)
    assert {reason(name, target) for name in REGISTRY} == {target.conceals}


class Observer(Attack):
    """An attack of a user's own, which says what it reads and nothing else."""

    def observe(self, view: View) -> Features:
        return Features(view.scans.index, view[PREDICTION][:, None])

    def score(self, features: Features, known: KnownScans) -> Any:
        return features.values[:, 0]


def mine(*reads: Signal) -> Attack:
    return Observer("mine", "mine", reads)


def test_the_most_that_an_attack_must_see_decides(run: Run):
    both = mine(PREDICTION, ACTIVATION, GRADIENT_NORMS)
    assert needed_access(both, OUTPUTS) is Access.WEIGHTS
    assert "needs access to weights" in str(obstacle(both, open_target(run.path, OUTPUTS)))
    assert needed_access(mine(PREDICTION), OUTPUTS) is Access.OUTPUTS
    mixed = mine(PREDICTION, LOCAL_PREDICTIONS)
    assert needed_access(mixed, ThreatModel(attacker=Attacker.SERVER)) is Access.UPDATES
    # Sums are worked out of the global models, which need no update of anybody.
    assert needed_access(mine(LOCAL_PREDICTIONS), ThreatModel(attacker=Attacker.AGGREGATE)) is Access.ROUNDS


def test_an_attack_that_no_single_place_shows_is_run_by_nobody(federation: Federation, run: Run):
    mixed = mine(PREDICTION, LOCAL_PREDICTIONS)
    path = federation()
    for target in (open_target(run.path, WEIGHTS), party(path, "learner"), party(path, "server")):
        assert obstacle(mixed, target)
    assert not any(tried_by_default(mixed, ThreatModel(attacker=attacker)) for attacker in Attacker)


@pytest.mark.parametrize("attack", REGISTRY.values(), ids=lambda attack: attack.name)
def test_what_is_tried_by_default_is_seen_from_that_place(attack: Attack, federation: Federation, run: Run):
    threats = [ThreatModel(attacker=a) for a in Attacker if a is not Attacker.OUTSIDER]
    threats += [ThreatModel(access) for access in OF_OUTSIDERS]
    tried = [tried_by_default(attack, threat, references=True) for threat in threats]
    assert any(tried) != attack.on_request
    for threat in threats:
        if tried_by_default(attack, threat) and threat.attacker is not Attacker.OUTSIDER:
            assert needed_access(attack, threat) in threat.sees
