"""Bundles of MONAI: read as data, refused where they would execute code, built by the real MONAI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from memberscan import audit, import_run
from memberscan.cohort import Cohort
from memberscan.errors import MissingExtraError, ModelError, UntrustedCodeError
from memberscan.models.inputs import predict_scans
from memberscan.models.monai_bundle import monai_network, read_bundle
from memberscan.runs import Run
from memberscan.threat import Access, ThreatModel

NETWORK = {
    "_target_": "monai.networks.nets.Regressor",
    "in_shape": ["@channels", "@grid::0", "@grid#1", "@grid::2"],
    "out_shape": [1],
    "channels": "@widths",
    "strides": [2, 2],
}
BUNDLE = {
    "imports": ["$import os"],
    "channels": 1,
    "grid": [16, 16, 16],
    "widths": [4, 8],
    "network_def": NETWORK,
    "network": "$@network_def.to('cpu')",
}


def bundle(folder: Path, *, config: str = "inference.json", **changes: Any) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / config).write_text(json.dumps({**BUNDLE, **changes}))
    return folder


@pytest.mark.parametrize("config", ["inference.json", "evaluate.json", "train.json"])
def test_the_network_is_read_as_data(tmp_path: Path, config: str) -> None:
    name, arguments = read_bundle(bundle(tmp_path / "b", config=config))
    assert name == "monai:Regressor"
    assert arguments == {"in_shape": [1, 16, 16, 16], "out_shape": [1], "channels": [4, 8], "strides": [2, 2]}


@pytest.mark.parametrize("target", ["DenseNet121", "monai.networks.nets.densenet.DenseNet121"])
def test_other_spellings_and_places(tmp_path: Path, target: str) -> None:
    net = {"_target_": target, "_desc_": "small", "act": ["relu", {"inplace": True}]}
    found = read_bundle(bundle(tmp_path / "b", network_def="$build()", network=net))
    assert found == ("monai:DenseNet121", {"act": ["relu", {"inplace": True}]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network_def": NETWORK | {"_target_": "scripts.nets.Age"}}, "'scripts.nets.Age', which is not of"),
        ({"network_def": NETWORK | {"_target_": "os.system"}}, "'os.system', which is not of"),
        ({"network_def": NETWORK | {"_target_": "$print(1)"}}, "which is not of"),
        ({"network_def": NETWORK | {"_target_": "monai.networks.nets.a.b.C"}}, "which is not of"),
        ({"network_def": NETWORK | {"strides": "$[2] * 2"}}, r"strides of the network is '\$\[2\] \* 2'"),
        ({"network_def": NETWORK | {"strides": [2, "$1 + 1"]}}, "would be executed"),
        ({"network_def": NETWORK | {"strides": "%other.json::strides"}}, "would be executed"),
        ({"widths": "$list(range(9))"}, "channels of the network is .* would be executed"),
        (
            {"network_def": NETWORK | {"act": {"_target_": "torch.nn.ReLU"}}},
            "act of the network has '_target_'",
        ),
    ],
)
def test_what_would_execute_code_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UntrustedCodeError, match=message) as raised:
        read_bundle(bundle(tmp_path / "b", **changes))
    assert "in a function of your own (--model package.module:f)" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network_def": {}}, "defines no network"),
        ({"network_def": "@network", "network": "@network_def"}, "defines no network"),
        ({"widths": "@widths"}, "refers to '@widths', which cannot be resolved"),
        ({"widths": ["@a", "@a"], "a": ["@b"] * 99, "b": ["@c"] * 99, "c": 1}, "cannot be resolved"),
        ({"widths": "@absent"}, "refers to '@absent'"),
        ({"widths": "@grid::7"}, "refers to '@grid::7'"),
        ({"widths": "@grid::x"}, "refers to '@grid::x'"),
        ({"widths": "@channels::1"}, "refers to '@channels::1'"),
        ({"widths": "@"}, "refers to '@'"),
        ({"widths": "@widths + [1]"}, "cannot be resolved"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_bundle(bundle(tmp_path / "b", **changes))


def test_other_folders_and_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a MONAI bundle"):
        read_bundle(tmp_path)
    (bundle(tmp_path / "b") / "configs" / "inference.json").write_text("[1, 2")
    with pytest.raises(ModelError, match="not valid JSON"):
        read_bundle(tmp_path / "b")
    (tmp_path / "b" / "configs" / "inference.json").write_text("[1, 2]")
    with pytest.raises(ModelError, match="defines no network"):
        read_bundle(tmp_path / "b")


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "monai.networks", None)
    with pytest.raises(MissingExtraError, match="pip install monai"):
        monai_network("monai:Regressor", {})


def test_a_bundle_is_imported_and_audited_with_its_weights(volumes: Cohort, run: Run, tmp_path: Path) -> None:
    nets = pytest.importorskip("monai.networks.nets", reason="make test-all installs it")
    folder = bundle(tmp_path / "b", grid=list(volumes.shape))
    torch.manual_seed(0)
    network = nets.Regressor((1, *volumes.shape), (1,), (4, 8), (2, 2)).eval()
    with torch.no_grad():
        next(p for name, p in network.named_parameters() if name.endswith("bias") and p.numel() == 1).fill_(
            60
        )
    (folder / "models").mkdir()
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    made = import_run(tmp_path / "run", cohort=volumes, model=str(folder), roles=run.roles)
    scans = volumes.scans.index.tolist()
    found = predict_scans(made.load(), made.cohort(), scans)
    torch.testing.assert_close(
        torch.from_numpy(found), torch.from_numpy(predict_scans(network, volumes, scans))
    )
    with pytest.raises(UntrustedCodeError, match="--model monai:Regressor"):
        audit(made.path)
    threat = ThreatModel(access=Access.WEIGHTS)
    result = audit(made.path, threat=threat, model="monai:Regressor")
    assert {"error", "gradient-magnitude", "gradient:conv1"} <= set(result.findings["attack"])
    with pytest.raises(ModelError, match="leave out width"):
        import_run(tmp_path / "n", cohort=volumes, model=str(folder), roles=run.roles, options={"width": 4})


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("monai:NoSuchNet", {}, "has no network 'NoSuchNet'"),
        ("monai:torch", {}, "has no network 'torch'"),
        ("monai:Regressor", {"in_shape": [1]}, r"cannot build Regressor \(TypeError"),
    ],
)
def test_networks_that_monai_lacks_or_cannot_build(
    name: str, arguments: dict[str, Any], message: str
) -> None:
    pytest.importorskip("monai.networks.nets", reason="make test-all installs it")
    with pytest.raises(ModelError, match=message):
        monai_network(name, arguments)
