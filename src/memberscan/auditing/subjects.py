"""People instead of scans: what an audit knows of each subject, in the order of the attacks' scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.evidence.admissible import computed_from_predictions, copies_of_membership
from memberscan.signals.signals import PREDICTION

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from memberscan.attacks.campaign import Campaign
    from memberscan.attacks.parties import Parties
    from memberscan.auditing.source import Source
    from memberscan.signals.signals import Signals

_SEX = ("sex", "gender")
_ENOUGH = 10_000
"""So many scans are enough to recognise a column that was computed from predictions."""


@dataclass(frozen=True, eq=False)
class Subjects:
    """What is known of each subject, over its scans.

    Parameters
    ----------
    ids
        Subject ids.
    member
        Who was trained on.
    age
        Mean age at the scans, years.
    residual, mean_absolute, mean_square
        Mean residual, mean absolute and mean squared residual; years, and years squared.
    covariates
        What a blind baseline may see: mean age, scan count, and the source's own covariates (means of
        numbers, the first value of text).
    left_out
        Columns of the source that are not used as covariates, and why: see
        :mod:`memberscan.evidence.admissible`.
    """

    ids: tuple[str, ...]
    member: Bool[np.ndarray, " subjects"]
    age: Float[np.ndarray, " subjects"]
    residual: Float[np.ndarray, " subjects"]
    mean_absolute: Float[np.ndarray, " subjects"]
    mean_square: Float[np.ndarray, " subjects"]
    covariates: pd.DataFrame
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def summarise(cls, source: Source, signals: Signals, campaign: Campaign | Parties) -> Subjects:
        """Average over the scans of each subject."""
        count = np.bincount(campaign.subject).astype(float)

        def mean(values: Float[np.ndarray, " scans"]) -> Float[np.ndarray, " subjects"]:
            return np.asarray(np.bincount(campaign.subject, values) / count)

        r, age = signals.residual, mean(signals.scans["age"].to_numpy(float))
        own = {"age": age, "scan count": count}
        left_out = _left_out(source, signals)
        admitted = source.covariates.drop(columns=list(left_out))
        covariates = _by_subject(admitted, source.scans["subject_id"], campaign.subjects).rename(
            columns={name: f"{name} (as given)" for name in own}
        )
        covariates = pd.DataFrame(own, index=covariates.index).join(covariates)
        errors = mean(r), mean(np.abs(r)), mean(r**2)
        return cls(campaign.subjects, campaign.member, age, *errors, covariates, left_out)

    @property
    def sex(self) -> pd.Series | None:
        """Sex as the source writes it, missing where it is not known; None if no column is called so."""
        name = next((c for c in self.covariates if str(c).lower() in _SEX), None)
        if name is None:
            return None
        written = self.covariates[name]
        if pd.api.types.is_numeric_dtype(written):
            return written.map(lambda code: f"{code:g}", na_action="ignore")
        return written


def sides_of_scans(source: Source) -> Bool[np.ndarray, " scans"]:
    """Return whether each scan is of a member, in the order of the source's scans."""
    return source.scans["subject_id"].map(source.member).to_numpy(bool)


def _left_out(source: Source, signals: Signals) -> dict[str, str]:
    """Return which columns must not be covariates, and why."""
    count = len(signals.scans)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _ENOUGH)).astype(int))
    scans = signals.scans.iloc[chosen]
    computed = computed_from_predictions(
        source.covariates.loc[scans.index],
        scans["age"].to_numpy(float),
        np.asarray(signals.arrays[PREDICTION])[chosen],
        scans["subject_id"].map(source.member).to_numpy(bool),
    )
    return computed | copies_of_membership(source.covariates, sides_of_scans(source))


def _by_subject(covariates: pd.DataFrame, of: pd.Series, subjects: tuple[str, ...]) -> pd.DataFrame:
    grouped = covariates.groupby(of, sort=False)
    columns = {
        str(name): grouped[str(name)].agg("mean" if pd.api.types.is_numeric_dtype(values) else "first")
        for name, values in covariates.items()
    }
    return pd.DataFrame(columns, index=pd.Index(subjects))
