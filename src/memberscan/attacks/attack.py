"""What an attack is: which signals it reads, whether it learns from known people, and how it scores scans."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from memberscan.errors import MisalignedError, NonFiniteError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from memberscan.signals import Signal, View


@dataclass(frozen=True, eq=False)
class Features:
    """What an attack computed from its signals: one row per scan, without membership.

    Parameters
    ----------
    scan_ids
        The scans, in the order of the rows.
    values
        Numbers of each scan. An attack on learners has axes for learners and rounds too, and NaN where a
        round has no information about a learner.

    Raises
    ------
    MisalignedError
        If ids repeat, or their number differs from that of the rows.
    NonFiniteError
        If a value is infinite, or, without axes for learners and rounds, NaN.
    """

    scan_ids: pd.Index
    values: Float[np.ndarray, "scans ..."]

    def __post_init__(self) -> None:
        if not self.scan_ids.is_unique or len(self.scan_ids) != len(self.values):
            raise MisalignedError(
                f"features of {len(self.values)} rows for {self.scan_ids.nunique()} different scans; "
                "give one row per scan, with its id"
            )
        usable = np.isfinite(self.values) if self.values.ndim <= 2 else ~np.isinf(self.values)
        if not usable.all():
            raise NonFiniteError("an attack's features are NaN or infinite; check for signals that overflow")

    @property
    def vary(self) -> bool:
        """Whether anything differs between scans; otherwise an attack has nothing to use."""
        if self.values.ndim > 2:
            return not bool(np.isnan(self.values).all())
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

    def rows(self, places: Int[np.ndarray, " some"]) -> Features:
        """Return the rows at these places, which must differ."""
        # Fits with membership permuted call this thousands of times, and what was checked of all rows holds
        # for some of them too.
        some = object.__new__(Features)
        some.__dict__.update(scan_ids=self.scan_ids.take(places), values=self.values[places])
        return some

    def spread(self, scan_ids: pd.Index, chosen: Bool[np.ndarray, " all"]) -> Features:
        """Return these rows at the chosen places among all scans, and NaN elsewhere."""
        values = np.full((len(scan_ids), *self.values.shape[1:]), np.nan)
        values[chosen] = self.values
        return Features(scan_ids, values)

    def up_to(self, rounds: int) -> Features:
        """Return the features of the first rounds only."""
        return Features(self.scan_ids, self.values[..., :rounds])


@dataclass(frozen=True, eq=False)
class KnownScans:
    """The scans of people whose membership an attacker knows.

    Parameters
    ----------
    places
        Their rows among the features.
    member
        For each of them, whether its subject was trained on.
    """

    places: Int[np.ndarray, " known"]
    member: Bool[np.ndarray, " known"]


NOBODY = KnownScans(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))


@dataclass(frozen=True)
class Attack(ABC):
    """One way to tell members from non-members; a frozen value.

    Parameters
    ----------
    name
        Its name for users.
    title
        What it uses, in one line for a reader who is not a specialist.
    reads
        The signals that it reads.
    others
        Fewest other learners that it needs for comparison.
    log_likelihood_ratio
        Whether its score is a log-likelihood ratio, which is summed over a person's scans, not averaged.
    nonmembers
        Fewest known non-members that it needs to learn from.
    on_request
        Whether it only runs where it is named. Each attack that runs by default widens the simultaneous
        bounds of all others.

    Notes
    -----
    ``learns`` says whether it learns from people whose membership is known. ``by_learner`` says whether it
    gives a score for each learner instead of one for the model. Whether an attack can be run follows from its
    signals: see :func:`memberscan.attacks.availability.obstacle`.
    """

    learns: ClassVar[bool] = True
    by_learner: ClassVar[bool] = False

    name: str
    title: str
    reads: tuple[Signal, ...] = field(default=())
    others: int = field(default=0, kw_only=True)
    log_likelihood_ratio: bool = field(default=False, kw_only=True)
    nonmembers: int = field(default=0, kw_only=True)
    on_request: bool = field(default=False, kw_only=True)

    @abstractmethod
    def observe(self, view: View) -> Features:
        """Turn signals into features, once for all known people; it may use all scans, but no membership."""

    @abstractmethod
    def score(
        self, features: Features, known: KnownScans
    ) -> Float[np.ndarray, " scans"] | Float[np.ndarray, "scans learners"]:
        """Return a score for each scan; higher means more likely a member.

        An attack that learns uses the known scans, and its threshold is zero. Others are given
        ``NOBODY``. An attack ``by_learner`` returns one column for each learner of the view, NaN for
        a learner that was not seen.
        """

    def score_each(
        self, features: Features, known: Sequence[KnownScans]
    ) -> Iterator[Float[np.ndarray, " scans"] | Float[np.ndarray, "scans learners"]]:
        """Yield the scores of :meth:`score` for several groups of known scans, one group after the other."""
        for each in known:
            yield self.score(features, each)

    def directions(self, features: Features, known: Sequence[KnownScans]) -> float:  # noqa: ARG002
        """Return among how many directions of equal weight a fit chooses; infinity if that is not known."""
        return np.inf


@dataclass(frozen=True, eq=False)
class Rule:
    """A linear score of features: above zero it says "member"."""

    weights: Float[np.ndarray, " d"]
    offset: float

    def score(self, features: Features) -> Float[np.ndarray, " scans"]:
        """Return one score per scan, in the order of the features."""
        return np.asarray(features.values @ self.weights + self.offset)


@dataclass(frozen=True)
class FittedAttack(Attack):
    """An attack that fits a linear rule to the known scans."""

    @abstractmethod
    def fit(self, known: Features, member: Bool[np.ndarray, " known"]) -> Rule:
        """Learn a rule from the scans of known subjects; the rows of ``member`` follow those of ``known``."""

    def score(self, features: Features, known: KnownScans) -> Float[np.ndarray, " scans"]:
        """See :class:`Attack`."""
        return self.fit(features.rows(known.places), known.member).score(features)
