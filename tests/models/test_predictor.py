from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from torch import nn

from memberscan import audit, import_run
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, ModelError, UntrustedCodeError
from memberscan.models.predictor import Predictor
from memberscan.runs import Role, Roles, Run
from memberscan.threat import Access, ThreatModel

HERE = __name__
MODEL = Ridge(1e-3)
PEOPLE, FEATURES = 90, 30


def predict(inputs: np.ndarray) -> np.ndarray:
    """Predict with scikit-learn."""
    return MODEL.predict(inputs)


def brightness(volumes: np.ndarray) -> list[float]:
    """Predict from images, as a list."""
    assert volumes.dtype == np.float32
    return [60 + float(volume.std()) for volume in volumes]


def two_each(inputs: np.ndarray) -> np.ndarray:
    """Return two numbers for each scan."""
    return np.ones((len(inputs), 2))


def names(inputs: np.ndarray) -> list[str]:
    """Return no numbers."""
    return ["old"] * len(inputs)


def fails(inputs: np.ndarray) -> np.ndarray:
    """Fail."""
    raise OSError("no session")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("measures"), np.random.default_rng(0)
    measures = pd.DataFrame(rng.normal(size=(PEOPLE, FEATURES)), columns=[f"m{n}" for n in range(FEATURES)])
    measures["age"] = rng.uniform(45, 80, PEOPLE).round(1)
    measures["id"] = [f"p{n}" for n in range(PEOPLE)]
    measures.to_csv(folder / "t.csv", index=False)
    cohort = Cohort.from_table(folder / "t.csv", folder / "cohort", subject="id", age="age")
    inside = [f"p{n}" for n in range(40)]
    MODEL.fit(cohort.read(inside), cohort.scans.loc[inside, "age"])
    sides = {f"p{n}": Role.MEMBER if n < 40 else Role.NONMEMBER for n in range(PEOPLE)}
    Roles(sides, {}).write(folder / "roles.tsv")
    return folder


def take(table: Path, path: Path, **changes: Any) -> Run:
    options = {"cohort": table / "cohort", "roles": table / "roles.tsv", "predictor": f"{HERE}:predict"}
    return import_run(path, **(options | changes))


def test_a_model_of_scikit_learn_is_audited_by_its_predictions(table: Path, tmp_path: Path) -> None:
    run = take(table, tmp_path / "run")
    assert Run.open(run.path, model=f"{HERE}:predict").spec.predictor
    threat = ThreatModel(access=Access.WEIGHTS)
    result = audit(run.path, threat=threat, model=f"{HERE}:predict")
    assert result.verdict == "leaks"
    reasons = {entry["attack"]: entry["reason"] for entry in result.content["not_run"]}
    assert "no parameters" in reasons["gradient-magnitude"]
    assert set(result.findings["attack"]) >= {"error", "prediction+label"}


def test_its_code_is_executed_only_if_it_is_named(table: Path, tmp_path: Path) -> None:
    run = take(table, tmp_path / "run")
    with pytest.raises(UntrustedCodeError):
        audit(run.path)


def test_images_arrive_with_a_channel(volumes: Cohort, run: Run, tmp_path: Path) -> None:
    made = import_run(tmp_path / "run", cohort=volumes, roles=run.roles, predictor=f"{HERE}:brightness")
    assert made.load().eval() is not None


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"predictor": f"{HERE}:two_each"}, ModelError, "returns 4 numbers for 2 scans"),
        ({"predictor": f"{HERE}:names"}, ModelError, "returns a list; return one age"),
        ({"predictor": f"{HERE}:fails"}, ModelError, "OSError: no session"),
        ({"predictor": f"{HERE}:absent"}, ModelError, "cannot import the predictor"),
        ({"model": "mlp"}, BadInputError, "one of them"),
        ({"predictor": ""}, BadInputError, "one of them"),
        ({"weights": "w.pt"}, BadInputError, "leave out weights"),
        ({"output": "0"}, BadInputError, "leave out weights"),
    ],
)
def test_bad_predictors_are_refused(
    table: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        take(table, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_forest_of_skops_is_read_without_pickle(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io", reason="make test-all installs it")
    rng = np.random.default_rng(0)
    forest = RandomForestRegressor(5, random_state=0).fit(rng.normal(size=(20, 3)), rng.uniform(45, 80, 20))
    skops.dump(forest, tmp_path / "forest.skops")
    read = skops.load(tmp_path / "forest.skops", trusted=["sklearn.tree._tree.Tree"])
    inputs = torch.randn(4, 3)
    found = Predictor(read.predict, "forest")(inputs)
    np.testing.assert_allclose(found, forest.predict(inputs.numpy()), rtol=1e-6)


def test_torchscript_is_called_as_a_function() -> None:
    network = nn.Sequential(nn.Linear(3, 1)).eval()
    scripted = torch.jit.trace(network, torch.zeros(1, 3))
    inputs = torch.randn(4, 3)
    found = Predictor(lambda batch: scripted(torch.from_numpy(batch)).detach().numpy(), "traced")(inputs)
    torch.testing.assert_close(found, network(inputs).flatten().detach())


def test_an_exported_program_is_called_as_a_function(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(3, 1)).eval()
    rows = {"input": {0: torch.export.Dim("n")}}
    torch.export.save(
        torch.export.export(network, (torch.zeros(2, 3),), dynamic_shapes=rows), tmp_path / "age.pt2"
    )
    exported = torch.export.load(tmp_path / "age.pt2").module()
    inputs = torch.randn(4, 3)
    found = Predictor(lambda batch: exported(torch.from_numpy(batch)).detach().numpy(), "exported")(inputs)
    torch.testing.assert_close(found, network(inputs).flatten().detach())
