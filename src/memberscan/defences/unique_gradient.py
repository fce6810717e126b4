"""Remove from each scan's gradient what no combination of the other scans' gradients explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field

from memberscan.configuration import configuration
from memberscan.defences.defence import Defence, Step
from memberscan.defences.own_gradients import require_own_gradients
from memberscan.errors import BadInputError, ModelError
from memberscan.models.gradients import set_gradients

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from memberscan.cohort import Cohort
    from memberscan.models.regressor import AgeRegressor

_FEWEST = 2
_LEAST_EIGENVALUE = 1e-10
"""Of the Gram matrix of rows of length 1. Gradients are float32, so a part shorter than 1e-5 is rounding."""
_LITTLE = 1e-4
"""A scan with more squared weight in dependencies, or with less left over, is explained by the others."""
_COLUMNS = 1 << 16


@configuration
class UniqueGradient(Defence):
    """Removes the part of each scan's gradient that lies outside the span of the batch's other gradients.

    This is done for each layer on its own, with weight and bias together. After Stripelis et al., "Secure &
    Private Federated Neuroimaging" (arXiv:2205.05249), whose full text was not read: it does not claim to
    reproduce that defence.

    Parameters
    ----------
    keep
        Share of the unique part that is kept: 0 removes all of it, 1 changes nothing.
    """

    strengths: ClassVar = ("keep=0", "keep=0.5")

    keep: Annotated[float, Field(ge=0, le=1)] = 0.0

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:
        """Refuse networks in which a scan has no gradient of its own."""
        require_own_gradients(model, cohort, "unique-gradient")

    def gradients(self, step: Step) -> Tensor:
        """Set the mean of the scans' gradients without their unique parts.

        A last batch of one scan has only a unique part.

        Raises
        ------
        BadInputError
            If every batch has one scan.
        ModelError
            If a gradient is not finite.
        """
        if min(step.size.batch_size, step.size.scans) < _FEWEST:
            raise BadInputError(
                "unique-gradient compares the scans of a batch, and in a batch of one scan all of the "
                "gradient is unique: give a --batch-size of at least 2"
            )
        losses, gradients = step.sample_gradients()
        set_gradients(step.model, {path: self._mean(rows) for path, rows in gradients.items()})
        return losses.mean()

    def _mean(self, rows: Float[Tensor, "n p"]) -> Float[Tensor, " p"]:
        """Return the mean of rows g_i - (1 - keep) u_i, with the unique part u_i of each."""
        weights = (1 - (1 - self.keep) * unique_parts(rows).sum(dim=0)) / len(rows)
        return weights.to(rows.dtype) @ rows


def unique_parts(rows: Float[Tensor, "n p"]) -> Float[Tensor, "n n"]:
    """Return C, so that row i of C @ rows is the part of row i that is orthogonal to all other rows.

    Parameters
    ----------
    rows
        Gradients of the scans of a batch, of any number p of parameters.

    Returns
    -------
    Tensor
        In double precision. Row i is zero if other rows explain row i, as they do for a duplicate, and for
        all rows if there are more of them than parameters.

    Raises
    ------
    ModelError
        If a gradient is not finite.
    """
    gram = rows.new_zeros(len(rows), len(rows), dtype=torch.float64)
    for columns in torch.split(rows, _COLUMNS, dim=1):
        gram += columns.double() @ columns.double().T
    if not bool(gram.isfinite().all()):
        raise ModelError("the gradients of a batch are not finite; lower the learning rate")
    lengths = gram.diagonal().sqrt()
    lengths = torch.where(lengths > 0, lengths, 1.0)
    # Rows of length 1 have the same spans, and one tolerance suits them all.
    gram = gram / lengths / lengths[:, None]
    values, vectors = _range_of(gram)
    inverse = _inverse(values, vectors)
    explained = _explained(gram, vectors)
    factors = torch.where(explained, 0.0, 1 / inverse.diagonal().clamp_min(_LEAST_EIGENVALUE))
    return factors[:, None] * inverse * lengths[:, None] / lengths


def _range_of(gram: Float[Tensor, "n n"]) -> tuple[Float[Tensor, " r"], Float[Tensor, "n r"]]:
    """Return the eigenvalues of a Gram matrix that are more than rounding, and their vectors."""
    values, vectors = torch.linalg.eigh(gram)
    kept = values > _LEAST_EIGENVALUE
    return values[kept], vectors[:, kept]


def _inverse(values: Float[Tensor, " r"], vectors: Float[Tensor, "n r"]) -> Float[Tensor, "n n"]:
    """Return the pseudo-inverse P of the Gram matrix.

    The rows of P @ rows are dual to independent rows: row i has the product 1 with row i, and 0 with every
    other. Divided by P_ii, the square of its length, it is the residual of row i projected on the others.
    """
    return (vectors / values) @ vectors.T


def _explained(gram: Float[Tensor, "n n"], vectors: Float[Tensor, "n r"]) -> Bool[Tensor, " n"]:
    """Return which rows are combinations of the others: those with a weight in a linear dependency.

    A dependency with a weight w of row i says that the others alone are dependent up to the length w. If w is
    rounding, they are so without row i, which has no part in it. If w is small but no rounding, row i is a
    combination of the others with weights as large as 1 / w; then it is projected on them, which rounds more.
    """
    shares = 1 - vectors.square().sum(dim=1)
    explained = shares > _LEAST_EIGENVALUE
    for place in torch.nonzero(explained & (shares < _LITTLE)).flatten().tolist():
        others = torch.arange(len(gram), device=gram.device) != place
        values, own = _range_of(gram[others][:, others])
        explained[place] = 1 - ((own.T @ gram[others, place]).square() / values).sum() < _LITTLE
    return explained
