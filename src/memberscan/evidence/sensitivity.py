"""How large a hidden difference between the sides would have to be to explain a finding without a leak."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class HiddenDifference:
    """The least difference between members and non-members, in what nobody recorded, that explains a finding.

    Parameters
    ----------
    two_kinds
        If the hidden covariate has two values: the share of members less that of non-members who have one of
        them, provided that the attack ranks all who have it above all others.
    any_kinds
        If it has any number of values: the total variation distance of its distributions on the two sides,
        which is the share of members in excess, over all values of which members have more. The attack would
        have to rank all values by how much more frequent they are among members.

    Notes
    -----
    Suppose that there is no leak: a score depends on the hidden covariate and on nothing else that differs
    between the sides. With two values, of which shares p1 of members and p0 of non-members have the first,
    and A the chance that the score of somebody with the first is above that of somebody with the second,

        AUC = 1/2 + (p1 - p0) (A - 1/2),

    since pairs of the same value are won half of the time, and of the others a share p1 (1 - p0) with
    probability A and a share p0 (1 - p1) with probability 1 - A. So a lower bound L of the AUC needs
    p1 - p0 >= (L - 1/2) / (A - 1/2), which is 2 L - 1 at A = 1 and more below. Both the difference of shares
    and 2 A - 1 are sqrt(2 L - 1) where they are equal.

    With any number of values, the score is a test of one distribution against another at total variation
    distance t, so that TPR <= min(1, FPR + t) and AUC <= 1 - (1 - t)^2 / 2, which three values reach. Hence
    t >= 1 - sqrt(2 - 2 L).

    Within strata both bounds hold for the mean of the differences of the strata, weighted by their pairs: the
    first is linear and the second concave. The same is true of means over draws or pairs of parties.

    This is to an AUC what E-values are to a risk ratio (VanderWeele and Ding, Annals of Internal Medicine
    167, 2017), in the sense of Rosenbaum (Observational Studies, 2002): it says how strong confounding would
    have to be, and nothing about whether there is any.
    """

    two_kinds: float
    any_kinds: float


def least_hidden_difference(bound: float) -> HiddenDifference:
    """Return the least hidden difference that explains an AUC of which ``bound`` is a lower bound.

    Both numbers are 0 where the bound does not exceed one half: then there is nothing to explain.
    """
    low = max(0.5, bound)
    return HiddenDifference(2 * low - 1, 1 - math.sqrt(2 - 2 * low))
