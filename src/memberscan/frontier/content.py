"""The content of frontier.json: error and leakage of every point, and nothing about single people."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from memberscan.report.content.guarantee_json import Guarantee
from memberscan.report.content.parts import (
    Access,
    Attacker,
    Count,
    Environment,
    Estimate,
    Fraction,
    Many,
    Part,
    Size,
    Text,
)
from memberscan.report.content.variable_json import Variable

FRONTIER_SCHEMA: Final = "memberscan.frontier/1"


class TruePositiveRate(Part):
    """Share of members found at one false-positive rate, the mean over seeds."""

    fpr: Fraction
    """Share of non-members wrongly named."""
    value: Fraction | None
    """The estimate; null where too few non-members were scored to resolve this rate."""
    low: Fraction | None
    """Mean of the lower ends of the seeds' 95% intervals over people: too wide for a mean, rather than too
    narrow."""
    high: Fraction | None
    """Mean of their upper ends."""


class Leakage(Part):
    """What the strongest attack found."""

    attacks: Many[Text]
    """The attack in each seed: the one that found most with the other seeds, so that it is not chosen by
    luck; with one seed, the one that the verdict rests on."""
    auc: Estimate
    """Area under the ROC curve, mean over seeds; 95% interval over seeds and people, with one seed over
    people only."""
    rates: Many[TruePositiveRate]
    """True-positive rates at low false-positive rates."""


class Change(Part):
    """What a point changes compared with the undefended model: the point minus it, on the same people."""

    error_difference: Estimate
    """In mean absolute error on non-members, with its 95% interval over seeds and people."""
    auc_difference: Estimate
    """In AUC, likewise."""


class Dominating(Part):
    """A line to beat that has no more error and no more leakage, and less of one."""

    point: Text
    """The name of that point."""
    family: Text
    """Its kind."""
    certain: bool
    """Whether both differences are above zero by their paired intervals, corrected for the points of that
    kind; else it is so in these estimates only."""


class FrontierPoint(Part):
    """One training recipe."""

    name: Text
    """Its name."""
    family: Text
    """Its kind: "undefended", "early stopping", the name of its defence, or the settings that it changes."""
    defence: Text | None
    """The defence with all its parameters; null for none."""
    settings: dict[str, str | float | int]
    """Changed settings of the training and the model."""
    failed: Text | None
    """Why it failed; null if it did not. Then all that follows is null or empty."""
    error: Estimate | None
    """Mean absolute error on non-members, mean over seeds; 95% interval over seeds and people."""
    error_members: Estimate | None
    """The same on members."""
    everybody: Leakage | None
    """Leakage of all people."""
    most_exposed: Leakage | None
    """Leakage of the tenth of people whom this point's own references show to be exposed most; their
    membership of the attacked model is not used to choose them."""
    most_exposed_reason: Text | None
    """Why there is none."""
    verdicts: dict[str, Count]
    """How many seeds' audits had which verdict."""
    guarantee: Guarantee | None
    """What the defence guarantees; null for nothing."""
    on_frontier: bool
    """Whether no other point has no more error and no more leakage, and less of one, in these estimates."""
    dominated_by: Many[Dominating]
    """The lines to beat (undefended, early stopping, dp-sgd) that dominate it."""
    change: Change | None
    """Compared with the undefended model; null for that one, and where it failed."""


class Federation(Part):
    """The federations of a frontier."""

    learners: Count
    """Learners of each."""
    rounds: Count
    """Rounds of the undefended federations."""
    environment: Environment
    """How people were divided among learners."""
    parties: Many[Attacker]
    """The parties as which the same federations were attacked; each has a frontier of its own."""


class FrontierContent(Part):
    """Error against leakage, of every defence at several strengths."""

    schema_name: Literal["memberscan.frontier/1"] = Field(alias="schema")
    """Name and version of this schema."""
    memberscan: Text
    """Version of memberscan."""
    model: Text
    """Name of the model."""
    cohort: Text
    """Fingerprint of the cohort."""
    synthetic: bool
    """Whether the scans are a synthetic phantom."""
    variable: Variable
    """What the model predicts."""
    seeds: Count
    """How often each point was trained, each time on another draw of the same people."""
    members: Count
    """People that each model was trained on, in a federation by all learners together."""
    nonmembers: Count
    """People outside, on whom error and false alarms are measured."""
    validation: Count
    """People held out to choose an epoch or to train a student; on neither side."""
    references: Count
    """Reference models of each point and seed, trained with the point's own recipe."""
    attacker: Attacker
    """Who attacks."""
    access: Access
    """What the attacker sees."""
    federation: Federation | None
    """The federations; null for models of one training each."""
    attacks: Many[Text]
    """The attacks that were tried on every point."""
    smallest_cell: Count
    """Fewest people on each side of a group that is reported."""
    constant_error: Size
    """Mean absolute error on non-members of the one answer that is best for all."""
    points: Many[FrontierPoint]
    """The points, in their order."""
