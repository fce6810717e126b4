"""How leakage grows with overfitting: the same models, trained for more and more epochs on phantoms."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from memberscan.auditing.stages import measure
from memberscan.cohort import Cohort
from memberscan.files import write_table
from memberscan.report.outcome import Outcome
from memberscan.reproduction import paper
from memberscan.task_pool import in_order
from memberscan.threat import Access, ThreatModel
from memberscan.training import TrainingConfig, train

SUBJECTS, SPACING, WIDTH = 200, 8.0, 16
EPOCHS = (5, 10, 20, 40, 80)
BLACK_BOX, WHITE_BOX = paper.BLACK_BOX, paper.WHITE_BOX
_COLOURS = {BLACK_BOX: "#0072B2", WHITE_BOX: "#D55E00"}


def overfitting(out: Path, *, seed: int = 0, processes: int = 1) -> pd.DataFrame:
    """Train both target models for increasing numbers of epochs on the same phantoms, and audit each.

    Returns
    -------
    DataFrame
        One row per model and number of epochs: errors of members and non-members (years), accuracy of the
        black-box and of the white-box attack, and how much access to the weights adds to the AUC, with the
        paired 95% interval. The table and its figure are written to ``out``. The brains are synthetic.
    """
    Cohort.phantom(out / "cohort", subjects=SUBJECTS, spacing=SPACING, seed=seed)
    cases = list(itertools.product(paper.MODELS, EPOCHS))
    table = pd.DataFrame(list(in_order(functools.partial(_case, out, seed), cases, processes)))
    write_table(out / "overfitting.tsv", table.round(4))
    _figure(table).savefig(out / "overfitting.svg", metadata={"Date": None})
    return table


def _case(out: Path, seed: int, case: tuple[str, int]) -> dict[str, Any]:
    model, epochs = case
    run = train(
        out / "cohort",
        out / f"{model}-{epochs}",
        model=model,
        options={"width": WIDTH},
        config=TrainingConfig(epochs=epochs, seed=seed),
        seed=seed,
    )
    threat = ThreatModel(access=Access.WEIGHTS)
    outcome = measure(run.path, out / f"{model}-{epochs}-audit", threat=threat, seed=seed)
    return {"model": model, "epochs": epochs, **_row(outcome)}


def _row(outcome: Outcome) -> dict[str, Any]:
    found = {f.attack: f.to_dict() for f in outcome.findings}
    (gain,) = (gain for gain in outcome.gains if gain.attack == WHITE_BOX)
    people, member = outcome.people, outcome.people.member
    row: dict[str, Any] = {
        "members": int(member.sum()),
        "nonmembers": int((~member).sum()),
        "mae_members": float(people.mean_absolute[member].mean()),
        "mae_nonmembers": float(people.mean_absolute[~member].mean()),
    }
    for box, name in (("black", BLACK_BOX), ("white", WHITE_BOX)):
        for part in ("value", "low", "high"):
            row[f"{box}_accuracy{'' if part == 'value' else '_' + part}"] = found[name]["accuracy"][part]
    return row | {
        "weights_add": gain.value,
        "weights_add_low": gain.low,
        "weights_add_high": gain.high,
        "verdict": outcome.verdict.label,
    }


def _figure(table: pd.DataFrame) -> Figure:
    models = table["model"].unique()
    figure = Figure(figsize=(4.2 * len(models), 3.4), layout="constrained")
    for axes, model in zip(figure.subplots(1, len(models), sharey=True), models, strict=True):
        rows = table[table["model"] == model]
        for box, name in (("black", BLACK_BOX), ("white", WHITE_BOX)):
            value = rows[f"{box}_accuracy"]
            errors = [value - rows[f"{box}_accuracy_low"], rows[f"{box}_accuracy_high"] - value]
            axes.errorbar(
                rows["epochs"], value, errors, color=_COLOURS[name], marker="o", capsize=3, label=f"{box}-box"
            )
        axes.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
        axes.set(title=model, xlabel="epochs", xscale="log", ylim=(0.35, 1.0))
        axes.set_xticks(list(EPOCHS), labels=list(map(str, EPOCHS)), minor=False)
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("attack accuracy (95% interval)")
    figure.axes[0].legend(frameon=False, loc="upper left")
    return figure
