"""The demonstration: from phantom brains to three reports in under two minutes."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from memberscan.auditing import AuditResult, audit
from memberscan.cohort import Cohort
from memberscan.threat import Access, Attacker, ThreatModel
from memberscan.training import TrainingConfig, train

SUBJECTS, SPACING, WIDTH = 140, 8.0, 16
EPOCHS = {"cnn3d": 40, "slice-mean": 80}
FEDERATED = "federated"
LEARNERS, HELD_OUT, ROUNDS, LEARNING_RATE = 4, 0.3, 15, 1e-3


def run_demo(out: Path, *, seed: int = 0) -> dict[str, AuditResult]:
    """Build a phantom cohort, train both target models on half of it, train one federation; audit all three.

    The models are narrower and the grid coarser than the paper's, so that two cores need less than two
    minutes. The brains are synthetic: the numbers show what a report looks like, not what real models leak.
    Without Flower (the extra ``[federated]``) there is no federation.

    Returns
    -------
    dict
        Results by name of the model; ``"federated"`` has the learners' attacks on the federation.
    """
    cohort = Cohort.phantom(out / "cohort", subjects=SUBJECTS, spacing=SPACING, seed=seed)
    results = {}
    for model, epochs in EPOCHS.items():
        config = TrainingConfig(epochs=epochs, seed=seed)
        run = train(
            cohort, out / f"run-{model}", model=model, options={"width": WIDTH}, config=config, seed=seed
        )
        threat = ThreatModel(access=Access.WEIGHTS)
        results[model] = audit(run.path, out / f"audit-{model}", threat=threat, seed=seed)
    if find_spec("flwr") is not None:
        results[FEDERATED] = _federation(cohort, out, seed)
    return results


def _federation(cohort: Cohort, out: Path, seed: int) -> AuditResult:
    from memberscan.federation.settings import Settings
    from memberscan.federation.simulated_run import federate

    training = TrainingConfig(epochs=4, learning_rate=LEARNING_RATE, seed=seed)
    settings = Settings("cnn3d", {"width": WIDTH}, training, rounds=ROUNDS)
    run = federate(
        cohort, out / f"run-{FEDERATED}", settings=settings, learners=LEARNERS, held_out=HELD_OUT, seed=seed
    )
    threat = ThreatModel(attacker=Attacker.LEARNER)
    return audit(run.path, out / f"audit-{FEDERATED}", threat=threat, seed=seed)
