"""The examples run as they stand, in seconds, and end with a report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from memberscan import AuditResult

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(script: str, out: Path) -> str:
    command = [sys.executable, str(EXAMPLES / script), str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=out.parent, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested() -> None:
    assert {p.name for p in EXAMPLES.glob("*.py")} == {"audit_predictions.py", "bring_your_model.py"}


def test_audit_predictions_finds_what_theory_expects(tmp_path: Path) -> None:
    answer = run("audit_predictions.py", tmp_path / "out")
    assert run("audit_predictions.py", tmp_path / "out") == answer
    result = AuditResult.load(tmp_path / "out" / "audit")
    assert result.verdict == "leaks"
    low, high = result.findings.set_index("attack").loc["error:zero-knowledge", ["auc_low", "auc_high"]]
    expected = float(answer.rpartition("expected ")[2].splitlines()[0])
    assert low <= expected <= high


def test_bring_your_model_audits_the_weights_of_a_foreign_model(tmp_path: Path) -> None:
    run("bring_your_model.py", tmp_path / "out")
    content = AuditResult.load(tmp_path / "out" / "audit").content
    assert content["target"]["synthetic"]
    assert not content["target"]["randomised"]
    assert "gradient:conv1" in {f["attack"] for f in content["findings"]}
    reasons = {entry["attack"]: entry["reason"] for entry in content["not_run"]}
    assert "conv6" in reasons["gradient:conv6"]
