"""What audit.json says of each attack: areas, rates where false alarms are rare, and what access adds."""

from __future__ import annotations

from memberscan.report.content.parts import Access, Auc, Count, Estimate, Fraction, Many, Part, Text


class PositivePredictiveValue(Part):
    """Share of those named who are members, for one share of members among the people tested."""

    prior: Fraction
    """Share of members among the people tested."""
    value: Fraction | None
    """Positive predictive value."""
    low: Fraction | None
    """Lower end of the 95% interval."""
    high: Fraction | None
    """Upper end of the 95% interval."""


class Rate(Part):
    """Share of members found at one false-positive rate."""

    fpr: Fraction
    """Share of non-members wrongly named."""
    value: Fraction | None
    """The estimate; null where too few non-members were scored to resolve this rate."""
    low: Fraction | None
    """Lower end of the 95% interval."""
    high: Fraction | None
    """Upper end of the 95% interval."""
    reason: Text | None
    """Why the value is null."""
    ppv: Many[PositivePredictiveValue]
    """Share of those named who are members, by the share of members among the people tested."""


class Roc(Part):
    """A few points of the ROC curve, at rates that enough non-members reach.

    Both lists rise and are equally long.
    """

    fpr: Many[Fraction]
    """False-positive rates."""
    tpr: Many[Fraction]
    """True-positive rates."""


class Scored(Part):
    """Subjects scored in some draw."""

    members: Count | None
    """Members; null where subtracting them from all would count a small group."""
    nonmembers: Count
    """Non-members."""


class WithinStrata(Part):
    """The attack judged within strata of the blind score."""

    auc: Auc
    """Area under the ROC curve among people of one stratum."""


class Finding(Part):
    """What one attack showed, on subjects it was not fitted on."""

    attack: Text
    """Registered name of the attack."""
    auc: Auc
    """Area under the ROC curve."""
    accuracy: Estimate
    """Balanced accuracy."""
    tpr: Many[Rate]
    """True-positive rates at low false-positive rates."""
    roc: Roc
    """A few points of the ROC curve."""
    scored: Scored
    """Subjects scored in some draw."""
    title: Text
    """One line: what the attack uses."""
    access: Access
    """What the attack sees of the target."""
    fitted: bool
    """Whether the attack learns from subjects whose membership it knows."""
    p_value: Fraction | None
    """Max-T permutation p-value over all attacks of this audit: 1, or 7, 3 or 1.5 times a power of ten, for
    its stretch of 1-2-5 steps."""
    within_strata: WithinStrata | None
    """The attack judged among people who are alike without the model; null where the two sides were not
    found to differ."""


class Gain(Part):
    """A paired difference in AUC between two attacks."""

    attack: Text
    """The attack that sees more."""
    over: Text
    """The attack it is compared with."""
    difference: Estimate
    """By how much its AUC is greater."""
