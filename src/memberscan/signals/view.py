"""What one attacker sees: values of signals by scan, without membership."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd

from memberscan.errors import MisalignedError, NonFiniteError
from memberscan.signals.predictions import PREDICTION
from memberscan.signals.signal import SCAN, Signal
from memberscan.target_variable import AGE, TargetVariable

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class ByRound(Sequence[np.ndarray]):
    """One array for each round, in files, each mapped into memory only while it is used.

    Parameters
    ----------
    paths
        Files, one for each round.
    rows
        Which rows of the files are those of the scans; None for all.
    """

    def __init__(self, paths: Sequence[Path], rows: np.ndarray | None = None) -> None:
        self.paths = tuple(paths)
        self._rows = rows

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, place: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, place: slice) -> ByRound: ...
    def __getitem__(self, place: int | slice) -> np.ndarray | ByRound:
        if isinstance(place, slice):
            return ByRound(self.paths[place], self._rows)
        stored: np.ndarray = np.load(self.paths[place], mmap_mode="r", allow_pickle=False)
        return stored if self._rows is None else stored[self._rows]

    def take(self, scans: np.ndarray) -> ByRound:
        """Return the arrays with some of their rows; nothing is read."""
        return ByRound(self.paths, scans if self._rows is None else self._rows[scans])


@dataclass(frozen=True, eq=False)
class View:
    """What one attacker sees of some scans.

    Parameters
    ----------
    scans
        Indexed by scan id, unique: ``subject_id`` and ``label``, the true value of the target variable: a
        number in its unit, or the position of the class.
    values
        An array for each signal; the signal's dimensions say what its axes are. Wide ones are memory-mapped.
    learners, rounds
        Names of the places along the dimensions ``learner`` and ``round``.
    variable
        What the model predicts.

    Raises
    ------
    MisalignedError
        If ids repeat, or an array has another number of scans.
    NonFiniteError
        If a prediction is NaN or infinite.
    """

    scans: pd.DataFrame
    values: Mapping[Signal, Any]
    learners: tuple[str, ...] = ()
    rounds: tuple[int, ...] = ()
    variable: TargetVariable = AGE

    def __post_init__(self) -> None:
        if not self.scans.index.is_unique:
            twice = self.scans.index[self.scans.index.duplicated()][0]
            raise MisalignedError(f"scan {twice!r} appears twice in the signals; scan ids must be unique")
        for signal, values in self.values.items():
            rows = self._scans_in(signal, values)
            if rows not in (None, len(self.scans)):
                raise MisalignedError(f"signal {signal} has {rows} rows for {len(self.scans)} scans")
        if PREDICTION not in self.values:
            return
        bad = ~np.isfinite(self.values[PREDICTION])
        if bad.any():
            raise NonFiniteError(
                f"{int(bad.sum())} of {len(bad)} predictions are NaN or infinite; "
                "an audit of the rest would hide the people the model fails on; fix the model or the file"
            )

    @staticmethod
    def _scans_in(signal: Signal, values: Any) -> int | None:
        if SCAN not in signal.dimensions or isinstance(values, ByRound):
            return None
        return int(np.shape(values)[signal.dimensions.index(SCAN)])

    def __getitem__(self, signal: Signal) -> Any:
        """Return the values of a signal."""
        return self.values[signal]

    @cached_property
    def label(self) -> Float[np.ndarray, " scans"]:
        """True values of the target variable."""
        return self.scans["label"].to_numpy(float)

    @cached_property
    def residual(self) -> Float[np.ndarray, " scans"]:
        """Residuals of the predictions: see :meth:`.TargetVariable.residual`."""
        return self.residuals(self.values[PREDICTION])

    def residuals(self, answers: Any, *, scans: int = -1) -> Float[np.ndarray, ...]:
        """Return residuals of other answers than the model's own predictions.

        Parameters
        ----------
        answers
            Predictions of copies, or by other models.
        scans
            Which axis is that of the scans.
        """
        values = np.asarray(answers, dtype=float)
        behind = values.ndim - 1 - scans % values.ndim
        return self.variable.residual(self.label.reshape(-1, *([1] * behind)), values)

    def at(self, scan_ids: Sequence[str]) -> View:
        """Return what is seen of these scans, in this order.

        Raises
        ------
        MisalignedError
            If a scan is not there.
        """
        places = self.scans.index.get_indexer(pd.Index(scan_ids))
        if (places < 0).any():
            raise MisalignedError(f"scan {scan_ids[int(np.argmin(places))]!r} is not among the signals")
        return self._take(places)

    def of(self, scans: Bool[np.ndarray, " scans"]) -> View:
        """Return what is seen of some of the scans."""
        return self._take(np.flatnonzero(scans))

    def _take(self, places: np.ndarray) -> View:
        def part(signal: Signal, values: Any) -> Any:
            if SCAN not in signal.dimensions:
                return values
            if isinstance(values, ByRound):
                return values.take(places)
            return np.take(values, places, axis=signal.dimensions.index(SCAN))

        taken = {signal: part(signal, values) for signal, values in self.values.items()}
        return dataclasses.replace(self, scans=self.scans.iloc[places], values=taken)
