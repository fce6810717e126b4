"""Residuals of people by pairs of reference models: one was trained on the person, and its twin was not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from memberscan.errors import MisalignedError, NonFiniteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Twins:
    """Residuals of people by twin models: those trained on the person, and their twins, which were not.

    Parameters
    ----------
    inside, outside
        Normalised residuals of each person by the twin that was trained on it, and by the other one; 0 where
        the pair says nothing.
    told
        Whether exactly one model of the pair was trained on the person.
    label
        Of each person.
    partner
        The position of the person that is compared with each person: whenever one was in, the other was out;
        -1 for nobody.
    """

    inside: Float[np.ndarray, "twins people"]
    outside: Float[np.ndarray, "twins people"]
    told: Bool[np.ndarray, "twins people"]
    label: Float[np.ndarray, " people"]
    partner: Int[np.ndarray, " people"]

    @classmethod
    def of(
        cls,
        residuals: Float[np.ndarray, "references people"],
        inside: Bool[np.ndarray, "references people"],
        label: Float[np.ndarray, " people"],
    ) -> Self:
        """Return the residuals by twins, after each model's were normalised.

        Parameters
        ----------
        residuals
            Of each reference and person, label - prediction; means over a person's scans.
        inside
            Whether each reference was trained on each person. Rows 2j and 2j + 1 are twins.
        label
            Mean label of each person.

        Raises
        ------
        MisalignedError
            If shapes do not fit together, or a reference has no twin.
        NonFiniteError
            If a residual or a label is not a finite number, or a reference predicts the same at every label.
        """
        _check(residuals, inside, label)
        rest = normalised(residuals, label)
        told = inside[::2] != inside[1::2]
        # Of each pair, the row that was trained on the person, and the other one.
        first = inside[::2]
        within, without = (np.where(own, rest[::2], rest[1::2]) for own in (first, ~first))
        return cls(
            np.where(told, within, 0.0), np.where(told, without, 0.0), told, label, partners(inside, label)
        )

    def __len__(self) -> int:
        return len(self.told)

    @cached_property
    def count(self) -> Int[np.ndarray, " people"]:
        """How many pairs tell something of each person: references with it, and as many without it."""
        return np.asarray(self.told.sum(axis=0))

    def take(self, twins: Sequence[int] | Int[np.ndarray, " some"]) -> Twins:
        """Return some of the twins only."""
        kept = np.asarray(twins, dtype=int)
        return Twins(self.inside[kept], self.outside[kept], self.told[kept], self.label, self.partner)

    def without(self, twin: int) -> Twins:
        """Return all twins but one."""
        return self.take(np.delete(np.arange(len(self)), twin))

    def swapped(self, swap: Bool[np.ndarray, "twins people"]) -> Twins:
        """Return the same with "in" and "out" exchanged in some places, as under another mask."""
        inside = np.where(swap, self.outside, self.inside)
        outside = np.where(swap, self.inside, self.outside)
        return Twins(inside, outside, self.told, self.label, self.partner)


def normalised(
    residuals: Float[np.ndarray, "models people"], label: Float[np.ndarray, " people"]
) -> Float[np.ndarray, "models people"]:
    """Return residuals without each model's own offset, regression to the mean label, and scale.

    Models of one recipe differ in these, and this variation hides what one person changes. From the residuals
    of each model a quadratic in label is taken out, and the rest is brought to the scale that all models have
    in common. Membership is not used.
    """
    scaled = (label - label.mean()) / (label.std() or 1.0)
    curves = np.stack([np.ones_like(scaled), scaled, scaled**2], axis=1)
    # One basis for all models; the pseudo-inverse copes with labels that take one or two values.
    rest = residuals - (residuals @ np.linalg.pinv(curves).T) @ curves.T
    scale = np.sqrt((rest**2).mean(axis=1))
    # Far below any real residual, and above the rounding errors of the regression.
    if (flat := scale <= 1e-9 * np.abs(residuals).max()).any():
        raise NonFiniteError(
            f"reference {int(np.argmax(flat))} predicts the same number for all people of one label, so its "
            "residuals say nothing of single people; leave this reference and its twin out"
        )
    return np.asarray(rest * (np.sqrt((scale**2).mean()) / scale)[:, None])


def partners(
    inside: Bool[np.ndarray, "references people"], label: Float[np.ndarray, " people"]
) -> Int[np.ndarray, " people"]:
    """Return for each person one who was out whenever it was in, nearest in rank of label; -1 for nobody.

    References are drawn as one of each matched pair, so that partners have opposite masks. With few
    references several pairs have the same masks; any two people with opposite masks may be compared, and
    those of the same rank of label are most alike.
    """
    found = np.full(len(label), -1)
    packed = np.packbits(inside, axis=0)
    opposite = np.packbits(~inside, axis=0)
    groups: dict[bytes, list[int]] = {}
    for person in np.argsort(label, kind="stable").tolist():
        groups.setdefault(packed[:, person].tobytes(), []).append(person)
    for people in groups.values():
        others = groups.get(opposite[:, people[0]].tobytes(), [])
        for one, other in zip(people, others, strict=False):
            found[one] = other
    return found


def _check(
    residuals: Float[np.ndarray, "references people"],
    inside: Bool[np.ndarray, "references people"],
    label: Float[np.ndarray, " people"],
) -> None:
    shaped = residuals.ndim == 2 and residuals.shape == inside.shape and label.shape == residuals.shape[1:]
    if not shaped or inside.dtype != np.bool_:
        raise MisalignedError(
            f"residuals of shape {residuals.shape}, {inside.dtype} inside of shape {inside.shape} and label "
            f"of shape {label.shape}; give residuals and boolean inside as references x people, and one "
            "label per person"
        )
    if not len(residuals) or len(residuals) % 2:
        raise MisalignedError(
            f"there are {len(residuals)} references; give them in pairs, rows 2j and 2j + 1 being twins"
        )
    if not (np.isfinite(residuals).all() and np.isfinite(label).all()):
        raise NonFiniteError(
            "residuals of references or labels are NaN or infinite; leave out references that failed to "
            "train, with their twins"
        )
