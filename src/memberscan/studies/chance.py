"""Attacks on people whom a model never saw, labelled at random: what succeeds here succeeds by chance."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from memberscan import seeds
from memberscan.attacks import DEFAULT_ATTACKS, REGISTRY
from memberscan.attacks.campaign import Campaign
from memberscan.auditing.source import RunSource
from memberscan.errors import BadInputError
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.single_draw import DeLong
from memberscan.threat import Access, ThreatModel

LABELLINGS = 20


def chance(out: Path, *, seed: int = 0, run: Path | None = None) -> pd.DataFrame:
    """Carry out every attack on a run's non-members under random labels.

    Parameters
    ----------
    out
        Where the signals are kept.
    seed
        Root seed.
    run
        A run; its non-members were not trained on.

    Returns
    -------
    DataFrame
        One row per attack: mean AUC over the labellings, in how many of them the 95% interval of the attack
        alone excludes .5, and in how many the simultaneous one-sided 99% bound, which the verdict uses,
        exceeds it.
    """
    if run is None:
        raise BadInputError("the study of chance needs a run whose non-members it can label: give --run RUN")
    source = RunSource.open(run, None)
    attacks = [a for name in DEFAULT_ATTACKS if source.lacks((a := REGISTRY[name]).needs) is None]
    unseen = source.member.index[~source.member]
    scans = source.scans[source.scans["subject_id"].isin(unseen)]
    signals = dataclasses.replace(source, scans=scans).signals([a.needs for a in attacks], out / "signals")
    unlabelled = source.member.loc[unseen]
    campaign = Campaign.observe(attacks, signals, unlabelled, ThreatModel(Access.WEIGHTS), seed)
    halves = np.arange(len(unseen)) % 2 == 0
    aucs, alone, together = [], [], []
    for labelling in range(LABELLINGS):
        member = seeds.generator(seed, "labels", labelling).permutation(halves)
        draws = seeds.integer(seed, "draws", labelling)
        scores = dataclasses.replace(campaign, member=member, seed=draws).scored()
        estimates = estimate_aucs(scores, DeLong())
        aucs.append(estimates.auc)
        alone.append([not interval.low <= 0.5 <= interval.high for interval in estimates.intervals])
        together.append(estimates.simultaneous_low > 0.5)
    return pd.DataFrame(
        {
            "attack": [a.name for a in attacks],
            "mean_auc": np.mean(aucs, axis=0),
            "alone_95": np.sum(alone, axis=0),
            "simultaneous_99": np.sum(together, axis=0),
            "labellings": LABELLINGS,
        }
    )
