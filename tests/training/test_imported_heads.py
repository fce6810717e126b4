"""Networks of a lab's own with a head, from their import to audits, references and what a server sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import Tensor, nn

from memberscan import ThreatModel, audit, import_run, train_references
from memberscan.cohort import Cohort
from memberscan.errors import ModelError, NotARegressorError, OutputConflictError
from memberscan.models.heads import Gaussian, Quantiles, head_of
from memberscan.models.inputs import predict_scans
from memberscan.runs import Role, Roles, Run
from memberscan.runs.run import DONE, WEIGHTS
from memberscan.threat import Access, Attacker
from memberscan.training.recipes import UserRecipe

HERE = __name__
ATTACKS = {"prediction+label+uncertainty", "head-loss:zero-knowledge"}
PREDICTOR = {"model": "", "weights": None, "output": ""}
SFCN, LEVELS = "bins:first=42,width=1", "quantiles:levels=0.05/0.5/0.95"


class Sfcn(nn.Module):
    """Bins of one year from 42 to 82, in a list of one part, as SFCN returns them."""

    def __init__(self, outputs: int = 40) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.Conv3d(4, 4, 3), nn.ReLU())
        self.head = nn.Conv3d(4, outputs, 1)

    def forward(self, volumes: Tensor) -> Any:
        pooled = self.features(volumes).mean((2, 3, 4), keepdim=True)
        return [self.head(pooled).log_softmax(dim=1)]


class Uncertain(Sfcn):
    """A mean and a log variance, its variance or its standard deviation; or three quantiles."""

    def __init__(self, kind: str) -> None:
        super().__init__(3 if kind == "quantiles" else 2)
        self.kind = kind

    def forward(self, volumes: Tensor) -> Any:
        found = self.head(self.features(volumes).mean((2, 3, 4), keepdim=True)).flatten(1)
        if self.kind == "quantiles":
            return found.cumsum(dim=1) + 60
        factor = {"sd": 0.5, "variance": 1.0, "log-variance": 0.0}[self.kind]
        second = 4 + found[:, 1]
        return {"mean": found[:, 0] + 60, "second": (factor * second).exp() if factor else second}


def sfcn() -> nn.Module:
    return Sfcn()


def log_variance() -> nn.Module:
    return Uncertain("log-variance")


def variance() -> nn.Module:
    return Uncertain("variance")


def sd() -> nn.Module:
    return Uncertain("sd")


def quantiles() -> nn.Module:
    return Uncertain("quantiles")


def recipe(cohort: Cohort, members: Any, seed: int) -> nn.Module:
    """Train nothing, but give each reference its own weights."""
    network = Sfcn()
    torch.manual_seed(seed)
    nn.init.normal_(network.head.bias)  # type: ignore[arg-type]
    return network


@pytest.fixture
def given(volumes: Cohort, run: Run, tmp_path: Path) -> dict[str, Any]:
    """What an import of an SFCN takes, and the weights of it."""
    torch.save(Sfcn().state_dict(), tmp_path / "w.pt")
    return {
        "cohort": volumes,
        "roles": run.roles,
        "model": f"{HERE}:sfcn",
        "weights": tmp_path / "w.pt",
        "output": "0",
        "head": SFCN,
    }


def test_an_sfcn_is_imported_and_audited(given: dict[str, Any], tmp_path: Path) -> None:
    own = tmp_path / "own.tsv"
    cohort = given["cohort"]
    centres = torch.arange(42, 82) + 0.5
    with torch.no_grad():
        found = Sfcn()(torch.from_numpy(cohort.read(cohort.scans.index.tolist()))[:, None])[0]
    expected = found.exp().flatten(1) @ centres
    pd.DataFrame({"scan_id": cohort.scans.index, "prediction": expected}).to_csv(own, sep="\t", index=False)
    made = import_run(tmp_path / "run", **given, predictions=own)
    assert made.reproduced is not None and made.reproduced.largest < 1e-3
    opened = Run.open(made.path, model=given["model"])
    assert opened.spec.head == SFCN and list(opened.load().state_dict()) == list(Sfcn().state_dict())
    outside = audit(made.path, tmp_path / "outside", threat=ThreatModel(repeats=1), model=given["model"])
    assert set(outside.findings["attack"]) >= ATTACKS
    inside = audit(
        made.path,
        attacks=["gradient:conv1", "gradient:head", "activation", *ATTACKS],
        threat=ThreatModel(access=Access.WEIGHTS, repeats=1),
        model=given["model"],
    )
    assert set(inside.findings["attack"]) == {"gradient:conv1", "gradient:head", "activation", *ATTACKS}
    # The same weights with another head are another model.
    other = import_run(tmp_path / "other", **(given | {"head": "bins:first=30,width=2"}))
    with pytest.raises(OutputConflictError, match="head"):
        audit(other.path, tmp_path / "outside", threat=ThreatModel(repeats=1), model=given["model"])


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("log_variance", "gaussian"),
        ("variance", "gaussian:second=variance"),
        ("sd", "gaussian:second=sd"),
        ("quantiles", LEVELS),
    ],
)
def test_networks_with_a_variance_or_quantiles_are_audited(
    given: dict[str, Any], tmp_path: Path, name: str, head: str
) -> None:
    network = Uncertain(name.replace("_", "-"))
    torch.save(network.state_dict(), tmp_path / "w.pt")
    made = import_run(tmp_path / "run", **(given | {"model": f"{HERE}:{name}", "output": "", "head": head}))
    loaded = made.load()
    assert isinstance(head_of(loaded), Quantiles if name == "quantiles" else Gaussian)
    cohort = given["cohort"]
    scan = cohort.scans.index[:1].tolist()
    with torch.no_grad():
        found = network(torch.from_numpy(cohort.read(scan))[:, None])
    expected = found[0, 1] if name == "quantiles" else found["mean"][0]
    np.testing.assert_allclose(predict_scans(loaded, cohort, scan)[0, 0], expected, rtol=1e-6)
    result = audit(made.path, attacks=[*ATTACKS], threat=ThreatModel(repeats=1), model=f"{HERE}:{name}")
    assert set(result.findings["attack"]) == ATTACKS


def test_a_run_without_a_head_opens_as_before(run: Run, given: dict[str, Any], tmp_path: Path) -> None:
    assert "head" not in json.loads((run.path / DONE).read_text())["model"]
    assert Run.open(run.path).spec.head == ""
    made = import_run(tmp_path / "run", **given)
    assert json.loads((made.path / DONE).read_text())["model"]["head"] == SFCN


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"head": ""}, NotARegressorError, r"shape \(2, 40, 1, 1, 1\)"),
        ({"head": "softmax"}, ModelError, "head 'softmax' is unknown"),
        ({"head": "gaussian"}, ModelError, "--head gaussian reads 2 numbers .* gives 40"),
        ({"head": "bins"}, ModelError, "--head bins lacks first and width"),
        ({"output": "1"}, NotARegressorError, r"has no part '1' \(--output\)"),
        ({"output": "0.3"}, ModelError, "two or more numbers for each scan, but the network gives 1"),
        (PREDICTOR | {"predictor": f"{HERE}:one_each"}, ModelError, "gives 1"),
    ],
)
def test_heads_that_do_not_fit_are_refused(
    given: dict[str, Any], tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        import_run(tmp_path / "run", **(given | changes))
    assert not (tmp_path / "run").exists()


def test_a_built_in_model_has_its_head_by_name(run: Run, given: dict[str, Any], tmp_path: Path) -> None:
    own = {"model": "cnn3d", "weights": run.path / WEIGHTS, "output": "", "options": {"width": 4}}
    made = import_run(tmp_path / "run", **(given | own | {"head": "squared-error"}))
    assert made.spec.options == {"width": 4, "head": "squared-error"} and made.spec.head == ""
    with pytest.raises(ModelError, match="head 'bins:first=42,width=1' is unknown"):
        import_run(tmp_path / "other", **(given | own))


def one_each(volumes: np.ndarray) -> np.ndarray:
    return np.full(len(volumes), 60.0)


def mean_and_sd(volumes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what predict(x, return_std=True) of scikit-learn does."""
    means = 60 + volumes.mean((1, 2, 3, 4))
    return means, np.exp(means - 60)


