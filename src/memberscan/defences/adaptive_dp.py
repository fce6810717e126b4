"""Differentially private training with decaying steps, and more noise in the small ones, at equal epsilon."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from memberscan.configuration import configuration
from memberscan.defences.dp_sgd import DPSGD


@configuration
class AdaptiveDP(DPSGD):
    """:class:`.DPSGD` with a learning rate that decays, and noise that grows as it does.

    The learning rate of epoch t, counted from 1, is the configured one times 2^(-decay floor(log2 t)): about
    t^(-decay), constant between powers of two. The noise of a step is in proportion to
    (learning rate)^(-adaptation).

    Source: Wu, Wang, Cristali, Gu and Willett, "Adaptive Differentially Private Empirical Risk Minimization"
    (2021, arXiv 2110.07435), of which only the abstract was read; the rule is derived in Notes.

    Parameters
    ----------
    epsilon, noise, delta, clip, center, spread, feature_center, feature_spread
        As of :class:`.DPSGD`; ``noise`` is that of the first epoch.
    decay
        Exponent of the decay of the learning rate; with 0, it is constant, and this is dp-sgd.
    adaptation
        Exponent of the noise. With 0, the noise is constant, so that an effect of the decay alone can be
        told from one of the adapted noise.

    Notes
    -----
    Step t, of size e_t and with noise of standard deviation s a_t, adds noise of variance e_t^2 s^2 a_t^2 to
    the weights, and costs privacy in proportion to 1 / (s^2 a_t^2) as long as that is small. By the
    Cauchy-Schwarz inequality, (sum e_t)^2 <= (sum e_t^2 a_t^2) (sum 1 / a_t^2), with equality only if
    a_t^2 is in proportion to 1 / e_t. So the exponent 1/2 adds the least noise at a given cost of privacy.
    This holds for gradient descent. Adam divides steps by their recent size, for which it is a rule of thumb.
    Epsilon does not depend on it: the accountant composes it over the steps, whatever a_t is.
    """

    name: ClassVar[str] = "adaptive-dp"

    decay: Annotated[float, Field(ge=0, le=1)] = 0.5
    adaptation: Annotated[float, Field(ge=0, le=1)] = 0.5

    def step_size(self, epoch: int) -> float:
        """Return 2^(-decay k), where 2^k is the largest power of two up to epoch + 1.

        Steps between powers of two have the same noise, so that the accountant, which takes a noticeable time
        for each noise, is asked for few.
        """
        return float(2.0 ** (-self.decay * ((epoch + 1).bit_length() - 1)))

    def relative_noise(self, epoch: int) -> float:
        """Return the noise in an epoch, divided by that in the first epoch."""
        return float(self.step_size(epoch) ** -self.adaptation)
