"""Arrays labelled by scan: what one attacker sees, without a word of who was a member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.errors import MisalignedError, NonFiniteError

if TYPE_CHECKING:
    from jaxtyping import Float

PREDICTION = "prediction"
ACTIVATION = "activation"
GRADIENT_NORMS = "gradient-norms"
ROUND_PREDICTIONS = "round-predictions"


def gradient(layer: str) -> str:
    """Return the name of the signal that holds a layer's per-sample gradients."""
    return f"gradient:{layer}"


@dataclass(frozen=True, eq=False)
class Signals:
    """What an attacker sees of each scan.

    Parameters
    ----------
    scans
        Indexed by scan id, unique: ``subject_id`` and ``age`` (years).
    arrays
        By name: ``prediction`` (n,) in years; ``activation`` (n, a), what enters the output layer;
        ``gradient:LAYER`` (n, p), of the squared error in years squared; ``gradient-norms`` (n, layers);
        ``round-predictions`` (n, rounds), of each round's global model. Wide ones are memory-mapped.

    Raises
    ------
    MisalignedError
        If ids repeat, or an array has another number of rows.
    NonFiniteError
        If a prediction is NaN or infinite.
    """

    scans: pd.DataFrame
    arrays: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if not self.scans.index.is_unique:
            twice = self.scans.index[self.scans.index.duplicated()][0]
            raise MisalignedError(f"scan {twice!r} stands twice in the signals; scan ids must be unique")
        for name, values in self.arrays.items():
            if len(values) != len(self.scans):
                raise MisalignedError(f"signal {name} has {len(values)} rows for {len(self.scans)} scans")
        bad = ~np.isfinite(self.arrays[PREDICTION])
        if bad.any():
            raise NonFiniteError(
                f"{int(bad.sum())} of {len(bad)} predictions are NaN or infinite; "
                "an audit of the rest would hide whom the model fails on: mend the model or the file"
            )

    @cached_property
    def residual(self) -> Float[np.ndarray, " n"]:
        """Signed residuals, age - prediction, in years."""
        return np.asarray(self.scans["age"].to_numpy(float) - self.arrays[PREDICTION])

    def at(self, scan_ids: Sequence[str]) -> Signals:
        """Return the signals of these scans, in this order.

        Raises
        ------
        MisalignedError
            If a scan is not there.
        """
        places = self.scans.index.get_indexer(pd.Index(scan_ids))
        if (places < 0).any():
            raise MisalignedError(f"scan {scan_ids[int(np.argmin(places))]!r} is not among the signals")
        return Signals(
            self.scans.iloc[places], {name: values[places] for name, values in self.arrays.items()}
        )
