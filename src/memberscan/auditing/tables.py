"""The tables about single persons: for the owner only, and without ids unless requested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.evidence.blind import Blind
from memberscan.evidence.person_exposure import PersonExposure
from memberscan.evidence.scores import Scores
from memberscan.evidence.verdict import Verdict
from memberscan.files import OWNER_ONLY, write_table
from memberscan.salts import get_or_create, keyed
from memberscan.targets import Target
from memberscan.targets.predictions_table import PredictionsTable
from memberscan.threat import Attacker

if TYPE_CHECKING:
    from jaxtyping import Bool

SALT, KEY = "salt.txt", "pseudonyms.tsv"


def scores_table(
    subjects: Sequence[str],
    member: Bool[np.ndarray, " subjects"],
    scored: Sequence[Scores],
    pseudonyms: Path | None,
    exposure: PersonExposure | None = None,
) -> pd.DataFrame:
    """Return each subject's mean score over the draws in which it was not known, in an order without ids.

    Parameters
    ----------
    subjects, member
        The subjects, and whether they were trained on.
    scored
        The attacks' scores.
    pseudonyms
        A directory in which to keep a random salt and the key of the pseudonyms; None for a table without any
        name.
    exposure
        How exposed each subject is, from reference models: the columns exposure_auc and exposure_se.
    """
    table = pd.DataFrame({"member": member.astype(int)})
    for attack in scored:
        seen = attack.compared
        total, count = np.where(seen, attack.values, 0.0).sum(axis=0), seen.sum(axis=0)
        table[attack.attack] = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    if exposure is not None:
        table["exposure_auc"], table["exposure_se"] = exposure.auc, exposure.auc_error
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


def matched_table(target: Target, verdict: Verdict, check: Blind) -> pd.DataFrame:
    """Return a matched subset as it can be audited again: predictions, or roles for an import.

    It is empty unless the sides of a model's audit differ without it, no leak is shown, and enough people of
    both sides have a match.
    """
    outside = target.threat.attacker is Attacker.OUTSIDER
    if not outside or not check.gates or verdict.label == "leaks" or check.pairs is None:
        return pd.DataFrame()
    if not isinstance(target, PredictionsTable):
        roles = ["member" if inside else "non-member" for inside in target.member[check.matched]]
        subjects = [s for s, kept in zip(target.people.ids, check.matched, strict=True) if kept]
        return pd.DataFrame({"subject": subjects, "role": roles})
    kept = check.matched[target.people.of_scan]
    own = target.scans["subject_id"].to_frame().assign(**{target.variable.name: target.label_as_covariate})
    table = own.join(target.answers).assign(member=target.member_of_scan.astype(int))
    joined: pd.DataFrame = table[kept].join(target.covariates[kept])
    return joined.rename_axis("scan_id").reset_index()
