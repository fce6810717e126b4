"""Attacks on people the model never saw, labelled at random: any success here is due to chance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan import seeds
from memberscan.attacks import attacks_on
from memberscan.attacks.attempt import attempt, observe, one_thread
from memberscan.attacks.availability import obstacle
from memberscan.errors import BadInputError
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import Estimates, estimate_aucs
from memberscan.signals import see
from memberscan.targets import Target
from memberscan.targets.trained_model import TrainedModel
from memberscan.threat import Access, ThreatModel

if TYPE_CHECKING:
    from memberscan.attacks import Attack, Features

LABELLINGS = 20


def chance(out: Path, *, seed: int = 0, run: Path | None = None) -> pd.DataFrame:
    """Run every attack on a run's non-members under random labels.

    Parameters
    ----------
    out
        Directory for the signals.
    seed
        Root seed.
    run
        A run; only its non-members are used, which were not in the training set.

    Returns
    -------
    DataFrame
        One row per attack: mean AUC over the labellings; in how many labellings the attack's own 95% interval
        excludes 0.5; and in how many the simultaneous one-sided 99% bound, which the verdict uses, is above
        0.5.
    """
    if run is None:
        raise BadInputError("the study of chance needs a run whose non-members it can label: give --run RUN")
    threat = ThreatModel(Access.WEIGHTS)
    target = _nonmembers(TrainedModel.open(run, threat))
    attacks = [attack for attack in attacks_on(target) if obstacle(attack, target) is None]
    view = see(target, [signal for attack in attacks for signal in attack.reads], out / "signals")
    features = {attack: seen for attack in attacks if (seen := observe(attack, view)).vary}
    aucs, alone, together = [], [], []
    for labelling in range(LABELLINGS):
        member = seeds.generator(seed, "labels", labelling).permutation(target.member)
        labelled = dataclasses.replace(
            target,
            is_member=pd.Series(member, index=target.people.ids),
            seed=seeds.integer(seed, "draws", labelling),
        )
        estimates = _estimate(features, labelled)
        aucs.append(estimates.auc)
        alone.append([not interval.low <= 0.5 <= interval.high for interval in estimates.intervals])
        together.append(estimates.simultaneous_low > 0.5)
    return pd.DataFrame(
        {
            "attack": [attack.name for attack in features],
            "mean_auc": np.mean(aucs, axis=0),
            "alone_95": np.sum(alone, axis=0),
            "simultaneous_99": np.sum(together, axis=0),
            "labellings": LABELLINGS,
        }
    )


def _nonmembers(model: TrainedModel) -> TrainedModel:
    """Return a target with only the people the model never saw, half of them labelled as members."""
    unseen = ~model.member_of_scan
    scans = model.scans[unseen]
    ids = sorted(scans["subject_id"].unique())
    halves = pd.Series(np.arange(len(ids)) % 2 == 0, index=ids)
    return dataclasses.replace(model, scans=scans, is_member=halves, covariates=model.covariates[unseen])


def _estimate(features: Mapping[Attack, Features], target: Target) -> Estimates:
    with one_thread():
        attempts = [attempt(attack, seen, target) for attack, seen in features.items()]
    return estimate_aucs([scores for scores in attempts if scores is not None], DeLong())
