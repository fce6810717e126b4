"""Writes the pickles in this folder; each was written by running this with the versions in its name.

Usage: python make.py NAME, where NAME is a version such as "pandas-1.0" or "dill-0.4".
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd


def tables() -> dict[str, object]:
    """Tables of all kinds of columns, with the same values in every version."""
    frame = pd.DataFrame(
        {
            "id": ["sub-01", "sub-02"],
            "age": [61.5, 72.25],
            "scans": [1, 2],
            "left": np.array([1.5, 2.5], dtype="float32"),
            "day": pd.to_datetime(["2001-02-03", "2002-03-04"]),
            "sex": pd.Categorical(["f", None], categories=["m", "f"]),
        },
        index=["r1", "r2"],
    )
    frame["site"] = pd.array([7, None], dtype="Int64")
    frame["note"] = pd.array(["x", None], dtype="string")
    return {
        "frame": frame,
        "levels": pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"]),
        "moments": pd.DatetimeIndex(["2001-02-03 10:00:01"], name="when"),
        "masked": pd.Series(pd.array([1, None], dtype="Int64"), name="s"),
        "zoned": pd.Series(pd.to_datetime(["2001-02-03"]).tz_localize("UTC")),
        "scalars": [pd.Timestamp("2001-02-03 01:02:03.5"), pd.NaT, pd.Timedelta("1D"), pd.NA],
        "grouped": frame.groupby("id")[["age", "scans"]].mean(),
        "transposed": frame[["age", "scans"]].T,
        "counted": pd.DataFrame(np.arange(6.0).reshape(3, 2)),
        "pair": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
        "empty": pd.DataFrame(),
    }


def function(argument: str, default: str = "of the default") -> str:
    """Return text; dill writes functions of the main module as a whole."""
    return argument + default + "of the constants"


if __name__ == "__main__":
    folder, name = Path(__file__).parent, sys.argv[1]
    if name.startswith("dill"):
        import dill

        function.__code__ = function.__code__.replace(co_filename="make.py")
        (folder / f"{name}.dill").write_bytes(dill.dumps(function, protocol=4))
    else:
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(tables(), protocol=4))
