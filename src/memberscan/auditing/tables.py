"""The tables about single persons: written for their owner, without ids unless asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.auditing.source import PredictionsSource, Source
from memberscan.evidence.scored import Scored
from memberscan.files import OWNER_ONLY, write_table
from memberscan.salts import get_or_create, keyed
from memberscan.signals.signals import PREDICTION

if TYPE_CHECKING:
    from jaxtyping import Bool

SALT, KEY = "salt.txt", "pseudonyms.tsv"


def scores_table(
    subjects: Sequence[str],
    member: Bool[np.ndarray, " subjects"],
    scored: Sequence[Scored],
    pseudonyms: Path | None,
) -> pd.DataFrame:
    """Return each subject's mean score over the draws in which it was not known; the order names nobody.

    Parameters
    ----------
    subjects, member
        Who, and whether trained on.
    scored
        The attacks' scores.
    pseudonyms
        A directory in which to keep a random salt and the key of the pseudonyms; None for a table without any
        name.
    """
    table = pd.DataFrame({"member": member.astype(int)})
    for attack in scored:
        seen = attack.scored
        total, count = np.where(seen, attack.scores, 0.0).sum(axis=0), seen.sum(axis=0)
        table[attack.attack] = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    if pseudonyms is not None:
        names = _pseudonyms(subjects, pseudonyms)
        key = pd.DataFrame({"subject": list(subjects), "pseudonym": names})
        write_table(pseudonyms / KEY, key, mode=OWNER_ONLY)
        table.insert(0, "pseudonym", names)
        return table.sort_values("pseudonym", ignore_index=True)
    return table.sort_values([*(attack.attack for attack in scored), "member"], ignore_index=True)


def _pseudonyms(subjects: Sequence[str], directory: Path) -> list[str]:
    """Return keyed digests of the ids; without the salt, guessing an id does not confirm it."""
    salt = get_or_create(directory / SALT)
    return [keyed(salt, subject, digits=16) for subject in subjects]


def matched_table(
    target: Source, subjects: Sequence[str], matched: Bool[np.ndarray, " subjects"]
) -> pd.DataFrame:
    """Return a matched subset as it can be audited again: predictions, or roles for an import."""
    chosen = [s for s, kept in zip(subjects, matched, strict=True) if kept]
    if isinstance(target, PredictionsSource):
        scans = target.scans[target.scans["subject_id"].isin(chosen)]
        table = scans.assign(
            prediction=target.table.at(scans.index.tolist()).arrays[PREDICTION],
            member=target.member.loc[scans["subject_id"]].astype(int).to_numpy(),
        )
        return table.join(target.covariates.loc[scans.index]).rename_axis("scan_id").reset_index()
    roles = ["member" if target.member[s] else "non-member" for s in chosen]
    return pd.DataFrame({"subject": chosen, "role": roles})
