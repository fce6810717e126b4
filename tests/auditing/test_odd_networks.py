"""Networks of others that hide something: imported, audited as far as they can be, and the rest is said."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from memberscan import Access, ThreatModel, audit
from memberscan.auditing import AuditResult
from memberscan.cohort import Cohort
from memberscan.errors import ModelError
from memberscan.runs import Role, Roles, Run
from memberscan.threat import Attacker
from memberscan.training import import_run

from .conftest import require_valid

WEIGHTS = ThreatModel(Access.WEIGHTS, repeats=1)
ATTACKS = ["error", "gradient:output", "gradient:hidden", "gradient-magnitude", "activation"]


class Plain(nn.Module):
    """A small network that predicts ages around 62."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.output = nn.Linear(24, 6), nn.Linear(6, 1)
        nn.init.constant_(self.output.bias, 62.0)

    def features(self, inputs: Tensor) -> Tensor:
        return torch.tanh(self.hidden(inputs))

    def forward(self, inputs: Tensor) -> Any:
        return self.output(self.features(inputs))


class WithoutGrad(Plain):
    def forward(self, inputs: Tensor) -> Any:
        with torch.no_grad():
            return super().forward(inputs)


class Detached(Plain):
    def forward(self, inputs: Tensor) -> Any:
        return super().forward(inputs).detach()


class Checkpointed(Plain):
    def forward(self, inputs: Tensor) -> Any:
        return self.output(checkpoint(self.features, inputs, use_reentrant=True))


class Dropout(Plain):
    def forward(self, inputs: Tensor) -> Any:
        return self.output(nn.functional.dropout(self.features(inputs), 0.3))


class Tied(Plain):
    """Two layers share one weight, and one module has two names."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.again = nn.Linear(24, 24), nn.Linear(24, 24)
        self.again.weight = self.hidden.weight
        self.output = nn.Linear(24, 1)
        self.alias = self.output
        nn.init.constant_(self.output.bias, 62.0)

    def features(self, inputs: Tensor) -> Tensor:
        return torch.tanh(self.again(torch.tanh(self.hidden(inputs))))


class NormOfBatch(Plain):
    """Batch norm over the batch itself, which one scan has not enough of."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(24, track_running_stats=False)

    def features(self, inputs: Tensor) -> Tensor:
        return super().features(self.norm(inputs))


class Unused(Plain):
    """A layer that has weights and takes no part."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden2 = nn.Linear(3, 3)


class Parametrized(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.utils.parametrizations.weight_norm(self.hidden)
        self.output = nn.utils.parametrizations.spectral_norm(self.output)


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(Plain().eval(), torch.zeros(2, 24))


@pytest.fixture
def take(people: Cohort, tmp_path: Path) -> Callable[..., Run]:
    """Return a function that imports a network, with half of the people as members."""
    half = people.subjects[::2]
    roles = Roles({s: Role.MEMBER if s in half else Role.NONMEMBER for s in people.subjects})

    def run(factory: str) -> Run:
        network = globals()[factory]()
        state = {key: value.clone() for key, value in network.state_dict().items()}
        save_file(state, tmp_path / "w.safetensors")
        name = f"{__name__}:{factory}"
        return import_run(
            tmp_path / "run", cohort=people, model=name, weights=tmp_path / "w.safetensors", roles=roles
        )

    return run


def white_box(run: Run, attacks: list[str] = ATTACKS) -> tuple[AuditResult, dict[str, str], set[str]]:
    result = audit(run.path, threat=WEIGHTS, attacks=attacks, **named(run))
    require_valid(dict(result.content))
    not_run = {row["attack"]: row["reason"] for row in result.content["not_run"]}
    return result, not_run, {row["attack"] for row in result.content["findings"]}


def named(run: Run) -> dict[str, str]:
    """Return what names the network's code, which runs only if it is named."""
    return {"model": run.spec.name}


@pytest.mark.parametrize("factory", ["WithoutGrad", "Detached"])
def test_gradient_attacks_on_a_network_without_gradients_are_listed(factory: str, take) -> None:
    _, not_run, ran = white_box(take(factory))
    assert ran == {"error", "activation"}
    assert set(not_run) == {"gradient:output", "gradient:hidden", "gradient-magnitude"}
    assert all("no gradient reaches the model's parameters" in reason for reason in not_run.values())


