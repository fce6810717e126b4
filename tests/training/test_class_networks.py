"""Networks of a user's own that tell classes apart: imported, trained here, and trained by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from memberscan import audit, import_run, train_references
from memberscan.cohort import Cohort
from memberscan.errors import ModelError, NotARegressorError, ReferencesError
from memberscan.models.gradients import agrees_with_autograd, parameter_layers
from memberscan.models.heads import Classes, head_of
from memberscan.models.inputs import as_inputs, predict_scans
from memberscan.runs import Role, Roles, Run
from memberscan.threat import Access, ThreatModel
from memberscan.training import train
from memberscan.training.config import TrainingConfig
from memberscan.training.recipes import UserRecipe

HERE = __name__


class Net(nn.Module):
    """Logits of some classes from eight features."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.last = nn.Linear(8, 16), nn.Linear(16, outputs)

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.last(torch.relu(self.hidden(features)))
        return found


class Softmax(Net):
    """The probabilities of the same."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features).softmax(dim=1)


def three() -> nn.Module:
    return Net()


def one_logit() -> nn.Module:
    return Net(1)


def probabilities() -> nn.Module:
    return Softmax()


def logits(features: np.ndarray) -> np.ndarray:
    return features[:, :3]


def lab(cohort: Cohort, members: list[str], seed: int) -> Any:
    return Net()


def forest(cohort: Cohort, members: list[str], seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    inside = cohort.scans["subject_id"].isin(members).to_numpy()
    x = cohort.read(cohort.scans.index.tolist())
    model = RandomForestClassifier(20, random_state=seed % 2**32)
    return model.fit(x[inside], cohort.labels.to_numpy(int)[inside])


def wide(cohort: Cohort, members: list[str], seed: int) -> Any:
    return np.full((len(cohort), 2), 0.5)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder, rng = tmp_path_factory.mktemp("classes"), np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(80, 8)), columns=list("abcdefgh"))
    table["id"], table["age"] = [f"p{n:02d}" for n in range(80)], rng.uniform(50, 80, 80).round(1)
    table["dx"], table["sex"] = rng.choice(["AD", "CN", "MCI"], 80), rng.choice(["F", "M"], 80)
    table.to_csv(folder / "t.csv", index=False)
    return Cohort.from_table(
        folder / "t.csv", folder / "c", subject="id", age="age", covariates=["dx", "sex"]
    )


def imported(cohort: Cohort, path: Path, factory: str, **options: Any) -> Run:
    sides = {s: Role.MEMBER if n % 2 else Role.NONMEMBER for n, s in enumerate(cohort.subjects)}
    weights = path.with_suffix(".safetensors")
    save_file(globals()[factory]().state_dict(), weights)
    given = {"model": f"{HERE}:{factory}", "weights": weights, "roles": Roles(sides)}
    return import_run(path, cohort=cohort, **{**given, **options})


def test_logits_of_an_imported_network_are_read_as_its_classes(people: Cohort, tmp_path: Path) -> None:
    seen = people.with_target("dx")
    run = imported(seen, tmp_path / "run", "three")
    assert run.spec.head == "classes:count=3" and run.target == seen.target
    model = run.load()
    scans = seen.scans.index.tolist()
    inputs, own = as_inputs(seen, scans), torch.tensor(seen.labels.to_numpy(int))
    expected = -nn.functional.cross_entropy(Net()(inputs), own, reduction="none").detach()
    np.testing.assert_allclose(predict_scans(model, seen, scans)[:, 0], expected, rtol=1e-5, atol=1e-6)
    assert agrees_with_autograd(model, inputs[:4], parameter_layers(model))
    result = audit(run.path, threat=ThreatModel(access=Access.WEIGHTS, repeats=1), model=run.spec.name)
    assert {"gradient-magnitude", "head-loss:zero-knowledge"} <= set(result.findings["attack"])


def test_one_logit_is_that_of_the_second_of_two_classes(people: Cohort, tmp_path: Path) -> None:
    seen = people.with_target("sex")
    run = imported(seen, tmp_path / "run", "one_logit")
    scans = seen.scans.index.tolist()
    z = Net(1)(as_inputs(seen, scans))[:, 0].detach().double().numpy()
    signed = np.where(seen.labels.to_numpy() == 1, z, -z)
    found = predict_scans(run.load(), seen, scans)[:, 0]
    np.testing.assert_allclose(found, -np.log1p(np.exp(-signed)), rtol=1e-5, atol=1e-6)


def test_a_function_may_give_the_logits(people: Cohort, tmp_path: Path) -> None:
    run = imported(
        people.with_target("dx"),
        tmp_path / "run",
        "three",
        model="",
        weights=None,
        predictor=f"{HERE}:logits",
    )
    assert isinstance(head_of(run.load()), Classes)


@pytest.mark.parametrize(
    ("target", "factory", "options", "error", "message"),
    [
        ("dx", "probabilities", {}, ModelError, "gives probabilities, .* before the softmax"),
        ("sex", "three", {}, ModelError, "reads 2 numbers for each scan, but the network gives 3"),
        (
            "dx",
            "three",
            {"head": "classes:count=2"},
            ModelError,
            "tells 2 classes apart, but the",
        ),
        ("dx", "three", {"head": "bins:first=42,width=1"}, ModelError, "predicts a number, but the target"),
        ("age", "three", {}, NotARegressorError, "one number per scan"),
        ("age", "three", {"head": "classes:count=3"}, ModelError, "the target 'age' is a number in years"),
    ],
)
def test_a_network_that_does_not_fit_its_target_is_refused(
    people: Cohort,
    tmp_path: Path,
    target: str,
    factory: str,
    options: dict[str, Any],
    error: Any,
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        imported(people.with_target(target), tmp_path / "run", factory, **options)


@pytest.mark.usefixtures("here")
def test_an_own_network_is_trained_on_classes_and_its_references_repeat_it(
    people: Cohort, tmp_path: Path
) -> None:
    seen, name = people.with_target("dx"), f"{HERE}:three"
    run = train(seen, tmp_path / "run", model=name, config=TrainingConfig(epochs=40), seed=0)
    assert run.spec.head == "classes:count=3" and run.spec.trained_here
    made = train_references(run.path, tmp_path / "refs", count=2, workers=1, model=name)
    assert made is not None and (made.predictions <= 0).all()
    again = Run.open(run.path, model=name)
    assert head_of(again.load()).outputs == 3


@pytest.mark.parametrize("recipe", ["lab", "forest"])
def test_recipes_of_the_user_give_log_probabilities(people: Cohort, tmp_path: Path, recipe: str) -> None:
    seen = people.with_target("dx")
    members = seen.subjects[:40]
    found = UserRecipe(f"{HERE}:{recipe}").train(seen, members, 1, tmp_path / "c", None)
    own = found if found.ndim == 1 else found[:, 0]
    assert own.shape == (80,) and (own <= 0).all() and np.isfinite(own).all()
    if recipe == "forest":
        assert np.exp(own[:40]).mean() > np.exp(own[40:]).mean() + 0.2


def test_probabilities_of_other_classes_are_refused(people: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ReferencesError, match="3 probabilities per scan"):
        UserRecipe(f"{HERE}:wide").train(people.with_target("dx"), people.subjects[:9], 1, tmp_path, None)


def test_training_on_a_person_moves_the_logit_by_leverage_times_what_was_wrong() -> None:
    """In a penalised logistic regression the logit of the right class rises by h (1 - p), up to h squared.

    The gradient of the others' loss at the fit with the person is (1 - p) x, p of the fit with the person. So
    the two fits differ by H^-1 (1 - p) x with the others' Hessian H, and h = x' H^-1 x is the leverage.
    """
    rng = np.random.default_rng(0)
    x, penalty = rng.normal(size=(300, 4)), 2.0
    sign = np.where(rng.random(300) < 1 / (1 + np.exp(-x @ [1.0, -1.0, 0.5, 0.0])), 1.0, -1.0)

    def fit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        theta = np.zeros(4)
        for _ in range(30):
            p = 1 / (1 + np.exp(-sign[rows] * (x[rows] @ theta)))
            hessian = (x[rows].T * (p * (1 - p))) @ x[rows] + penalty * np.eye(4)
            theta += np.linalg.solve(hessian, x[rows].T @ (sign[rows] * (1 - p)) - penalty * theta)
        return theta, hessian

    everyone = np.arange(300)
    inside, _ = fit(everyone)
    for person in range(40):
        outside, hessian = fit(np.delete(everyone, person))
        moved = sign[person] * x[person] @ (inside - outside)
        wrong = 1 - 1 / (1 + np.exp(-sign[person] * (x[person] @ inside)))
        leverage = x[person] @ np.linalg.solve(hessian, x[person])
        assert moved > 0
        assert moved == pytest.approx(leverage * wrong, rel=5 * leverage + 1e-6)
