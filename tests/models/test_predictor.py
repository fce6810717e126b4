from __future__ import annotations

from collections.abc import Callable
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
from memberscan.models.inputs import predict_scans
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
        ({"predictor": f"{HERE}:names"}, ModelError, "returns a list; return one number"),
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


KEPT: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
"""What the functions below call: models that a test has read from a file."""


def of_skops(inputs: np.ndarray) -> np.ndarray:
    return KEPT["skops"](inputs)


def of_torchscript(inputs: np.ndarray) -> np.ndarray:
    return KEPT["torchscript"](inputs)


def of_export(inputs: np.ndarray) -> np.ndarray:
    return KEPT["export"](inputs)


def require_audited(table: Path, path: Path, function: str, expected: np.ndarray) -> None:
    """Import the model of a function, and audit it; its predictions must be these."""
    run = take(table, path, predictor=f"{HERE}:{function}")
    scans = run.cohort().scans.index.tolist()
    np.testing.assert_allclose(predict_scans(run.load(), run.cohort(), scans)[:, 0], expected, rtol=1e-5)
    result = audit(run.path, threat=ThreatModel(repeats=1), model=f"{HERE}:{function}")
    assert set(result.findings["attack"]) >= {"error", "prediction+label"}


def inputs_of(table: Path) -> np.ndarray:
    cohort = Cohort.open(table / "cohort")
    return cohort.read(cohort.scans.index.tolist())


def line() -> nn.Module:
    """Return a linear network that predicts about 60 years."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(FEATURES, 1)).eval()
    nn.init.constant_(network[0].bias, 60.0)
    return network


def test_a_forest_of_skops_is_audited_and_read_without_pickle(table: Path, tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io", reason="make test-all installs it")
    inputs = inputs_of(table)
    ages = Cohort.open(table / "cohort").scans["age"]
    forest = RandomForestRegressor(5, random_state=0).fit(inputs[:40], ages[:40])
    skops.dump(forest, tmp_path / "forest.skops")
    read = skops.load(tmp_path / "forest.skops", trusted=["sklearn.tree._tree.Tree"])
    KEPT["skops"] = read.predict
    require_audited(table, tmp_path / "run", "of_skops", forest.predict(inputs))


def test_torchscript_is_audited(table: Path, tmp_path: Path) -> None:
    network = line()
    torch.jit.trace(network, torch.zeros(1, FEATURES)).save(tmp_path / "age.pt")
    scripted = torch.jit.load(tmp_path / "age.pt")
    KEPT["torchscript"] = lambda batch: scripted(torch.from_numpy(batch)).detach().numpy()
    expected = network(torch.from_numpy(inputs_of(table))).flatten().detach().numpy()
    require_audited(table, tmp_path / "run", "of_torchscript", expected)


def test_an_exported_program_is_audited(table: Path, tmp_path: Path) -> None:
    network, rows = line(), {"input": {0: torch.export.Dim.AUTO}}
    program = torch.export.export(network, (torch.zeros(2, FEATURES),), dynamic_shapes=rows)
    torch.export.save(program, tmp_path / "age.pt2")
    exported = torch.export.load(tmp_path / "age.pt2").module()
    KEPT["export"] = lambda batch: exported(torch.from_numpy(batch)).detach().numpy()
    expected = network(torch.from_numpy(inputs_of(table))).flatten().detach().numpy()
    require_audited(table, tmp_path / "run", "of_export", expected)
