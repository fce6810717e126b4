"""What reference models predict for each scan, and who each of them was trained on, as plain data on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Predictions of reference models of one recipe.

    Parameters
    ----------
    scan_ids
        The scans, in the order of the columns.
    predictions
        Of each scan by each reference, in years.
    inside
        Whether each reference was trained on each scan. Rows 2j and 2j + 1 are twins.
    fingerprint
        A digest of all of these.
    """

    scan_ids: pd.Index
    predictions: Float[np.ndarray, "references scans"]
    inside: Bool[np.ndarray, "references scans"]
    fingerprint: str
