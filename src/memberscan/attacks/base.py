"""What an attack is: features that an attacker sees, and a rule that turns them into one score per scan."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from memberscan.errors import MisalignedError, NonFiniteError
from memberscan.threat import Access

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from memberscan.signals.signals import Signals


@dataclass(frozen=True)
class Needs:
    """What an attack cannot do without.

    Parameters
    ----------
    access
        The least access to the target.
    leaked
        Whether it learns from subjects whose membership is known.
    layers
        Layers whose gradients it reads: landmark names or module paths.
    norms, activation
        Whether it reads the gradient norms of all layers (of an attack on updates: gradients of any kind), or
        the input of the output layer.
    rounds
        Whether it reads the predictions of every round's global model.
    others
        Fewest other learners that an attack on updates compares a learner with.
    active
        Whether the server must have changed what it broadcasts, which is only ever simulated.
    """

    access: Access
    leaked: bool = True
    layers: tuple[str, ...] = ()
    norms: bool = False
    activation: bool = False
    rounds: bool = False
    others: int = 0
    active: bool = False

    @property
    def predictions_only(self) -> bool:
        """Whether predictions of one model are all that it reads."""
        return not (self.layers or self.norms or self.activation or self.rounds)


@dataclass(frozen=True, eq=False)
class Features:
    """What an attack reads of each scan: one row per scan, labelled, without a word of who was a member.

    Raises
    ------
    MisalignedError
        If ids repeat, or there are not as many as rows.
    NonFiniteError
        If a value is NaN or infinite.
    """

    scan_ids: pd.Index
    values: Float[np.ndarray, "n d"]

    def __post_init__(self) -> None:
        if not self.scan_ids.is_unique or len(self.scan_ids) != len(self.values):
            raise MisalignedError(
                f"features of {len(self.values)} rows for {self.scan_ids.nunique()} different scans; "
                "give one row per scan, with its id"
            )
        if not np.isfinite(self.values).all():
            raise NonFiniteError("an attack's features are NaN or infinite; look for signals that overflow")

    @property
    def vary(self) -> bool:
        """Whether anything differs between scans; if nothing does, an attack has nothing to go by."""
        return self.values.size > 0 and bool(np.ptp(self.values, axis=0).any())

    def at(self, scan_ids: Sequence[str] | pd.Index) -> Features:
        """Return the rows of these scans, in this order; :class:`MisalignedError` if one is not there."""
        wanted = pd.Index(scan_ids)
        same = self.scan_ids.equals(wanted)
        places = np.arange(len(wanted)) if same else self.scan_ids.get_indexer(wanted)
        if (places < 0).any():
            raise MisalignedError(
                f"scan {scan_ids[int(np.argmin(places))]!r} is not among the attack's features"
            )
        return Features(self.scan_ids[places], self.values[places])


@dataclass(frozen=True, eq=False)
class Rule:
    """A linear score of features: higher always means more likely a member; above zero it says so.

    ``offset`` is None where no threshold was learnt; then whoever decides must bring one.
    """

    weights: Float[np.ndarray, " d"]
    offset: float | None

    def score(self, features: Features) -> Float[np.ndarray, " n"]:
        """Return one score per scan, in the order of the features."""
        return np.asarray(features.values @ self.weights + (self.offset or 0.0))


@dataclass(frozen=True)
class Attack(ABC):
    """One way to tell members from non-members; a frozen value.

    Parameters
    ----------
    name
        What users call it by.
    title
        What it uses, in one line for a reader who is no specialist.
    needs
        What it cannot do without.
    """

    name: str
    title: str
    needs: Needs = field(default=Needs(Access.OUTPUTS))

    @abstractmethod
    def observe(self, signals: Signals) -> Features:
        """Turn signals into features, once for all fits; it may use all scans, but sees no membership."""

    @abstractmethod
    def fit(self, known: Features, member: Bool[np.ndarray, " n"]) -> Rule:
        """Learn a rule from the scans of known subjects; the rows of ``member`` follow those of ``known``."""