def columns(volumes: np.ndarray) -> np.ndarray:
    return np.column_stack(mean_and_sd(volumes))


def words(volumes: np.ndarray) -> list[str]:
    return ["old"] * len(volumes)


@pytest.mark.parametrize("name", ["mean_and_sd", "columns"])
def test_a_function_may_return_what_a_head_reads(given: dict[str, Any], tmp_path: Path, name: str) -> None:
    changes = PREDICTOR | {"predictor": f"{HERE}:{name}", "head": "gaussian:second=sd"}
    with pytest.raises(ModelError, match="returns a list; return the numbers that its head reads"):
        import_run(tmp_path / "run", **(given | changes | {"predictor": f"{HERE}:words"}))
    made = import_run(tmp_path / "run", **(given | changes))
    result = audit(made.path, attacks=[*ATTACKS], threat=ThreatModel(repeats=1), model=f"{HERE}:{name}")
    assert set(result.findings["attack"]) == ATTACKS


def test_an_onnx_file_may_have_two_outputs(given: dict[str, Any], tmp_path: Path) -> None:
    shape = ["n", 1, *given["cohort"].shape]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3, 4], keepdims=0),
        helper.make_node("Add", ["mean", "offset"], ["age"]),
        helper.make_node("Exp", ["mean"], ["variance"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("age", "variance")]
    taken = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    offset = numpy_helper.from_array(np.array([60], np.float32), "offset")
    graph = helper.make_graph(nodes, "age", taken, values, [offset])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        tmp_path / "age.onnx",
    )
    changes = {"model": "onnx", "weights": tmp_path / "age.onnx", "output": ""}
    made = import_run(tmp_path / "run", **(given | changes | {"head": "gaussian:second=variance"}))
    result = audit(made.path, attacks=[*ATTACKS], threat=ThreatModel(repeats=1), model="onnx")
    assert set(result.findings["attack"]) == ATTACKS


