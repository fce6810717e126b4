"""``memberscan import``: a model, or a federation, that was trained elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.models.inputs import predict_scans
from memberscan.runs import Role, Run

from .conftest import Command


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    """One round of one learner, by another's conventions, and the roles of it."""
    for name in ("r0/server", "r1/server", "r1/site-a"):
        (tmp_path / "kept" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(run.path / "weights.safetensors", tmp_path / "kept" / f"{name}.safetensors")
    lines = [f"{s}\t{r}\t{'site-a' if r is Role.MEMBER else 'n/a'}" for s, r in run.roles.of.items()]
    (tmp_path / "roles.tsv").write_text("\n".join(["subject\trole\tlearner", *lines]) + "\n")
    return tmp_path / "kept"


def test_a_federation_is_taken_in(command: Command, run: Run, volumes: Cohort, folder: Path, tmp_path: Path):
    given = ("--cohort", volumes.path, "--model", "cnn3d", "--roles", tmp_path / "roles.tsv", "--width", 4)
    done = command("import", tmp_path / "in", *given, "--transcript", folder, "--json")
    assert (done.code, done.err) == (0, "")
    facts = json.loads(done.out)
    assert (facts["learners"], facts["rounds"]) == (1, 1)
    assert (
        facts["left_out"] == "site-a in round 1: its model is the global model of round 0: it did not train"
    )
    assert facts["weights"] == run.weights_fingerprint
    again = command(
        "import", tmp_path / "model", *given, "--weights", run.path / "weights.safetensors", "--json"
    )
    assert "rounds" not in json.loads(again.out) and Run.open(tmp_path / "model").spec == run.spec


def test_what_is_lacking_is_said(refused: Callable[..., None], volumes: Cohort, folder: Path, tmp_path: Path):
    given = ("--cohort", volumes.path, "--model", "cnn3d", "--roles", tmp_path / "roles.tsv")
    refused("import", tmp_path / "in", *given, code=2, says="--transcript")
    refused("import", tmp_path / "in", *given, "--transcript", folder, code=2, says="do not fit the model")
    shutil.rmtree(folder / "r0")
    refused("import", tmp_path / "in", *given, "--transcript", folder, code=2, says="has no round 0")
    assert not (tmp_path / "in").exists()


def test_own_predictions_and_landmarks_are_said(
    command: Command, run: Run, volumes: Cohort, folder: Path, tmp_path: Path
):
    given = ("--cohort", volumes.path, "--model", "cnn3d", "--roles", tmp_path / "roles.tsv", "--width", 4)
    given += ("--weights", run.path / "weights.safetensors")
    ids = volumes.scans.index.tolist()
    own = pd.DataFrame({"scan_id": ids, "prediction": predict_scans(run.load(), volumes, ids)[:, 0]})
    own.to_csv(tmp_path / "own.tsv", sep="\t", index=False)
    done = command("import", tmp_path / "in", *given, "--predictions", tmp_path / "own.tsv", "--json")
    assert (done.code, done.err) == (0, "")
    facts = json.loads(done.out)
    assert facts["reproduced"].startswith(f"{len(ids)} predictions, largest difference")
    assert facts["landmarks"].startswith("conv1 encoder.blocks.0.conv, conv6")
    own.assign(prediction=50.0).to_csv(tmp_path / "own.tsv", sep="\t", index=False)
    done = command("import", tmp_path / "other", *given, "--predictions", tmp_path / "own.tsv")
    assert done.code == 2
    assert "does not reproduce" in done.err


def test_the_head_of_ones_own_network_is_kept_and_that_of_a_built_in_one_is_an_option(
    command: Command, run: Run, volumes: Cohort, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab_heads.py").write_text(
        "def levels(volumes):\n    return 60 + volumes.mean((1, 2, 3, 4))[:, None] + [[-9, 0, 9]]\n"
    )
    given = ("--cohort", volumes.path, "--roles", tmp_path / "roles.tsv", "--head")
    own = (*given, "quantiles:levels=0.1/0.5/0.9", "--predictor", "lab_heads:levels")
    assert command("import", tmp_path / "own", *own).code == 0
    assert Run.open(tmp_path / "own").spec.head == "quantiles:levels=0.1/0.5/0.9"
    built_in = ("--model", "cnn3d", "--width", 4, "--weights", run.path / "weights.safetensors")
    assert command("import", tmp_path / "in", *given, "squared-error", *built_in).code == 0
    assert Run.open(tmp_path / "in").spec.options["head"] == "squared-error"
    refused = command("import", tmp_path / "no", *given, "bins", "--predictor", "lab_heads:levels")
    assert refused.code == 2 and "--head bins lacks first and width" in refused.err


def test_a_cohort_of_files_as_they_are(command: Command, bids: Path, tmp_path: Path):
    build = ("cohort", "bids", bids, tmp_path / "cohort", "--select", "desc=brain", "--as-is")
    facts = json.loads(command(*build, "--json").out)
    assert facts["shape"] == [20, 22, 18]
    refused = command("cohort", "bids", bids, tmp_path / "odd", "--select", "desc=brain", "--spacing", 0)
    assert (refused.code, "spacing is 0" in refused.err) == (2, True)
    done = command(*build, "--spacing", 4)
    assert done.code == 2
    assert "--as-is keeps the images' own grid and --spacing gives another" in done.err
    assert "no FLAIR image" in command(*build, "--suffix", "FLAIR").err


def test_a_cohort_from_ones_own_function(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab_data.py").write_text(
        "import numpy as np\n\n\n"
        "def load(key):\n    return np.random.default_rng(int(key)).normal(size=(7, 8, 9))\n"
    )
    rows = {"id": [*"abcd"], "age": [50, 51, 52, 53], "key": [*"1234"], "sex": [*"FMFM"]}
    pd.DataFrame(rows).to_csv("people.csv", index=False)
    build = ("cohort", "from", "people.csv", "cohort", "--loader", "lab_data:load")
    build += ("--subject", "id", "--age", "age")
    facts = json.loads(command(*build, "--file", "key", "--json").out)
    assert (facts["scans"], facts["shape"]) == (4, [7, 8, 9])
    assert facts["covariates"][0] == "sex"
    assert command(*build, "--file", "key").code == 0
    assert command(*build, "--file", "path").code in (2, 3)
