"""Nested values become texts, tables and arrays, each once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memberscan.errors import TooLargeError
from memberscan.inspection.nodes import Node, nodes
from memberscan.inspection.sources import Budget
from memberscan.inspection.values import Columns, Instance


def found(value: object, place: str = "") -> dict[str, Node]:
    return {node.place: node for node in nodes(place, value, Budget(Path("/nowhere")))}


def columns(node: Node) -> dict[str, list[object]]:
    assert isinstance(node.value, Columns)
    return {name: list(column) for name, column in node.value.columns.items()}


def test_tables_in_their_many_forms():
    expected = {"id": ["a", "b", "c"], "age": [30, 40, 50]}
    rows = [{"id": "a", "age": 30}, {"id": "b", "age": 40}, {"id": "c", "age": 50}]
    for value in (expected, rows, Columns(expected)):
        assert columns(found({"people": value}, "x")["x.people"]) == expected
    keyed = found({"a": {"age": 30}, "b": {"age": 40}, "c": {"age": 50}})[""]
    assert columns(keyed) == {"key": ["a", "b", "c"], "age": [30, 40, 50]}
    assert columns(found({"a": 30, "b": 40, "c": 50})[""]) == {"key": ["a", "b", "c"], "value": [30, 40, 50]}
    assert columns(found([["a", 30], ["b", 40], ["c", 50]])[""]) == {"0": ["a", "b", "c"], "1": [30, 40, 50]}


def test_lists_of_text_and_numbers():
    assert columns(found({"subjects": ["a", "b", "c"]}, "m")["m.subjects"]) == {"subjects": ["a", "b", "c"]}
    array = found([1, 2, 3.5])[""].value
    assert isinstance(array, np.ndarray) and array.tolist() == [1, 2, 3.5]
    assert columns(found(np.array(["a", "b"]), "names")["names"]) == {"names": ["a", "b"]}
    structured = np.array([(1, 2.5), (3, 4.5)], dtype=[("n", int), ("x", float)])
    assert columns(found(structured)[""]) == {"n": [1, 3], "x": [2.5, 4.5]}


def test_attributes_know_their_object():
    model = Instance("sklearn.svm.SVR", state={"support_vectors_": np.ones((4, 3))})
    node = found({"steps": [("svr", model)]})["steps[0][1].support_vectors_"]
    assert node.owner is model and node.name == "support_vectors_"


def test_what_is_not_covered_by_a_table_is_still_visited():
    value = {"a": {"age": 30, "inner": {"x": "sub-01"}}, "b": {"age": 40}, "c": {"age": 50}}
    assert found(value)["a.inner.x"].value == "sub-01"
    assert found([{"k": "text"}, ["sub-02"], 3])["[1][0]"].value == "sub-02"


def test_the_same_object_is_yielded_once_and_loops_end():
    loop: list[object] = ["sub-01"]
    loop.append(loop)
    shared = np.arange(6).reshape(2, 3)
    seen = list(nodes("", {"loop": loop, "a": shared, "b": shared}, Budget(Path("/nowhere"))))
    assert sum(node.value is shared for node in seen) == 1 and len(seen) == 3


def test_a_bomb_of_references_ends():
    value: list[object] = []
    for _ in range(100):
        value = [value] * 10
    assert list(nodes("", value, Budget(Path("/nowhere")))) == []
    with pytest.raises(TooLargeError):
        list(nodes("", [[[k], 1] for k in range(1000)], Budget(Path("/nowhere"), values=100)))


def test_deep_nesting_needs_no_stack():
    value: object = "sub-01"
    for _ in range(100_000):
        value = [value]
    assert len(list(nodes("", value, Budget(Path("/nowhere"))))) == 1
