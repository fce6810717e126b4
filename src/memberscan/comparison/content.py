"""The content of comparison.json: two audits, and the second minus the first."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from memberscan.report.content.guarantee_json import Guarantee
from memberscan.report.content.parts import (
    Access,
    Attacker,
    Count,
    Estimate,
    Fraction,
    Label,
    Many,
    Measurement,
    Part,
    Size,
    Text,
)
from memberscan.report.content.variable_json import Variable

COMPARISON_SCHEMA: Final = "memberscan.comparison/1"


class ComparedAudit(Part):
    """One of the two audits."""

    name: Text
    """What it is called here."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of its audit.json."""
    model: Text
    """Name of the model."""
    synthetic: bool
    """Whether the scans are a synthetic phantom."""
    defence: Text | None
    """What protected people in training; null for nothing."""
    guarantee: Guarantee | None
    """What that guarantees; null for nothing."""
    members: Count
    """Subjects in the training set."""
    nonmembers: Count
    """Subjects outside it."""
    references: Count
    """Reference models of the attacker; 0 for none."""
    verdict: Label
    """Its verdict."""
    sentence: Text
    """The verdict in one sentence."""
    smallest_detectable_auc: Fraction
    """The smallest AUC that it would have detected with 80% power."""
    strongest: Text | None
    """The attack that its verdict rests on; null where none ran."""
    mae_members: Size
    """Mean absolute error on members, in the unit; of classes, mean deviance residual."""
    mae_nonmembers: Size
    """The same on non-members."""


class AttackDifference(Part):
    """An attack in both audits, or the strongest of each, with the difference."""

    attack_first: Text
    """The attack in the first audit."""
    attack_second: Text
    """The attack in the second."""
    first: Estimate
    """AUC in the first audit. Of pairs, that of each person's mean score over draws."""
    second: Estimate
    """AUC in the second."""
    difference: Estimate
    """The second minus the first; below zero where the second gives away less."""
    shown: bool
    """Whether the interval of the difference leaves out zero."""


class RateDifference(Part):
    """Share of members found by the strongest attack of each audit at one false-positive rate."""

    fpr: Fraction
    """Share of non-members wrongly named."""
    first: Estimate | None
    """In the first audit; null where too few non-members were scored."""
    second: Estimate | None
    """In the second."""
    difference: Estimate | None
    """The second minus the first, never paired; null where one is missing."""


class ErrorDifference(Part):
    """Mean absolute error of the two models on one side; it has no interval, because audits keep none."""

    side: Literal["members", "non-members"]
    """The side."""
    first: Size
    """In the first audit."""
    second: Size
    """In the second."""
    difference: Measurement
    """The second minus the first."""


class ComparisonContent(Part):
    """Two audits compared; it holds nothing about single people, and adds no verdict."""

    schema_name: Literal["memberscan.comparison/1"] = Field(alias="schema")
    """Name and version of this schema."""
    memberscan: Text
    """Version of memberscan that compared them."""
    attacker: Attacker
    """Who attacks, in both."""
    access: Access
    """What it sees, in both."""
    variable: Variable
    """What both models predict."""
    first: ComparedAudit
    """The audit that was given first, such as before a defence."""
    second: ComparedAudit
    """The other one."""
    paired: bool
    """Whether AUCs are compared person by person."""
    pairing: Text
    """How they are paired, or why they are not."""
    people: Count | None
    """People in both audits; null where that is not known."""
    answer: Text
    """What the strongest attacks of both say, in one sentence."""
    strongest: AttackDifference | None
    """The strongest attack of each audit; null where no attack ran in one of them."""
    attacks: Many[AttackDifference]
    """Every attack that ran in both."""
    rates: Many[RateDifference]
    """True-positive rates at low false-positive rates, of the strongest attacks."""
    errors: Many[ErrorDifference]
    """Errors of the models."""
    caveats: Many[Text]
    """What is not the same in both, and what the comparison cannot show."""