def test_layers_behind_a_reentrant_checkpoint_are_listed(take) -> None:
    _, not_run, ran = white_box(take("Checkpointed"))
    assert ran == {"error", "gradient:output", "activation"}
    assert all("no gradient reaches hidden, though" in reason for reason in not_run.values())


def test_torchscript_gives_its_gradients_and_hides_its_activations(take) -> None:
    _, not_run, ran = white_box(take("scripted"))
    assert set(not_run) == {"activation"} and "outside TorchScript" in not_run["activation"]
    assert ran == set(ATTACKS) - {"activation"}


@pytest.mark.parametrize("factory", ["Plain", "Tied", "Parametrized"])
def test_networks_that_hide_nothing_are_attacked_in_every_way(factory: str, take) -> None:
    run = take(factory)
    _, not_run, ran = white_box(run)
    assert not not_run and ran == set(ATTACKS)
    assert load_file(run.path / "weights.safetensors").keys() == globals()[factory]().state_dict().keys()


def test_a_layer_that_takes_no_part_gives_no_score(take) -> None:
    _, not_run, ran = white_box(take("Unused"), [*ATTACKS, "gradient:hidden2"])
    assert ran == set(ATTACKS)
    assert "the same for every scan" in not_run["gradient:hidden2"]


@pytest.mark.parametrize(
    ("factory", "words"), [("Dropout", "something in it is random"), ("NormOfBatch", "but not on one alone")]
)
def test_networks_that_nobody_could_audit_are_refused_before_and_after_import(
    factory: str, words: str, take, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=words):
        take(factory)
    assert not (tmp_path / "run").exists()
    # A run that an earlier version took in.
    monkeypatch.setattr("memberscan.training.imports.require_predicts", lambda *_, **__: None)
    run = take(factory)
    for threat in (WEIGHTS, ThreatModel(repeats=1)):
        with pytest.raises(ModelError, match=words):
            audit(run.path, threat=threat, **named(run))


def test_a_server_without_gradients_goes_by_the_learners_predictions(people: Cohort, tmp_path: Path) -> None:
    names = ("a", "b", "c")
    thirds = {s: n % 4 for n, s in enumerate(people.subjects)}
    roles = Roles(
        {s: Role.NONMEMBER if n == 3 else Role.MEMBER for s, n in thirds.items()},
        {s: names[n] for s, n in thirds.items() if n < 3},
    )
    rng = np.random.default_rng(0)
    start = Plain().state_dict()
    ends = [
        {k: v + 0.01 * torch.tensor(rng.normal(size=v.shape)).float() for k, v in start.items()}
        for _ in names
    ]
    folder = tmp_path / "kept"
    for path in (folder / "0", folder / "1"):
        path.mkdir(parents=True)
    save_file(start, folder / "0" / "global.safetensors")
    save_file({k: sum(end[k] for end in ends) / 3 for k in start}, folder / "1" / "global.safetensors")
    for name, end in zip(names, ends, strict=True):
        save_file(end, folder / "1" / f"{name}.safetensors")
    found = {}
    for factory in ("Plain", "WithoutGrad"):
        run = import_run(
            tmp_path / factory, cohort=people, model=f"{__name__}:{factory}", roles=roles, transcript=folder
        )
        found[factory] = audit(run.path, threat=ThreatModel(attacker=Attacker.SERVER), **named(run))
        require_valid(dict(found[factory].content))
    silent = {row["attack"]: row["reason"] for row in found["WithoutGrad"].content["not_run"]}
    by_gradients = {"gradient-cosine", "gradient-difference", "fedmia:cosine", "least-squares"}
    assert set(silent) == by_gradients and not found["Plain"].content["not_run"]
    assert all("no gradient reaches" in reason for reason in silent.values())
    for name in ("local-error", "fedmia:error"):
        one, other = (np.sort(result.scores[name]) for result in found.values())
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert (
        found["Plain"].content["federation"]["sources"]
        == found["WithoutGrad"].content["federation"]["sources"]
    )
