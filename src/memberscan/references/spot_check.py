"""Check that references are different models, and fit the people better that they were to be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from memberscan.errors import ReferencesError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

CLEAR = 4.0
"""Standard errors from zero that are no chance finding, among many references too."""


def require_different(found: Mapping[str, Float[np.ndarray, " scans"]]) -> None:
    """Refuse references with one prediction for everybody, or with the predictions of another reference.

    Raises
    ------
    ReferencesError
        Naming the reference.
    """
    seen: dict[bytes, str] = {}
    for name, values in found.items():
        if np.ptp(values) == 0:
            raise ReferencesError(f"{name} has one prediction for everybody; the model learned nothing")
        if (other := seen.setdefault(values.tobytes(), name)) != name:
            raise ReferencesError(
                f"{other} and {name} have equal predictions; each reference must be a model of its own, "
                "trained on its own people"
            )


def spot_check(
    errors: Mapping[str, Float[np.ndarray, " scans"]],
    inside: Bool[np.ndarray, "references scans"],
    names: Sequence[str],
) -> None:
    """Compare who each reference fits well with who it was to be trained on.

    For each reference, the fit to a set of people is the difference of the mean absolute errors of the rest
    and of the set, relative to what each scan's error is over all references, in standard errors.

    Parameters
    ----------
    errors
        Absolute residual of each scan by each of the references that are there.
    inside
        Who each reference of the plan was to be trained on.
    names
        Of all references of the plan.

    Raises
    ------
    ReferencesError
        If a reference fits the people of another reference clearly better than its own, or fits its people
        worse than the rest, or, unlike the others, everybody equally well.
    """
    if len(errors) < 2:
        return
    rows = [names.index(name) for name in errors]
    error = np.stack(list(errors.values()))
    # Some people are hard to predict for every model; only the rest of each error is compared.
    relative = error - error.mean(axis=0)
    fits = np.stack([_fit(relative, inside[k]) for k in range(len(inside))], axis=1)
    for place, (k, name) in enumerate(zip(rows, errors, strict=True)):
        own, best = fits[place, k], int(np.argmax(fits[place]))
        if fits[place, best] > CLEAR and fits[place, best] - own > CLEAR:
            raise ReferencesError(
                f"{name} fits the people of {names[best]} better than its own; were two files exchanged?"
            )
        if own < -CLEAR:
            raise ReferencesError(
                f"{name} fits the people better that it was not to be trained on; check which list was used"
            )
    _require_held_out(error, inside[rows], list(errors))


def _fit(relative: Float[np.ndarray, "found scans"], mask: Bool[np.ndarray, " scans"]) -> np.ndarray:
    """Return for each reference how much better it fits these people than the rest, in standard errors."""
    out, into = relative[:, ~mask], relative[:, mask]
    spread = out.var(axis=1, ddof=1) / out.shape[1] + into.var(axis=1, ddof=1) / into.shape[1]
    return np.asarray((out.mean(axis=1) - into.mean(axis=1)) / np.sqrt(np.maximum(spread, 1e-30)))


def _require_held_out(
    error: Float[np.ndarray, "found scans"], inside: Bool[np.ndarray, "found scans"], names: Sequence[str]
) -> None:
    """Refuse a reference that was trained on everybody, where the others clearly were not.

    Its errors on people that it was not to be trained on are then like its errors on those that it was, and
    clearly smaller than the other references' on theirs.
    """
    held_out = np.array([row[~mask].mean() for row, mask in zip(error, inside, strict=True)])
    trained = np.array([row[mask].mean() for row, mask in zip(error, inside, strict=True)])
    # Of the mean error of people who were held out, as the references have it usually.
    spreads = [row[~m].std(ddof=1) / np.sqrt((~m).sum()) for row, m in zip(error, inside, strict=True)]
    margin = CLEAR * np.median(spreads)
    for k, name in enumerate(names):
        usual = np.median(np.delete(held_out, k))
        gap = np.median(np.delete(held_out - trained, k))
        alike = held_out[k] - trained[k] < gap - margin
        if alike and held_out[k] < usual - margin:
            raise ReferencesError(
                f"{name} predicts people that it was not to be trained on with a mean error of "
                f"{held_out[k]:.1f}, the other references with {usual:.1f}: it was probably trained on "
                "everybody"
            )
