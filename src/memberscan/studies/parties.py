"""What a server learns beyond a learner: both attack the same subjects of the same phantom federations."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pandas as pd

from memberscan import seeds
from memberscan.attacks import named
from memberscan.attacks.attempt import attempt, observe, one_thread
from memberscan.auditing import audit
from memberscan.cohort import Cohort
from memberscan.errors import BadInputError
from memberscan.evidence.estimates import estimate_aucs, paired_difference
from memberscan.evidence.resampling import Resampling
from memberscan.evidence.scores import Scores
from memberscan.federation.simulated_run import federate
from memberscan.files import write_table
from memberscan.signals import see
from memberscan.studies.federated import HELD_OUT, LEARNERS, SUBJECTS, settings
from memberscan.targets.party import Party
from memberscan.task_pool import in_order
from memberscan.threat import Attacker, ThreatModel

MODEL, SPACING = "cnn3d", 12.0
SEEDS = 5
BY_LEARNER, BY_SERVER, BY_BREAKER = "prediction+label", "least-squares", "gradient-ascent"
"""Chosen before the study, on federations of other seeds: the paper's attack, and two on updates."""
SECRET_ROUNDS = 3


def parties(out: Path, *, seed: int = 0, processes: int = 1) -> pd.DataFrame:
    """Train federations with several seeds, and attack the same people as each learner and as the server.

    Returns
    -------
    DataFrame
        One row per seed: number of people; the AUCs of the learners' attack, the server's attack and the
        attack of an active server, which changes what it broadcasts; and the paired difference of the first
        two with its 95% interval over subjects. The last row is a shorter federation with encrypted updates:
        how many attacks its server could run. Written to ``out``. The brains are synthetic.
    """
    drawn = list(range(seed, seed + SEEDS))
    rows: list[dict[str, Any]] = list(in_order(functools.partial(_federation, out), drawn, processes))
    secret = settings(MODEL, seed, "ckks")
    run = federate(
        out / f"cohort-{seed}",
        out / "run-ckks",
        settings=dataclasses.replace(secret, rounds=SECRET_ROUNDS),
        learners=LEARNERS,
        held_out=HELD_OUT,
        seed=seed,
    )
    blinded = audit(run.path, out / "audit-ckks", threat=ThreatModel(attacker=Attacker.SERVER), seed=seed)
    rows.append(
        {
            "seed": seed,
            "updates": "encrypted",
            "server_attacks_run": len(blinded.findings),
            "verdict": blinded.verdict,
        }
    )
    table = pd.DataFrame(rows)
    write_table(out / "parties.tsv", table.round(4))
    return table


def _federation(out: Path, seed: int) -> dict[str, Any]:
    cohort = Cohort.phantom(out / f"cohort-{seed}", subjects=SUBJECTS, spacing=SPACING, seed=seed)
    run = federate(
        cohort,
        out / f"run-{seed}",
        settings=settings(MODEL, seed),
        learners=LEARNERS,
        held_out=HELD_OUT,
        seed=seed,
    )
    return {"seed": seed, "updates": "in the clear", **_compare(run.path, out / f"audit-{seed}", seed)}


def _compare(run: Path, directory: Path, seed: int) -> dict[str, float | int]:
    learner, server, breaker = (
        _attempt(run, directory, seed, name, attacker)
        for name, attacker in (
            (BY_LEARNER, Attacker.LEARNER),
            (BY_SERVER, Attacker.SERVER),
            (BY_BREAKER, Attacker.ACTIVE_SERVER),
        )
    )
    scores = [learner, server, breaker]
    errors = Resampling.draw(scores, seeds.generator(seed, "parties"))
    estimates = estimate_aucs(scores, errors)
    difference = paired_difference(server, learner, errors)
    return {
        "members": int(estimates.members[0]),
        "heldout_scored": int(estimates.nonmembers[0]),
        "learner_auc": float(estimates.auc[0]),
        "server_auc": float(estimates.auc[1]),
        "active_server_auc": float(estimates.auc[2]),
        "server_ahead_by": difference.value,
        "low": difference.low,
        "high": difference.high,
        "server_attacks_run": 1,
    }


def _attempt(run: Path, directory: Path, seed: int, name: str, attacker: Attacker) -> Scores:
    """Run one attack as one party; with the same seed, every party knows and scores the same people."""
    attack, party = named(name), Party.open(run, ThreatModel(attacker=attacker), seed=seed)
    view = see(party, attack.reads, directory / str(attacker) / "signals")
    with one_thread():
        scores = attempt(attack, observe(attack, view), party, view.learners)
    if scores is None:
        raise BadInputError(f"attack {name} saw nothing of the federation {run}; train it for more rounds")
    return scores
