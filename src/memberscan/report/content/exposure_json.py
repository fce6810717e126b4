"""What audit.json says of how exposed people are, from reference models: of groups, never of one person."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from memberscan.report.content.parts import Count, Estimate, Fraction, Many, Part, Text


class ExposedPeople(Part):
    """How exposed some people are, on average."""

    people: Count | None
    """How many they are; null where there are too few to report."""
    auc: Estimate | None
    """Mean over them of the AUC of each person's likelihood ratio: 0.5 if training on a person changes
    nothing. The interval is over references."""
    tpr: Fraction | None
    """Mean share of right accusations at 1% false ones, by the same likelihood ratios."""
    right: Estimate | None
    """Share of right answers about models that the ratios were not learned from, 0.5 by guessing; null too
    where a person's references are too few to leave some out."""
    reason: Text | None
    """Why the values are null."""


class ExposedGroup(ExposedPeople):
    """How exposed the people of one group are."""

    by: Literal["age", "sex", "site", "scans", "target"]
    """What the groups are made by."""
    group: Text
    """The group: a band of ages or values, the first and the last without an end; or what is written."""


class AtLeast(Part):
    """How many people are at least so exposed."""

    auc: Fraction
    """The AUC."""
    share: Fraction | None
    """Share of people whose AUC is at least that; null where it is that of a few people."""


class ExposedList(Part):
    """A list of exposed people with few false discoveries; it names nobody here."""

    rate: Fraction
    """Expected share of people on it to whom training on them makes no difference."""
    share: Fraction | None
    """Share of people who are on it; null where it is that of a few people."""


class NamedShare(Part):
    """Share of the members whom an attack names."""

    prior: Fraction
    """Share of members among the people asked about."""
    share: Fraction | None
    """Share of members named; null where it is that of a few people."""


class Named(Part):
    """Members of this model whom an attack can name with confidence."""

    attack: Text
    """Registered name of the attack."""
    rate: Fraction
    """Expected share of non-members among those named."""
    members: Count
    """Members it was tried on."""
    shares: Many[NamedShare]
    """Share of members named, by the share of members among the people asked about."""


class RankingStability(Part):
    """How far two halves of the references agree on who is exposed."""

    references: Count
    """References in a half."""
    rank_correlation: Annotated[float, Field(ge=-1, le=1)]
    """Spearman's, of the AUCs of people."""
    overlap: Fraction
    """Share of the most exposed tenth by one half who are among that tenth by the other; 0.1 by chance."""


class OutputLimits(Part):
    """What outputs say at most of who was trained on, as means over people."""

    bits: Estimate | None
    """Of the one bit "which of two people alike was trained on", how much outputs on both say (f-CMI), from
    below; null where nobody has a partner."""
    attained: Estimate
    """Balanced accuracy, about models left out, of the test by the learned laws."""
    best: Estimate
    """Balanced accuracy that no attack on outputs exceeds, if the laws are normal (1/2 + D/2, D the total
    variation distance)."""


class WithReferences(Part):
    """The attack with some number of references."""

    references: Count
    """How many."""
    auc: Estimate
    """Its AUC; the interval is over the choice of references, for this target and these people."""
    measured: bool
    """Whether it was measured; else extrapolated."""


class PowerCurve(Part):
    """An attack by the number of references."""

    attack: Text
    """Registered name of the attack."""
    points: Many[WithReferences]
    """By rising number of references."""
    limit: Estimate | None
    """AUC with any number of references, extrapolated; null where too few were trained to extrapolate."""


class PersonExposure(Part):
    """How exposed people are, from reference models of the target's recipe.

    About models like the target, trained on other halves of the same people. Who was a member of the target
    is not used, apart from ``named``.
    """

    references: Count
    """Reference models."""
    too_few: Count | None
    """People for whom too few references were trained, so that nothing is said of them; null where they are
    a few people."""
    most_exposed: ExposedPeople
    """The most exposed people: one in a hundred, but at least as many as a group that is reported."""
    everybody: ExposedPeople
    """All people with enough references."""
    median: Fraction | None
    """Median AUC of people."""
    at_least: Many[AtLeast]
    """How many people are at least so exposed."""
    groups: Many[ExposedGroup]
    """By target, age, sex, site and number of scans, where these are known and differ."""
    listed: ExposedList
    """The list of exposed people."""
    named: Named | None
    """Members of this model who can be named; null where no attack with references was run."""
    stability: RankingStability | None
    """How stable the ranking of people is; null with fewer than eight references."""
    limits: OutputLimits | None
    """What outputs say at most; null with fewer than six references."""
    power: PowerCurve | None
    """What an attacker with more references would gain; null where it was not measured."""
