"""The quality of a cohort's scans: which were kept, why others were not, and which are unlike the rest."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.cohort.manifest import STATISTICS
from memberscan.files import OWNER_ONLY, write_json, write_table

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.cohort.cohort import Cohort

UNUSUAL = 3.5
"""Modified z-score beyond which a value is unusual, as Iglewicz and Hoaglin recommend."""
FEWEST = 10
"""Fewest scans of which one can be called unlike the others."""
NORMAL_QUARTILE = 0.6745
"""Upper quartile of a standard normal: its median absolute deviation."""
COLUMNS = MappingProxyType(
    {
        "scan_id": "Name of the image without the entities that tell versions of one scan apart",
        "subject_id": "The person",
        "session": "The session, if the dataset has sessions",
        "age": "Age at the scan, years",
        "kept": "Whether the scan is in the cohort: yes or no",
        "reason": "Why a scan is not in the cohort",
        "unusual": f"Statistics of the image whose modified z-score is beyond {UNUSUAL}, among kept scans",
        "image_foreground": "Share of the voxels that are foreground",
        "image_p05": "5th percentile of the foreground's intensities, in units of the file",
        "image_p50": "Median of the foreground's intensities, in units of the file",
        "image_p95": "95th percentile of the foreground's intensities, in units of the file",
        "image_sharpness": "Mean absolute difference of neighbours in the foreground per mm, over p95 - p05",
        "image_voxel_mm3": "Volume of a voxel of the file, mm^3",
    }
)
"""Columns of the table, with their meaning, in order."""


def quality(cohort: Cohort) -> pd.DataFrame:
    """Return one row per scan of a cohort's source, kept or not.

    An unusual scan is not a bad one: it may come from another scanner. Look at it before it is left out, and
    never leave out scans of members only.

    Returns
    -------
    pandas.DataFrame
        The columns of :data:`COLUMNS`; statistics that the cohort does not have are missing.
    """
    statistics = [name for name in STATISTICS if name in cohort.scans]
    kept = cohort.scans.reset_index()[["scan_id", "subject_id", "session", "age", *statistics]]
    kept = kept.assign(kept="yes", unusual=unusual(kept[statistics]))
    excluded = cohort.excluded.assign(kept="no")
    known = [name for name in COLUMNS if name in kept or name == "reason"]
    every = pd.concat([kept, excluded]).reindex(columns=known)
    return every.sort_values("scan_id", ignore_index=True)


def unusual(statistics: pd.DataFrame) -> list[str]:
    """Return for each scan the names of its unusual statistics, separated by commas.

    Parameters
    ----------
    statistics
        One row per scan, one column per statistic.
    """
    if len(statistics) < FEWEST or statistics.columns.empty:
        return [""] * len(statistics)
    names = [str(name) for name in statistics.columns]
    far = np.stack([np.abs(modified_z(statistics[name].to_numpy(float))) > UNUSUAL for name in names], axis=1)
    return [", ".join(name for name, beyond in zip(names, row, strict=True) if beyond) for row in far]


def modified_z(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return modified z-scores; 0 where half of the values or more are equal, which gives no scale.

    Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993), section 3.3.
    """
    deviation = values - np.median(values)
    # Median and median absolute deviation are not moved by the outliers that are looked for, unlike mean and
    # standard deviation, of which no value of n can be more than (n - 1) / sqrt(n) apart.
    scale = np.median(np.abs(deviation))
    if scale == 0:
        return np.zeros_like(deviation)
    z: np.ndarray = NORMAL_QUARTILE * deviation / scale
    return z


def write_quality(table: pd.DataFrame, path: Path) -> None:
    """Write the table, which names people, and a sidecar that describes its columns, as BIDS asks."""
    # BIDS allows no empty cells.
    write_table(path, table.replace("", np.nan), mode=OWNER_ONLY)
    write_json(path.with_suffix(".json"), {name: {"Description": COLUMNS[name]} for name in table.columns})
