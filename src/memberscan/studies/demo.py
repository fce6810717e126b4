"""The demonstration: from phantom brains to two reports in under two minutes."""

from __future__ import annotations

from pathlib import Path

from memberscan.auditing import AuditResult, audit
from memberscan.cohort import Cohort
from memberscan.threat import Access, ThreatModel
from memberscan.training import TrainingConfig, train

SUBJECTS, SPACING, WIDTH = 140, 8.0, 16
EPOCHS = {"cnn3d": 40, "slice-mean": 80}


def run_demo(out: Path, *, seed: int = 0) -> dict[str, AuditResult]:
    """Build a phantom cohort, train both target models on half of it, audit both; return results by model.

    The models are narrower and the grid coarser than the paper's, so that two cores need less than two
    minutes. The brains are synthetic: the numbers show what a report looks like, not what real models leak.
    """
    cohort = Cohort.phantom(out / "cohort", subjects=SUBJECTS, spacing=SPACING, seed=seed)
    results = {}
    for model, epochs in EPOCHS.items():
        config = TrainingConfig(epochs=epochs, seed=seed)
        run = train(cohort, out / f"run-{model}", model=model, options={"width": WIDTH}, config=config)
        threat = ThreatModel(access=Access.WEIGHTS)
        results[model] = audit(run.path, out / f"audit-{model}", threat=threat, seed=seed)
    return results
