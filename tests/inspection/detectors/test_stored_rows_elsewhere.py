"""Training rows in models of R and ONNX are found where their manuals say that they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from memberscan.inspection.detectors.stored_rows_elsewhere import STORED_ROWS_ELSEWHERE
from memberscan.inspection.reading import Task

from ..readers.r_writer import R, frame, matrix, of_class, rds, s4

ROWS = np.arange(120.0).reshape(40, 3) / 7
IDS = [f"sub-{i:04}" for i in range(40)]


def found(content: bytes, name: str, folder: Path) -> dict[str, tuple[str, int | None, str]]:
    """Grade, number of rows and words of each finding of training rows, by its place."""
    path = folder / name
    path.write_bytes(content)
    report = Task(path, name, len(content)).carry_out(None, folder)
    rows = [finding for finding in report.findings if finding.kind == "training rows"]
    return {finding.place: (finding.grade, finding.people, finding.what) for finding in rows}


@pytest.mark.parametrize("named", [None, IDS])
@pytest.mark.parametrize("model", ["gausspr", "rvm", "ksvm"])
def test_models_of_kernlab(model: str, named: list[str] | None, tmp_path: Path) -> None:
    rows = found(rds(s4(model, xmatrix=matrix(ROWS, named), ymatrix=ROWS[:, 0])), "a.rds", tmp_path)
    assert rows["xmatrix"][:2] == ("leaks", 40) and rows["xmatrix"][2].startswith(f"{model} keeps")
    assert rows["ymatrix"][:2] == ("leaks", 40)


@pytest.mark.parametrize(
    ("classes", "attribute", "value", "grade"),
    [
        (["svm.formula", "svm"], "SV", matrix(ROWS), "leaks"),
        (["svm.formula", "svm"], "residuals", ROWS[:, 0], "look"),
        (["train", "train.formula"], "trainingData", frame(age=ROWS[:, 0]), "leaks"),
        (["randomForest"], "predicted", R(14, ROWS[:, 0], names=IDS), "look"),
        (["ranger"], "predictions", ROWS[:, 0], "look"),
        (["lm"], "model", frame(age=ROWS[:, 0]), "leaks"),
        (["gam", "glm", "lm"], "y", ROWS[:, 0], "leaks"),
        (["glm", "lm"], "fitted.values", ROWS[:, 0], "look"),
    ],
)
def test_other_models_of_r(
    classes: list[str], attribute: str, value: Any, grade: str, tmp_path: Path
) -> None:
    rows = found(rds(of_class(classes, **{attribute: value})), "a.rds", tmp_path)
    (finding,) = rows.values()
    assert [*rows] == [attribute] and finding[0] == grade
    assert "." not in finding[2].split(" keeps")[0] and finding[2].split(" keeps")[0] in classes


def test_support_vectors_of_onnx(tmp_path: Path) -> None:
    node = helper.make_node(
        "SVMRegressor", ["x"], ["y"], "svr", domain="ai.onnx.ml", n_supports=40, support_vectors=ROWS.ravel()
    )
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    assert isinstance(model, onnx.ModelProto)
    rows = found(model.SerializeToString(), "a.onnx", tmp_path)
    ((place, (grade, people, _)),) = rows.items()
    assert "support_vectors" in place and grade == "leaks" and people == 40


def test_classes_of_similar_names_are_others() -> None:
    for name in ("mylm", "lm2", "svm.formula", "numpy.lm", "onnx.SVMRegressorX"):
        assert not any(entry.matches(name) for entry in STORED_ROWS_ELSEWHERE), name
