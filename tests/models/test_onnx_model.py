"""Models in ONNX files: computed by ONNX Runtime, audited by their outputs, refused in words."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from memberscan import audit, import_run
from memberscan.cohort import Cohort
from memberscan.errors import (
    MissingExtraError,
    ModelError,
    NotARegressorError,
    StaleError,
    UntrustedCodeError,
)
from memberscan.models.inputs import predict, predict_scans
from memberscan.models.onnx_model import OnnxModel, read_onnx
from memberscan.runs import Run
from memberscan.threat import Access, ThreatModel

GRID = (5, 6, 7)
INPUTS = torch.randn(5, 1, *GRID, generator=torch.Generator().manual_seed(0))


def saved(
    path: Path,
    shape: Sequence[int | str],
    *,
    kind: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("age",),
    extra: Sequence[str] = (),
) -> Path:
    """Write a model whose outputs are 60 plus the mean of its input (plus further inputs), times 1, 2, ..."""
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("ReduceMean", ["flat", "axes"], ["mean"], keepdims=1),
    ]
    joined = "mean"
    for name in extra:
        nodes.append(helper.make_node("Add", [joined, name], [f"{joined}+{name}"]))
        joined = f"{joined}+{name}"
    nodes.append(helper.make_node("Add", [joined, "offset"], ["sum"]))
    for n, name in enumerate(outputs, 1):
        nodes.append(helper.make_node("Mul", ["sum", f"times{n}"], [name]))
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    constants = {"offset": np.array([60], dtype)} | {
        f"times{n}": np.array([n], dtype) for n in range(1, len(outputs) + 1)
    }
    graph = helper.make_graph(
        nodes,
        "age",
        [helper.make_tensor_value_info("x", kind, list(shape))]
        + [helper.make_tensor_value_info(name, kind, ["n", 1]) for name in extra],
        [helper.make_tensor_value_info(name, kind, [shape[0], 1]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()]
        + [numpy_helper.from_array(np.array([1]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, path)
    return path


def loaded(path: Path) -> OnnxModel:
    model = OnnxModel()
    model.load_state_dict(read_onnx(path))
    return model.eval()


@pytest.mark.parametrize("first", ["n", 1, 2, 8])
@pytest.mark.parametrize(
    "shape", [(1, *GRID), (*GRID, 1), GRID, ("c", "i", "j", "k"), (1, "i", 6, "k"), ("i", 6, "k", 1)]
)
def test_any_batch_and_layout(tmp_path: Path, first: int | str, shape: tuple[int | str, ...]) -> None:
    model = loaded(saved(tmp_path / "m.onnx", (first, *shape)))
    torch.testing.assert_close(predict(model, INPUTS), 60 + INPUTS.flatten(1).mean(1))
    torch.testing.assert_close(predict(model, INPUTS[:1]), 60 + INPUTS[:1].flatten(1).mean(1))


@pytest.mark.parametrize(("kind", "close"), [(TensorProto.DOUBLE, 1e-5), (TensorProto.FLOAT16, 0.1)])
def test_other_precisions(tmp_path: Path, kind: int, close: float) -> None:
    model = loaded(saved(tmp_path / "m.onnx", ("n", 1, *GRID), kind=kind))
    np.testing.assert_allclose(predict(model, INPUTS), 60 + INPUTS.flatten(1).mean(1), atol=close)


def test_channels_are_moved_last_with_their_values(tmp_path: Path) -> None:
    inputs = torch.randn(3, 2, *GRID)
    nodes = [
        helper.make_node("Gather", ["x", "second"], ["one"], axis=4),
        helper.make_node("Flatten", ["one"], ["flat"], axis=1),
        helper.make_node("ReduceMean", ["flat", "axes"], ["age"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "age", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *GRID, 2])],
        [helper.make_tensor_value_info("age", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.array([1]), name) for name in ("second", "axes")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    torch.testing.assert_close(predict(loaded(tmp_path / "m.onnx"), inputs), inputs[:, 1].flatten(1).mean(1))


def test_a_network_exported_by_torch_gives_the_same_ages(tmp_path: Path) -> None:
    network = nn.Sequential(
        nn.Conv3d(1, 2, 3),
        nn.BatchNorm3d(2),
        nn.ReLU(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(2, 1),
    ).eval()
    names = {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
    torch.onnx.export(network, (INPUTS,), tmp_path / "age.onnx", dynamo=False, **names)
    found = predict(loaded(tmp_path / "age.onnx"), INPUTS)
    torch.testing.assert_close(found, network(INPUTS).flatten().detach(), rtol=1e-5, atol=1e-5)


def test_a_table_of_one_or_several_features(tmp_path: Path) -> None:
    for features in (1, 4):
        inputs = torch.randn(3, features)
        model = loaded(saved(tmp_path / f"{features}.onnx", ("n", features)))
        torch.testing.assert_close(predict(model, inputs), 60 + inputs.mean(1))


def test_of_several_outputs_one_is_chosen(volumes: Cohort, run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", ("n", 1, *volumes.shape), outputs=("age", "twice"))
    taken = {"cohort": volumes, "model": "onnx", "roles": run.roles, "weights": path}
    with pytest.raises(NotARegressorError, match=r"dictionary with the keys age, twice.*--output"):
        import_run(tmp_path / "none", **taken)
    one, two = (import_run(tmp_path / name, **taken, output=name) for name in ("age", "twice"))
    scans = volumes.scans.index[:3].tolist()
    ages = [predict_scans(each.load(), each.cohort(), scans) for each in (one, two)]
    np.testing.assert_allclose(ages[1], 2 * ages[0])


def test_covariates_beside_the_image_enter_in_order(volumes: Cohort, run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", ("n", *volumes.shape), extra=("sex",))
    taken = {"cohort": volumes, "model": "onnx", "roles": run.roles, "weights": path}
    with pytest.raises(ModelError, match=r"takes 2 inputs \(x, sex\), but gets 1.*--inputs image,sex"):
        import_run(tmp_path / "run", **taken)
    codes = {"sex": {"F": 0.0, "M": 5.0}}
    made = import_run(tmp_path / "run", **taken, inputs=("image", "sex"), codes=codes)
    scans = volumes.scans.index.tolist()
    expected = 60 + volumes.read(scans).mean((1, 2, 3)) + volumes.scans["sex"].map(codes["sex"])
    np.testing.assert_allclose(predict_scans(made.load(), made.cohort(), scans)[:, 0], expected, atol=1e-4)


def test_a_run_is_whole_and_is_audited_if_it_is_trusted(volumes: Cohort, run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", ("n", 1, *volumes.shape))
    made = import_run(tmp_path / "run", cohort=volumes, model="onnx", roles=run.roles, weights=path)
    path.unlink()
    made.path.rename(tmp_path / "moved")
    asked = {"threat": ThreatModel(access=Access.WEIGHTS), "cohort": volumes.path}
    with pytest.raises(UntrustedCodeError, match="--model onnx"):
        audit(tmp_path / "moved", tmp_path / "audit", **asked)
    result = audit(tmp_path / "moved", tmp_path / "audit", model="onnx", **asked)
    reasons = {entry["attack"]: entry["reason"] for entry in result.content["not_run"]}
    assert "no parameters" in reasons["gradient-magnitude"]
    assert set(result.findings["attack"]) >= {"error", "augmented-error"}
    weights = tmp_path / "moved" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(StaleError, match="changed"):
        Run.open(tmp_path / "moved", model="onnx").load()


def test_copies_and_pickles_predict_the_same(tmp_path: Path) -> None:
    model = loaded(saved(tmp_path / "m.onnx", ("n", 1, *GRID)))
    expected = predict(model, INPUTS)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(predict(again, INPUTS), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            ("n", 1, 6, 6, 7),
            r"takes \(n, 1, 6, 6, 7\) as 'x', but scans of this cohort enter as \(n, 1, 5, 6, 7\)",
        ),
        (("n", 2, *GRID), r"takes \(n, 2, 5, 6, 7\)"),
        (("n", 210), r"takes \(n, 210\)"),
    ],
)
def test_another_shape_is_refused(tmp_path: Path, shape: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        predict(loaded(saved(tmp_path / "m.onnx", shape)), INPUTS)


def test_whole_numbers_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", ("n", 1, *GRID), kind=TensorProto.INT64)
    with pytest.raises(ModelError, match=r"takes tensor\(int64\) as 'x'"):
        predict(loaded(path), INPUTS)


@pytest.mark.parametrize(
    "data", [b"", b"\x08\x08", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" * 9, bytes(range(256)) * 4]
)
def test_what_is_no_onnx_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ModelError, match="not an ONNX model"):
        loaded(tmp_path / "m.onnx")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx does not exist"):
        read_onnx(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="cannot be read"):
        read_onnx(tmp_path)


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    model = onnx.load(saved(tmp_path / "m.onnx", ("n", 1, *GRID)))
    onnx.save(
        model,
        tmp_path / "m.onnx",
        save_as_external_data=True,
        location="/etc/passwd.bin"[5:],
        size_threshold=0,
    )
    with pytest.raises(ModelError, match="keeps its weights in another file"):
        read_onnx(tmp_path / "m.onnx")


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "m.onnx", ("n", 1, *GRID))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"memberscan\[onnx\]"):
        loaded(path)


def test_it_cannot_be_trained_or_federated(volumes: Cohort, tmp_path: Path) -> None:
    from memberscan import Settings, TrainingConfig, federate, train

    with pytest.raises(ModelError, match="can be imported, and not trained here"):
        train(volumes, tmp_path / "run", model="onnx")
    with pytest.raises(ModelError, match="can be imported, and not trained here"):
        settings = Settings("onnx", {}, TrainingConfig(), rounds=1)
        federate(volumes, tmp_path / "f", settings=settings, learners=2, held_out=0.5)


def test_a_model_that_asks_for_more_memory_than_there_is(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("ConstantOfShape", ["size"], ["huge"]),
            helper.make_node("ReduceMean", ["huge"], ["mean"], keepdims=0),
            helper.make_node("Add", ["x", "mean"], ["age"]),
        ],
        "age",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("age", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.array([1 << 50]), "size")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), tmp_path / "m"
    )
    with pytest.raises(ModelError):
        predict(loaded(tmp_path / "m"), torch.zeros(2, 1))


def test_inputs_stay_as_they_are(tmp_path: Path) -> None:
    kept: Tensor = INPUTS.clone()
    predict(loaded(saved(tmp_path / "m.onnx", ("n", 1, *GRID))), INPUTS)
    assert torch.equal(kept, INPUTS)
