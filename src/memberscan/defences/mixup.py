"""Train on mixtures of two scans and of their labels, so that no scan is fitted by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from memberscan.configuration import configuration
from memberscan.defences.defence import Defence, Step
from memberscan.errors import ModelError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from memberscan.cohort import Cohort
    from memberscan.models.regressor import AgeRegressor

_FEWEST = 2


@configuration
class Mixup(Defence):
    """Mixes each scan of a batch, and its label, with another scan of the batch.

    Source: Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond Empirical Risk Minimization" (2018). With a
    kernel, partners are drawn by the distance of labels, after Yao, Wang, Zhang, Zou and Finn, "C-Mixup:
    Improving Generalization in Regression" (2022); here they are drawn within the batch.

    Parameters
    ----------
    alpha
        Of the distribution Beta(alpha, alpha) of a scan's own share: small values mix little.
    kernel
        Width of the Gaussian kernel of label distances, in the unit of the target. By default, each other
        scan of the batch is as likely a partner.
    """

    strengths: ClassVar = ("alpha=1", "alpha=1,kernel=5")

    alpha: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0
    kernel: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    keeps_people_apart: ClassVar[bool] = False

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:  # noqa: ARG002
        """Refuse targets of classes, which have no mean of two labels."""
        if cohort.target.classes:
            raise ModelError(
                f"mixup takes means of two labels, but the target {cohort.target.name!r} has classes; take "
                "another defence"
            )

    def prepared(self, step: Step) -> Step:
        """Return the step with mixtures; a batch of one scan stays as it is."""
        count = len(step.targets)
        if count < _FEWEST:
            return step
        rng = generator_like(step.generator)
        labels = (step.targets * step.model.age_spread).double().cpu().numpy()
        partners = torch.from_numpy(self.partners(labels, rng)).to(step.targets.device)
        own = torch.from_numpy(rng.beta(self.alpha, self.alpha, count)).to(step.targets)
        wide = own.reshape(-1, *[1] * (step.inputs.dim() - 1))
        return replace(
            step,
            inputs=wide * step.inputs + (1 - wide) * step.inputs[partners],
            targets=own * step.targets + (1 - own) * step.targets[partners],
        )

    def partners(self, labels: Float[np.ndarray, " n"], rng: np.random.Generator) -> Int[np.ndarray, " n"]:
        """Draw another scan for each, with probabilities proportional to exp(-d^2 / (2 kernel^2)).

        Parameters
        ----------
        labels
            In the unit of the target; d is the distance of two of them.
        rng
            Random numbers.
        """
        log_weights = np.zeros((len(labels), len(labels)))
        if self.kernel is not None:
            log_weights = -(((labels[:, None] - labels) / self.kernel) ** 2) / 2
        np.fill_diagonal(log_weights, -np.inf)
        # The largest of log-weights plus Gumbel noise is a draw with these weights, and weights that are too
        # small for a number do not matter: the nearest label is drawn then.
        return np.asarray((log_weights + rng.gumbel(size=log_weights.shape)).argmax(axis=1))


def generator_like(generator: torch.Generator) -> np.random.Generator:
    """Return numpy's random numbers, seeded by those of torch."""
    drawn = torch.randint(1 << 62, (1,), generator=generator, device=generator.device)
    return np.random.default_rng(int(drawn))
