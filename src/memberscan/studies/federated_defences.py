"""How much defences of a federation reduce what its learners and its server find: on phantoms."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memberscan.auditing.stages import measure
from memberscan.cohort import Cohort
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.files import write_json, write_table
from memberscan.frontier.of_federations import ATTACKS
from memberscan.frontier.people import strongest_elsewhere
from memberscan.output_directory import claim
from memberscan.received import load_json
from memberscan.runs import Run
from memberscan.studies.federated import settings
from memberscan.task_pool import in_order
from memberscan.threat import Attacker, ThreatModel

SUBJECTS, SPACING, LEARNERS, HELD_OUT = 120, 8.0, 4, 0.4
MODEL, ROUNDS = "slice-mean", 20
SEEDS = 3
FOUND = "found.json"


@dataclass(frozen=True)
class Point:
    """One recipe: a defence, and the share of the undefended rounds."""

    name: str
    defence: str | None = None
    rounds: float = 1.0


POINTS = (
    Point("undefended"),
    Point("half of the rounds", rounds=0.5),
    Point("fedsparsify 95%", "fedsparsify:sparsity=0.95"),
    Point("unique-gradient, none kept", "unique-gradient:keep=0"),
    Point("dp-sgd, epsilon 10000", "dp-sgd:epsilon=10000"),
)


def federated_defences(out: Path, *, seed: int = 0, processes: int = 1) -> pd.DataFrame:
    """Train federations with each defence on the same phantoms, and attack them as learners and server.

    Parameters
    ----------
    out
        Directory for phantoms, federations and the table; a killed study goes on at the federation it was at.
    seed
        Of the first of the seeds.
    processes
        How many federations are trained at a time.

    Returns
    -------
    DataFrame
        One row per defence, with means over seeds: the error on held-out people (years), the share of weights
        that are zero at the end, and the AUC of each party's strongest attack, which is chosen for each seed
        by the other seeds. ``_change`` columns are paired differences from the undefended federations of the
        same seeds, and ``_se`` their standard errors over seeds. The brains are synthetic.
    """
    for number in range(seed, seed + SEEDS):
        Cohort.phantom(out / f"cohort-{number}", subjects=SUBJECTS, spacing=SPACING, seed=number)
    cases = list(itertools.product(range(seed, seed + SEEDS), range(len(POINTS))))
    made = list(in_order(functools.partial(_case, out), cases, processes))
    by_point: list[list[dict[str, Any]]] = [[] for _ in POINTS]
    for (_, place), found in zip(cases, made, strict=True):
        by_point[place].append(found)
    table = pd.DataFrame(
        {"defence": point.name} | _row(rows, by_point[0])
        for point, rows in zip(POINTS, by_point, strict=True)
    )
    write_table(out / "federated-defences.tsv", table.round(4))
    return table


def _case(out: Path, case: tuple[int, int]) -> dict[str, Any]:
    """Return error, sparsity and the AUC of every attack of one federation; kept, so that it is made once."""
    seed, place = case
    point, usual = POINTS[place], settings(MODEL, seed)
    how = dataclasses.replace(
        usual,
        rounds=max(1, round(ROUNDS * point.rounds)),
        training=dataclasses.replace(usual.training, defence=point.defence),
    )
    kept = out / f"{place}-seed-{seed}-found"
    request = {
        "command": "study federated-defences",
        "memberscan": version("memberscan"),
        "cohort": Cohort.open(out / f"cohort-{seed}").fingerprint,
        "settings": dataclasses.asdict(how),
        "attacks": {str(attacker): list(names) for attacker, names in ATTACKS.items()},
        "learners": LEARNERS,
        "held_out": HELD_OUT,
    }
    with claim(kept, request, done=FOUND) as finished:
        if not finished:
            write_json(kept / FOUND, _attacked(out, case, how))
        found: dict[str, Any] = load_json(kept / FOUND)
        return found


def _attacked(out: Path, case: tuple[int, int], how: Settings) -> dict[str, Any]:
    """Train one federation, and attack it as a learner and as the server."""
    seed, place = case
    name = f"{place}-seed-{seed}"
    run = federate(
        out / f"cohort-{seed}",
        out / name,
        settings=how,
        learners=LEARNERS,
        held_out=HELD_OUT,
        seed=seed,
    )
    found: dict[str, Any] = {"sparsity": zeros(run)}
    for attacker, attacks in ATTACKS.items():
        threat = ThreatModel(attacker=attacker)
        outcome = measure(run.path, out / f"{name}-{attacker}", threat=threat, attacks=attacks, seed=seed)
        # The error on held-out people is the same for both.
        found["error"] = float(outcome.people.mean_absolute[~outcome.people.member].mean())
        found[str(attacker)] = {finding.attack: finding.auc.value for finding in outcome.findings}
    return found


def zeros(run: Run) -> float:
    """Return the share of trainable weights that are zero in the final global model."""
    weights = [p.detach() for p in run.load().parameters()]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


def _row(rows: list[dict[str, Any]], undefended: list[dict[str, Any]]) -> dict[str, float]:
    """Return means over seeds, and paired differences from the undefended federations."""
    found = {"sparsity": float(np.mean([row["sparsity"] for row in rows]))}
    measured = {"error": ([row["error"] for row in rows], [row["error"] for row in undefended])}
    for attacker in ATTACKS:
        measured[f"{attacker}_auc"] = _strongest(rows, attacker), _strongest(undefended, attacker)
    for name, (own, others) in measured.items():
        change = np.subtract(own, others)
        spread = change.std(ddof=1) / math.sqrt(len(change)) if len(change) > 1 else math.nan
        found |= {
            name: float(np.mean(own)),
            f"{name}_change": float(change.mean()),
            f"{name}_se": float(spread),
        }
    return found


def _strongest(rows: list[dict[str, Any]], attacker: Attacker) -> list[float]:
    """Return each seed's AUC of the attack that found most with the other seeds."""
    found = [row[str(attacker)] for row in rows]
    ran = [name for name in ATTACKS[attacker] if all(name in aucs for aucs in found)]
    by_attack = {name: np.array([aucs[name] for aucs in found]) for name in ran}
    return [float(by_attack[name][k]) for k, name in enumerate(strongest_elsewhere(by_attack))]