@pytest.mark.usefixtures("here")
def test_a_recipe_s_network_is_read_as_the_target_is(given: dict[str, Any], tmp_path: Path) -> None:
    made = import_run(tmp_path / "run", **given)
    train_references(
        made.path, tmp_path / "refs", count=2, recipe=f"{HERE}:recipe", workers=1, model=given["model"]
    )
    threat = ThreatModel(repeats=1)
    result = audit(
        made.path, attacks=["stacking"], threat=threat, references=tmp_path / "refs", model=given["model"]
    )
    assert set(result.findings["attack"]) == {"stacking"}
    recipes = [UserRecipe(f"{HERE}:recipe", output="0", head=head) for head in (SFCN, f"{SFCN},sd=2", "")]
    assert len({each.fingerprint for each in recipes}) == 3


def table_of_bins() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(6, 40)


def test_a_federation_of_such_networks_is_audited(sixty: Cohort, tmp_path: Path) -> None:
    for place, moved in {"0/server": 0.0, "1/server": 0.5, "1/site-a": 0.7, "1/site-b": 0.3}.items():
        state = table_of_bins().state_dict()
        state["bias"] += moved * torch.linspace(-1, 1, 40)
        (tmp_path / "kept" / place).parent.mkdir(parents=True, exist_ok=True)
        save_file(state, tmp_path / "kept" / f"{place}.safetensors")
    inside, people = sixty.subjects[:30], sixty.subjects
    sides = {s: Role.MEMBER if s in inside else Role.NONMEMBER for s in people}
    roles = Roles(sides, {s: f"site-{'ab'[n % 2]}" for n, s in enumerate(inside)})
    name = f"{HERE}:table_of_bins"
    made = import_run(
        tmp_path / "run", cohort=sixty, model=name, roles=roles, transcript=tmp_path / "kept", head=SFCN
    )
    threat = ThreatModel(attacker=Attacker.LEARNER, repeats=1)
    result = audit(made.path, attacks=[*ATTACKS], threat=threat, model=name)
    assert set(result.findings["attack"]) == ATTACKS
    server = ThreatModel(attacker=Attacker.SERVER)
    assert "local-error" in set(
        audit(made.path, attacks=["local-error"], threat=server, model=name).findings["attack"]
    )
    found = audit(made.path, attacks=["gradient-cosine", "least-squares"], threat=server, model=name)
    assert set(found.findings["attack"]) == {"gradient-cosine", "least-squares"}
