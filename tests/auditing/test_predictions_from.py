"""An audit of a file asks how its predictions were made, and warns where the sides look made differently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan import audit
from memberscan.errors import BadInputError, OutputConflictError
from memberscan.report import render_html


def write(path: Path, *, noise: float = 0.0) -> Path:
    rng = np.random.default_rng(0)
    member = np.arange(80) < 40
    age = rng.uniform(20, 80, size=80).round(1)
    prediction = age + 4 * rng.normal(size=80) + noise * member * rng.normal(size=80)
    table = {"subject_id": [f"s{k:02}" for k in range(80)], "age": age, "prediction": prediction}
    pd.DataFrame({**table, "member": member.astype(int)}).to_csv(path, index=False)
    return path


def test_unknown_is_the_default_and_stands_in_the_verdict_and_on_the_page(tmp_path: Path) -> None:
    content = audit(write(tmp_path / "file.csv")).content
    assert content["target"]["predictions_from"] == "unknown"
    assert "How the predictions were made was not stated" in content["verdict"]["sentence"]
    assert not content["checks"]["predictions"]["unlike"]
    page = render_html(content)
    assert "How the predictions were made, because this was not stated." in page
    assert "Warning." not in page


def test_one_pass_is_recorded_and_belongs_to_the_request(tmp_path: Path) -> None:
    source = write(tmp_path / "file.csv")
    content = audit(source, tmp_path / "audit", predictions_from="one-pass").content
    assert content["target"]["predictions_from"] == "one-pass"
    assert "not stated" not in content["verdict"]["sentence"] + render_html(content)
    with pytest.raises(OutputConflictError, match="predictions from was one-pass and is now unknown"):
        audit(source, tmp_path / "audit")


def test_predictions_made_in_training_mode_are_warned_of(tmp_path: Path) -> None:
    content = audit(write(tmp_path / "file.csv", noise=8.0), predictions_from="one-pass").content
    check = content["checks"]["predictions"]
    assert check["unlike"] and "spread" in check["differences"] and check["p_value"] < 0.01
    assert "Warning." in render_html(content)


def test_what_is_not_a_way_and_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="choose from one-pass, unknown"):
        audit(write(tmp_path / "file.csv"), predictions_from="two-pass")  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="is for a file of predictions"):
        audit(tmp_path, predictions_from="one-pass")
