"""``memberscan references``: train, plan and collect from the command line, and audit with what they made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.references.plan import Plan
from memberscan.runs import Run

from .conftest import Command


@pytest.fixture
def returned(predictions: Path, tmp_path: Path, command: Command) -> Path:
    """A plan of four references, and the predictions that a lab returned."""
    assert command("references", "plan", predictions, tmp_path / "refs", "--count", 4).code == 0
    table, rng = pd.read_csv(predictions, sep="\t"), np.random.default_rng(1)
    (tmp_path / "refs" / "returned").mkdir()
    for k, inside in enumerate(Plan.read(tmp_path / "refs").inside):
        order = table["subject_id"].sort_values().index
        error = pd.Series(rng.normal(size=len(table)) * np.where(inside, 2, 5), index=order)
        rows = pd.DataFrame({"subject_id": table["subject_id"], "prediction": table["age"] + error})
        rows.to_csv(tmp_path / "refs" / "returned" / f"reference-{k + 1:03d}.tsv", sep="\t", index=False)
    return tmp_path / "refs"


def test_planned_references_come_back_and_are_used(
    returned: Path, predictions: Path, tmp_path: Path, command: Command
) -> None:
    done = command("references", "collect", returned, "--json")
    assert json.loads(done.out)["missing"] == "none"
    done = command("audit", predictions, tmp_path / "audit", "--references", returned, "--json")
    content = json.loads(done.out)
    assert "stacking" in [finding["attack"] for finding in content["findings"]]
    assert content["threat"]["references"] == 4
    fewer = command(
        "audit", predictions, tmp_path / "fewer", "--references", returned, "--reference-count", 2, "--json"
    )
    assert json.loads(fewer.out)["threat"]["references"] == 2


def test_says_which_are_missing_and_ends_with_another_code(returned: Path, command: Command) -> None:
    (returned / "returned" / "reference-004.tsv").unlink()
    done = command("references", "collect", returned)
    assert done.code == 3 and "reference-004" in done.out


def test_the_word_train_may_be_left_out(run: Run, tmp_path: Path, refused: Callable[..., None]) -> None:
    for words in (("references", "train"), ("references",)):
        refused(*words, run.path, tmp_path / "refs", "--count", 3, code=2, says="give an even number")


def test_an_impossible_budget_trains_nothing(run: Run, tmp_path: Path, command: Command) -> None:
    done = command("references", run.path, tmp_path / "refs", "--count", 2, "--budget", "0.00001s")
    assert done.code == 3 and "run again to go on" in done.out
    assert "training 2 references takes about" in done.err
    assert "AUC" in done.err


def test_refuses_what_makes_no_sense(
    run: Run, predictions: Path, tmp_path: Path, refused: Callable[..., None]
) -> None:
    refs = tmp_path / "refs"
    refused("references", run.path, refs, "--budget", "soon", code=2, says="not a duration")
    refused("references", run.path, refs, "--recipe", "train", code=2, says="package.module:function")
    refused("references", predictions, refs, code=2, says="--recipe package.module:train")
    refused("references", tmp_path / "nothing", refs, code=2, says="does not exist")
    refused("references", "collect", tmp_path, code=2, says="references plan")
    refused("audit", predictions, tmp_path / "a", "--references", tmp_path, code=2, says="no finished")
