"""A cohort whose inputs also hold covariates, for networks that take them beside the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.cohort.cohort import Cohort
from memberscan.cohort.covariates import as_numbers
from memberscan.errors import BadInputError

if TYPE_CHECKING:
    from jaxtyping import Float32


@dataclass(frozen=True, eq=False, repr=False)
class CohortBeside(Cohort):
    """A cohort that appends covariates to each input: as features, or as channels of one value.

    One array then holds all that a network gets for a scan, so that everything that reads batches, such as
    per-sample gradients, works as for an image alone. ``shape`` is that of the whole.

    Parameters
    ----------
    beside
        The covariates as numbers, by scan id; NaN where unknown.
    """

    beside: pd.DataFrame

    def read(self, scan_ids: Sequence[str]) -> Float32[np.ndarray, "scans ..."]:
        """See :meth:`memberscan.Cohort.read`.

        Raises
        ------
        BadInputError
            If a covariate of one of these scans is unknown.
        """
        inputs = super().read(scan_ids)
        values = self.beside.loc[list(scan_ids)]
        unknown = values.isna()
        if unknown.to_numpy().any():
            name = unknown.any().idxmax()
            scan = unknown[name].idxmax()
            raise BadInputError(
                f"the network takes {name!r} beside the image, but it is unknown for the scan {scan!r}; "
                "add it to the cohort's table, or leave this person out of the roles"
            )
        if self.kind == "volumes" and inputs.ndim == 4:
            inputs = inputs[:, None]
        columns = values.to_numpy(np.float32).reshape(len(values), -1, *[1] * (inputs.ndim - 2))
        spread = np.broadcast_to(columns, (*columns.shape[:2], *inputs.shape[2:]))
        return np.concatenate([inputs, spread], axis=1)


def with_covariates(
    cohort: Cohort, names: Sequence[str], codes: Mapping[str, Mapping[str, float]]
) -> CohortBeside:
    """Append covariates to a cohort's inputs.

    Parameters
    ----------
    cohort
        The cohort; its fingerprint stays the same.
    names
        Its covariates, in the order of the network.
    codes
        For covariates of text, the number that stands for each level.

    Raises
    ------
    BadInputError
        If it has no such covariate, or a level of one has no number.
    """
    beside = {name: _numbers(cohort, name, codes.get(name, {})) for name in names}
    if cohort.kind == "volumes":
        channels, *grid = cohort.shape if len(cohort.shape) == 4 else (1, *cohort.shape)
        shape = (channels + len(names), *grid)
    else:
        shape = (cohort.shape[0] + len(names),)
    kept = {field.name: getattr(cohort, field.name) for field in fields(Cohort)}
    return CohortBeside(**{**kept, "shape": shape}, beside=pd.DataFrame(beside, index=cohort.scans.index))


def _numbers(cohort: Cohort, name: str, codes: Mapping[str, float]) -> pd.Series:
    if name not in cohort.covariates:
        known = ", ".join(cohort.covariates)
        raise BadInputError(
            f"the network is to take {name!r} beside the image, but that is no covariate of {cohort.path}; "
            f"it has {known or 'none'}"
        )
    column = cohort.scans[name]
    if not codes:
        numbers = as_numbers(column)
        if numbers is None:
            levels = column.dropna().astype(str).unique().tolist()
            example = ",".join(f"{level}={n}" for n, level in enumerate(sorted(levels)[:3]))
            raise BadInputError(
                f"the covariate {name!r} is text; say which number the network got for each level, such as "
                f"--codes {name}:{example}"
            )
        return numbers
    written = column.map(_written, na_action="ignore")
    if strange := sorted(set(written.dropna()) - set(codes)):
        raise BadInputError(
            f"--codes gives no number for {name!r} = {strange[0]!r}; it has {', '.join(map(repr, codes))}"
        )
    return pd.Series(written.map(codes), dtype=float)


def _written(level: object) -> str:
    """Return a level as people write it: numbers of a table are floats, and 1.0 is written 1."""
    return f"{level:g}" if isinstance(level, float) else str(level)
