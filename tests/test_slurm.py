"""The how-to for SLURM works without SLURM: its scripts are valid, and its array trains what is collected."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan import collect_references, plan_references

from .test_docs import blocks, parse

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "run-on-slurm.md"
SCRIPTS = list(blocks(PAGE, "bash"))
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")


@pytest.mark.parametrize("script", SCRIPTS, ids=["train", "audit"])
def test_job_scripts_call_commands_that_exist(script: str):
    lines = [line for line in script.splitlines() if line.startswith("memberscan ")]
    assert lines
    for line in lines:
        parse(shlex.split(line))


@needs_bash
@pytest.mark.parametrize("script", SCRIPTS, ids=["train", "audit"])
def test_job_scripts_are_valid(script: str):
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@needs_bash
def test_the_array_of_the_plan_trains_what_is_collected(tmp_path: Path):
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"subject_id": [f"sub {n}" for n in range(40)], "age": rng.uniform(45, 80, 40)})
    measures = rng.normal(size=(40, 3)) - people[["age"]].to_numpy() / 10
    people.assign(**{f"thickness_{k}": measures[:, k] for k in range(3)}).to_csv(
        tmp_path / "thickness.csv", index=False
    )
    audited = people.assign(prediction=people["age"] + rng.normal(size=40), member=np.arange(40) % 2)
    audited.to_csv(tmp_path / "predictions.tsv", sep="\t", index=False)
    (script,) = blocks(PAGE, "python")
    (tmp_path / "train.py").write_text(script)
    references = tmp_path / "references"
    plan_references(tmp_path / "predictions.tsv", references, count=2)
    train = shlex.join([sys.executable, str(tmp_path / "train.py")])
    for task, missing in ((1, ("reference-002",)), (2, ())):
        environment = os.environ | {"TRAIN": train, "SLURM_ARRAY_TASK_ID": str(task)}
        subprocess.run(["bash", "train.slurm"], cwd=references, env=environment, check=True)
        assert collect_references(references, []).missing == missing
