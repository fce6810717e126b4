"""ONNX: weights of every type, wherever they are, nodes of classical models, and all text come back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from memberscan.errors import TooLargeError
from memberscan.inspection.readers.onnx_files import Onnx
from memberscan.inspection.readers.onnx_tensors import tensor
from memberscan.inspection.readers.protobuf import WireField, fields, integers
from memberscan.inspection.values import Instance

from .opening import plain, reader_of, reasons, source, survives, values


def model(nodes: list[Any], weights: list[Any], **graph: Any) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x-of-sub-01", TensorProto.FLOAT, [1])
    graph_proto = helper.make_graph(nodes, "/home/huber/graph", [x], [x], weights, **graph)
    return helper.make_model(graph_proto, producer_name="lab")


def read(made: onnx.ModelProto, scratch: Path) -> dict[str, Any]:
    file = source(made.SerializeToString(), "a", scratch)
    assert isinstance(reader_of(file), Onnx)
    return values(file)


@pytest.mark.parametrize(
    "kind", ["f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?", "c8", "c16"]
)
@pytest.mark.parametrize("raw", [True, False])
def test_tensors_of_any_type(kind: str, raw: bool) -> None:
    array = (np.arange(42).reshape(6, 1, 7) - (20 if kind[0] in "fic" else 0)).astype(kind)
    number = helper.np_dtype_to_tensor_dtype(array.dtype)
    made = helper.make_tensor("w", number, array.shape, array.tobytes() if raw else array.ravel(), raw=raw)
    found = tensor(memoryview(made.SerializeToString()))
    assert found.name == "w" and found.value().dtype == array.dtype
    np.testing.assert_array_equal(found.value(), numpy_helper.to_array(made))


@pytest.mark.parametrize("raw", [True, False])
def test_bfloat16_text_and_types_that_are_not_read(raw: bool) -> None:
    halves = np.array([0x3F80, 0xC000], "<u2")
    made = TensorProto(name="w", data_type=TensorProto.BFLOAT16, dims=[2])
    if raw:
        made.raw_data = halves.tobytes()
    else:
        made.int32_data.extend(halves.tolist())
    assert tensor(memoryview(made.SerializeToString())).value().tolist() == [1, -2]
    names = helper.make_tensor("ids", TensorProto.STRING, [2], [b"sub-01", b"sub-02"])
    assert tensor(memoryview(names.SerializeToString())).value() == ["sub-01", "sub-02"]
    small = TensorProto(name="w", data_type=TensorProto.FLOAT8E4M3FN, dims=[1], raw_data=b"\0")
    with pytest.raises(ValueError, match="not read"):
        tensor(memoryview(small.SerializeToString())).value()


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_packed_integers_come_back(numbers: list[int]) -> None:
    made = TensorProto(int64_data=numbers)
    found = [field for field in fields(memoryview(made.SerializeToString())) if field.number == 7]
    assert integers(found).tolist() == numbers
    single = [WireField(7, 0, number % 2**64, memoryview(b"")) for number in numbers]
    assert integers(single).tolist() == numbers


def test_all_text_and_weights_wherever_they_are(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.array([[1.0, 2.0]]), "w")
    weight.doc_string = "fitted by Huber"
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array([7, 8]), "k"))],
        "then",
        [],
        [],
        [numpy_helper.from_array(np.array([5.0]), "deep")],
    )
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.array([9.0]), "s"), numpy_helper.from_array(np.array([3])), [10]
    )
    node = helper.make_node(
        "If", ["c"], ["y"], "if", doc_string="File /home/huber/train.py", then_branch=inner
    )
    made = model([node], [weight], sparse_initializer=[sparse], doc_string="ages of OAS30001")
    helper.set_model_props(made, {"subjects": "sub-01,sub-02"})
    made.doc_string = "for the MAYO cohort"
    found = {place: plain(value) for place, value in read(made, tmp_path).items()}
    assert found["w"] == [[1.0, 2.0]] and found["if/then_branch/deep"] == [5.0]
    assert found["if/then_branch/c/value/k"] == [7, 8] and found["s"] == [9.0] and found["indices"] == [3]
    assert found["if/documentation"] == "File /home/huber/train.py"
    assert (
        found["metadata_props"] == {"subjects": "sub-01,sub-02"}
        and found["doc_string"] == "for the MAYO cohort"
    )
    assert (
        found["producer_name"] == "lab"
        and "x-of-sub-01" in found["names"]
        and found["graph"] == "ages of OAS30001"
    )


def test_nodes_of_classical_models_are_records(tmp_path: Path) -> None:
    rows = np.arange(12, dtype=np.float32)
    regressor = helper.make_node(
        "SVMRegressor",
        ["x"],
        ["y"],
        "svr",
        domain="ai.onnx.ml",
        n_supports=4,
        support_vectors=rows,
        kernel_type="RBF",
    )
    classifier = helper.make_node(
        "SVMClassifier",
        ["x"],
        ["y"],
        "svc",
        domain="ai.onnx.ml",
        vectors_per_class=[1, 2],
        support_vectors=rows,
    )
    forest = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        nodes_modes=["LEAF"],
        base_values_as_tensor=numpy_helper.from_array(np.array([0.5]), "b"),
    )
    found = read(model([regressor, classifier, forest], []), tmp_path)
    svr = found["svr"]
    assert isinstance(svr, Instance) and svr.class_name == "onnx.SVMRegressor"
    assert (
        svr.state["support_vectors"].shape == (4, 3)
        and svr.state["support_vectors"].ravel().tolist() == rows.tolist()
    )
    assert svr.state["kernel_type"] == "RBF" and svr.state["n_supports"] == 4
    assert found["svc"].state["support_vectors"].shape == (3, 4)
    state = {"nodes_modes": ["LEAF"], "base_values_as_tensor": [0.5]}
    assert plain(found["y"]) == ("onnx.TreeEnsembleRegressor", state)


def external(folder: Path, location: str, **entries: Any) -> tuple[dict[str, Any], dict[str, str]]:
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        made.external_data.add(key=key, value=str(value))
    path = folder / "a.onnx"
    path.write_bytes(model([], [made]).SerializeToString())
    file = source(path, "a.onnx", folder)
    return values(file), reasons(file)


def test_weights_in_another_file_are_read_only_from_the_models_folder(tmp_path: Path) -> None:
    folder = tmp_path / "release"
    (folder / "data").mkdir(parents=True)
    content = np.array([0, 1, 2, 3], "<f4").tobytes()
    (folder / "data" / "w.bin").write_bytes(content)
    (tmp_path / "outside.bin").write_bytes(content)
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    found, why = external(folder, "data/w.bin", offset=4, length=12)
    assert plain(found["w"]) == [1, 2, 3] and not why
    for location, reason in {
        "../outside.bin": "outside",
        str(tmp_path / "outside.bin"): "outside",
        "link.bin": "link",
        "up/outside.bin": "link",
        "pipe": "not there",
        "missing.bin": "not there",
    }.items():
        found, why = external(folder, location)
        assert "w" not in found and reason in why["w"]
    assert "too short" in external(folder, "data/w.bin", offset=8, length=12)[1]["w"]
    packed = source((folder / "a.onnx").read_bytes(), "a.onnx", tmp_path)
    assert "archive" in reasons(packed)["w"]


def test_hostile_messages_end_early(tmp_path: Path) -> None:
    nested = helper.make_graph([], "g", [], [])
    for _ in range(32):
        nested = helper.make_graph([helper.make_node("If", [], ["y"], then_branch=nested)], "g", [], [])
    made = model([], [])
    made.graph.CopyFrom(nested)
    with pytest.raises(TooLargeError, match="nested"):
        read(made, tmp_path)
    for content in (b"\x3a\xff\xff\xff\xff\x0f", b"\x3b", b"\x08" + b"\xff" * 11):
        with pytest.raises(ValueError, match=r"cut|longer|unknown"):
            values(source(content, "a.onnx", tmp_path))
    huge = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**60, 2**60], raw_data=bytes(8))
    assert plain(read(model([], [huge]), tmp_path)["w"]) == [0, 0]
    weights = [numpy_helper.from_array(np.arange(20), "w"), huge]
    survives(
        model([helper.make_node("A", ["x"], ["y"], k=[1, 2])], weights).SerializeToString(),
        "a.onnx",
        tmp_path,
    )
