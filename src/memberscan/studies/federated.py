"""How leakage grows over the rounds of a federation: the paper's environments and models, on phantoms."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from matplotlib.figure import Figure

from memberscan.auditing.stages import measure
from memberscan.cohort import Cohort
from memberscan.federation.environments import ENVIRONMENTS
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.files import write_table
from memberscan.report.outcome import FederationFacts, Outcome
from memberscan.reproduction import paper
from memberscan.task_pool import in_order
from memberscan.threat import Attacker, ThreatModel
from memberscan.training import TrainingConfig

if TYPE_CHECKING:
    from memberscan.report.content.parts import Environment

SUBJECTS, SPACING, WIDTH = 400, 8.0, 16
LEARNERS, LOCAL_EPOCHS, ROUNDS = paper.LEARNERS, paper.LOCAL_EPOCHS, paper.ROUNDS
HELD_OUT, LEARNING_RATE = 0.25, 1e-3
FOLLOWED = paper.BLACK_BOX
ATTACKS = (FOLLOWED, "gradient-magnitude", "loss-series")


def settings(model: str, seed: int, secure: Literal["none", "ckks"] = "none") -> Settings:
    """Return how the federations of the studies train."""
    training = TrainingConfig(epochs=LOCAL_EPOCHS, learning_rate=LEARNING_RATE, device="cpu", seed=seed)
    return Settings(model, {"width": WIDTH}, training, rounds=ROUNDS[model], secure=secure)


def federated(out: Path, *, seed: int = 0, processes: int = 1) -> pd.DataFrame:
    """Federate both target models in the four environments, and audit each as its learners.

    Returns
    -------
    DataFrame
        One row per environment and model: people, errors (years), the pooled accuracy of
        ``prediction+label`` in the first and the last round with its 95% interval over subjects, the AUCs of
        all attacks tried, how many of the 56 pairs succeed after Holm's correction, how many learners'
        members can be told from the held-out subjects by covariates alone, and the verdict. The table, the
        accuracy of every round and a figure are written to ``out``. The brains are synthetic.
    """
    Cohort.phantom(out / "cohort", subjects=SUBJECTS, spacing=SPACING, seed=seed)
    cases = list(itertools.product(ROUNDS, ENVIRONMENTS))
    made = in_order(functools.partial(_case, out, seed), cases, processes)
    rows, curves = zip(*made, strict=True)
    table, course = pd.DataFrame(rows), pd.DataFrame(list(itertools.chain(*curves)))
    write_table(out / "federated.tsv", table.round(4))
    write_table(out / "rounds.tsv", course.round(4))
    _figure(course).savefig(out / "federated.svg", metadata={"Date": None})
    return table


def _case(out: Path, seed: int, case: tuple[str, Environment]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the row of one federation, and the accuracy of every round."""
    model, environment = case
    name = f"{model}-{environment}"
    run = federate(
        out / "cohort",
        out / name,
        settings=settings(model, seed),
        environment=environment,
        learners=LEARNERS,
        held_out=HELD_OUT,
        seed=seed,
    )
    threat = ThreatModel(attacker=Attacker.LEARNER)
    outcome = measure(run.path, out / f"{name}-learner", threat=threat, attacks=ATTACKS, seed=seed)
    federation = outcome.federation
    assert federation is not None
    about = {"model": model, "environment": environment}
    curve = [{**about, "round": entry.round, **entry.accuracy.to_dict()} for entry in federation.by_round]
    return {**about, **_row(outcome, federation)}, curve


def _row(outcome: Outcome, federation: FederationFacts) -> dict[str, Any]:
    found = {f.attack: f.to_dict() for f in outcome.findings}
    people, member = outcome.people, outcome.people.member
    course = federation.by_round
    pairs = [p for p in federation.pairs if p.attack == FOLLOWED]
    return {
        "members": int(member.sum()),
        "heldout_scored": found[FOLLOWED]["scored"]["nonmembers"],
        "mae_members": float(people.mean_absolute[member].mean()),
        "mae_heldout": float(people.mean_absolute[~member].mean()),
        "accuracy_first": course[0].accuracy.value,
        "accuracy_last": course[-1].accuracy.value,
        "accuracy_last_low": course[-1].accuracy.low,
        "accuracy_last_high": course[-1].accuracy.high,
        **{f"auc {name}": found[name]["auc"]["value"] for name in ATTACKS},
        "pairs": sum(p.p_holm is not None for p in pairs),
        "pairs_succeed": sum(p.p_holm is not None and p.p_holm < 0.05 for p in pairs),
        "learners_told_blind": sum(check.tripped for check in federation.victims.values()),
        "verdict": outcome.verdict.label,
    }


_STYLES = {
    "uniform-iid": ("#0072B2", "-"),
    "uniform-noniid": ("#0072B2", "--"),
    "skewed-iid": ("#D55E00", "-"),
    "skewed-noniid": ("#D55E00", "--"),
}


def _figure(course: pd.DataFrame) -> Figure:
    models = course["model"].unique()
    figure = Figure(figsize=(4.2 * len(models), 3.4), layout="constrained")
    for axes, model in zip(figure.subplots(1, len(models), sharey=True), models, strict=True):
        for environment, (colour, dashes) in _STYLES.items():
            rows = course[(course["model"] == model) & (course["environment"] == environment)]
            axes.plot(rows["round"], rows["value"], dashes, color=colour, label=environment)
            if environment == "uniform-iid":
                axes.fill_between(rows["round"], rows["low"], rows["high"], color=colour, alpha=0.15, lw=0)
        axes.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
        axes.set(title=model, xlabel="round")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("accuracy of learners' attacks")
    figure.axes[0].legend(frameon=False, loc="upper left", fontsize="small")
    return figure
