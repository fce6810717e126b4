from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from memberscan import audit, import_run
from memberscan.cohort import Cohort
from memberscan.errors import ModelError, NotARegressorError
from memberscan.models.gradient_trial import try_gradients
from memberscan.models.inputs import predict
from memberscan.models.output_part import choose_output
from memberscan.runs import Run
from memberscan.runs.run import WEIGHTS
from memberscan.threat import Access, ThreatModel

INPUTS = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


class Pair(NamedTuple):
    age: Tensor
    site: Tensor


@dataclass
class Answer:
    age: Tensor


class Several(nn.Module):
    """A network that returns its age in some container."""

    def __init__(self, wrap: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)
        self.wrap = wrap

    def forward(self, inputs: Tensor) -> Any:
        return self.wrap(self.head(inputs))


@pytest.mark.parametrize(
    ("part", "wrap"),
    [
        ("0", lambda age: (age, age * 2)),
        ("-1", lambda age: [age * 2, age]),
        ("age", lambda age: {"site": age * 2, "age": age}),
        ("age", lambda age: OrderedDict(age=age)),
        ("1", lambda age: {0: age * 2, 1: age}),
        ("age", lambda age: Pair(age, age * 2)),
        ("0", lambda age: Pair(age, age * 2)),
        ("age", Answer),
        ("heads.age", lambda age: {"heads": {"age": age}}),
        ("1.0", lambda age: (None, [age])),
        ("0", lambda age: torch.cat([age, age * 2], dim=1)),
        ("1", lambda age: torch.cat([age * 2, age], dim=1)),
        ("", lambda age: age),
    ],
)
def test_the_part_is_the_prediction(part: str, wrap: Callable[[Tensor], Any]) -> None:
    network = Several(wrap)
    names = list(network.state_dict())
    choose_output(network, part)
    assert torch.equal(predict(network, INPUTS), network.head(INPUTS).flatten())
    assert list(network.state_dict()) == names
    assert try_gradients(network, INPUTS).obstacle(None) is None


@pytest.mark.parametrize(
    ("part", "wrap", "what"),
    [
        ("age", lambda age: (age, age), "a tuple of 2 parts, counted from 0"),
        ("2", lambda age: (age, age), "a tuple of 2 parts"),
        ("years", lambda age: {"age": age, "site": age}, "a dictionary with the keys age, site"),
        ("age.0.1", lambda age: {"age": (age,)}, "a tensor of shape"),
        ("5", lambda age: age, r"a tensor of shape \(3, 1\)"),
        ("__class__", Answer, "a Answer"),
    ],
)
def test_a_part_that_is_not_there_names_those_that_are(
    part: str, wrap: Callable[[Tensor], Any], what: str
) -> None:
    with pytest.raises(NotARegressorError, match=rf"no part '{part}' \(--output\); it is {what}"):
        predict(choose_output(Several(wrap), part), INPUTS)


def several() -> nn.Module:
    """Return a network with two heads for ``volumes``."""
    return Volumes()


class Volumes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, 2, 3)
        self.age, self.site = nn.Linear(2, 1), nn.Linear(2, 3)

    def forward(self, volumes: Tensor) -> dict[str, Tensor]:
        features = self.first(volumes).relu().mean((2, 3, 4))
        return {"site": self.site(features), "age": self.age(features) + 60}


def test_an_imported_network_keeps_its_part(run: Run, volumes: Cohort, tmp_path: Path) -> None:
    torch.save(several().state_dict(), tmp_path / "w.pt")
    options = {
        "cohort": volumes,
        "model": f"{__name__}:several",
        "roles": run.roles,
        "weights": tmp_path / "w.pt",
    }
    with pytest.raises(NotARegressorError, match=r"keys site, age.*name the part"):
        import_run(tmp_path / "run", **options)
    made = import_run(tmp_path / "run", **options, output="age")
    assert Run.open(made.path).spec.output == "age"
    threat = ThreatModel(access=Access.WEIGHTS, repeats=1)
    result = audit(made.path, threat=threat, model=f"{__name__}:several")
    # The layers were guessed: the only convolution is the first and the last one, and age the output.
    ran = set(result.findings["attack"])
    assert {"gradient:conv1", "gradient:output", "activation"} <= ran


def test_a_built_in_model_has_one_output(run: Run, volumes: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has one output, its prediction: leave out --output 0"):
        import_run(
            tmp_path / "run",
            cohort=volumes,
            model="cnn3d",
            options={"width": 4},
            roles=run.roles,
            weights=run.path / WEIGHTS,
            output="0",
        )
