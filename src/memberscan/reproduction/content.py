"""The content of reproduction.json: the paper's tables on another cohort, and its claims."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from memberscan.report.content.parts import Count, Estimate, Fraction, Many, Part, Size, Text

REPRODUCTION_SCHEMA: Final = "memberscan.reproduction/1"
Outcome = Literal["agrees", "disagrees", "cannot be judged"]


class Setting(Part):
    """One setting of the paper, and what was done here."""

    name: Text
    """What is set."""
    paper: Text
    """In the paper."""
    here: Text
    """Here."""
    same: bool
    """Whether it is the same."""


class CentralRow(Part):
    """One attack on one model that was trained in one place."""

    model: Text
    """The model."""
    attack: Text
    """The attack."""
    access: Literal["outputs", "weights"]
    """What the attack sees."""
    accuracy: Estimate
    """Balanced accuracy, mean over draws of members; 95% interval over draws and people."""
    auc: Estimate
    """Area under the ROC curve, likewise."""


class Length(Part):
    """One model after some epochs of training, means over draws."""

    model: Text
    """The model."""
    epochs: Count
    """How long it was trained; the last epoch is kept."""
    error_members: Size
    """Mean absolute error on members, years."""
    error_nonmembers: Size
    """Mean absolute error on non-members, years."""
    accuracy: Estimate
    """Balanced accuracy of the black-box attack on prediction and label."""


class RoundAccuracy(Part):
    """Balanced accuracy of learners' attacks after one round."""

    round: Count
    """The round, from 1."""
    accuracy: Estimate
    """Of the black-box attack, pooled over pairs of learners, mean over draws."""


class Curve(Part):
    """One model, federated in one environment, and attacked by its learners."""

    model: Text
    """The model."""
    environment: Text
    """How people were spread over learners."""
    failed: Text | None
    """Why there are no results; null if there are."""
    rounds: Many[RoundAccuracy]
    """Accuracy by round."""
    white_box: Estimate | None
    """Accuracy of the white-box attack on the last model; null where it found nothing to learn from."""
    told_blind: Count
    """In the draw where they are most: learners whose people can be told from held-out ones by covariates,
    without the model."""


class Claim(Part):
    """One claim of the paper, and whether the figures here agree with it."""

    name: Text
    """A short name of the claim, the same for both models and all environments."""
    claim: Text
    """What the paper claims, in one sentence."""
    model: Text | None
    """The model that it is about; null for both."""
    environment: Text | None
    """The federated environment; null where it is about training in one place."""
    measure: Text
    """The figure by which it is judged."""
    paper: Text
    """The paper's figure, where it is known."""
    rule: Text
    """Which values agree with the claim."""
    found: Estimate | None
    """The figure here, with its 95% interval; null where there is none."""
    outcome: Outcome
    """Agrees if the whole interval does, disagrees if no value in it does, and else cannot be judged."""
    reason: Text | None
    """Why it cannot be judged, where that is not the width of the interval."""


class Failed(Part):
    """What could not be carried out."""

    what: Text
    """Model, environment and draw."""
    reason: Text
    """Why."""


class ReproductionContent(Part):
    """The experiments of one paper on another cohort, laid beside its claims."""

    schema_name: Literal["memberscan.reproduction/1"] = Field(alias="schema")
    """Name and version of this schema."""
    memberscan: Text
    """Version of memberscan."""
    paper: Text
    """Short name of the paper."""
    cohort: Text
    """Fingerprint of the cohort."""
    synthetic: bool
    """Whether the scans are a synthetic phantom."""
    people: Count
    """People in the cohort."""
    members: Count
    """People that each model in one place was trained on."""
    nonmembers: Count
    """People that it was not trained on."""
    validation: Count
    """People held out to choose its epoch; on neither side."""
    draws: Count
    """How often members were drawn anew, and a model trained on them, in one place."""
    federated_draws: Count
    """How often each federation was drawn anew, and trained."""
    learners: Count
    """Learners of each federation."""
    length: Fraction
    """Share of the paper's epochs and rounds."""
    settings: Many[Setting]
    """Settings of the paper that are known, beside those here."""
    central: Many[CentralRow]
    """The centralized table."""
    lengths: Many[Length]
    """Error and leakage by length of training."""
    curves: Many[Curve]
    """The federations."""
    claims: Many[Claim]
    """The paper's claims."""
    failed: Many[Failed]
    """What could not be carried out."""
