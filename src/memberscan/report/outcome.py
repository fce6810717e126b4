"""The result of an audit as plain facts and evidence, from which the content of audit.json is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from memberscan.report.content.variable_json import AGE, Variable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from jaxtyping import Bool, Float, Int

    from memberscan.evidence.blind import Blind
    from memberscan.evidence.canary_bounds import CanaryEvidence
    from memberscan.evidence.estimates import Difference, Estimates
    from memberscan.evidence.findings import Finding
    from memberscan.evidence.gap import Gap
    from memberscan.evidence.groups import JudgedScores
    from memberscan.evidence.intervals import Interval
    from memberscan.evidence.overlap import Overlap
    from memberscan.evidence.own_images import OwnImages
    from memberscan.evidence.pairs import PairResult
    from memberscan.evidence.permutation import NullCheck
    from memberscan.evidence.person_exposure import PersonExposure
    from memberscan.evidence.prediction_scale import PredictionScale
    from memberscan.evidence.quantizer_security import QuantizerSecurity
    from memberscan.evidence.recipe_fit import RecipeFit
    from memberscan.evidence.verdict import Verdict
    from memberscan.guarantee import Guarantee
    from memberscan.report.content.parts import Access, Attacker, Environment, Secure

SMALLEST_CELL = 10
"""Fewest people on each side of a group that is reported, unless the user asks for more."""
WITH_WEIGHTS = "stacking+weights"
"""Among the gains, what the weights add to the attack that uses outputs and references."""


@dataclass(frozen=True)
class TargetFacts:
    """What was audited.

    Parameters
    ----------
    kind
        A run directory, or a file of predictions.
    model
        Name of the model.
    parameters
        How many it has; None where unknown.
    synthetic
        Whether the scans are a phantom.
    randomised
        Whether memberscan drew the members at random.
    scans
        Scans of members and non-members.
    ignored
        Columns that were not read as covariates.
    predictions_from
        How given predictions were made, "one-pass" or "unknown"; None for a run.
    left_out
        Columns that must not be covariates, with the reason: see :mod:`memberscan.evidence.admissible`.
    defence, guarantee
        What protected people in training, and what that guarantees; None where nothing did, or unknown.
    answers
        How the defence changes answers of a model that is offered as a service; None where it does not.
    taught_on
        Number of people held out on whose scans the model was trained, as the student of teachers; None
        where there are none.
    """

    kind: Literal["run", "predictions"]
    model: str
    parameters: int | None
    synthetic: bool
    randomised: bool
    scans: int
    ignored: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    predictions_from: Literal["one-pass", "unknown"] | None = None
    defence: str | None = None
    guarantee: Guarantee | None = None
    answers: str | None = None
    taught_on: int | None = None


@dataclass(frozen=True)
class ThreatFacts:
    """The attacker, what it sees, and which people it knows.

    Parameters
    ----------
    access, leaked, repeats, attacker, rounds
        As in :class:`memberscan.ThreatModel`; ``access`` is what the attacker had of this target.
    known_members
        Known members; None for a learner, which knows all its own people.
    known_nonmembers
        Known non-members.
    references
        Reference models that it trained; None where there were none.
    checkpoints
        Models of the training that it has beside the finished one; None where there were none.
    """

    access: Access
    leaked: float
    repeats: int
    attacker: Attacker
    rounds: int | None
    known_members: int | None
    known_nonmembers: int
    references: int | None = None
    checkpoints: int | None = None

    @property
    def known_per_side(self) -> int:
        """Fewest known people on a side; a learner knows more members than non-members."""
        if self.known_members is None:
            return self.known_nonmembers
        return min(self.known_members, self.known_nonmembers)


@dataclass(frozen=True)
class AttackFacts:
    """An attack that ran: its name, what it uses in one line, what it saw, whether it learnt from people."""

    name: str
    title: str
    access: Access
    fitted: bool


@dataclass(frozen=True, eq=False)
class PeopleFacts:
    """What is known of each person, over its scans, without ids.

    Parameters
    ----------
    member
        Whether each person was trained on.
    label
        Mean true value of the target at the scans; of classes, mean position of the class.
    residual, mean_absolute, mean_square
        Mean residual, mean absolute and mean squared residual.
    sex
        As the source writes it, missing where it is not known; None if nothing is known of it.
    site
        The site or scanner, likewise.
    scans
        Number of scans; None if it is not known.
    variable
        What the model predicts.
    age
        Mean age at the scans, years, where it is known and is not the target; NaN for people without one.
    """

    member: Bool[np.ndarray, " people"]
    label: Float[np.ndarray, " people"]
    residual: Float[np.ndarray, " people"]
    mean_absolute: Float[np.ndarray, " people"]
    mean_square: Float[np.ndarray, " people"]
    sex: pd.Series | None = None
    site: pd.Series | None = None
    scans: Int[np.ndarray, " people"] | None = None
    variable: Variable = AGE
    age: Float[np.ndarray, " people"] | None = None


@dataclass(frozen=True)
class ProvenanceFacts:
    """Where it comes from.

    Parameters
    ----------
    source
        Last part of the path of what was audited.
    seed
        Root seed.
    cohort, weights
        Fingerprints; None where there is none.
    roles, predictions
        Digests with a secret key: plain ones would confirm a guess of all members.
    threads
        Threads used for computing; None where they do not matter.
    date, name, note
        UTC day of the first start, and the auditor's name for the audit and note.
    """

    source: str
    seed: int
    cohort: str | None = None
    roles: str | None = None
    weights: str | None = None
    predictions: str | None = None
    threads: int | None = None
    date: str | None = None
    name: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class ReferenceFacts:
    """What the reference models say beside the attacks.

    Parameters
    ----------
    recipe
        How they were trained, in words.
    fit
        How the target compares with them.
    exposure
        How exposed each person is; None where there are too few references, or no attack used them.
    quantizer
        What quantized weights tell of who was in, as far as theory says; None where they are not quantized.
    """

    recipe: str
    fit: RecipeFit
    exposure: PersonExposure | None = None
    quantizer: QuantizerSecurity | None = None


@dataclass(frozen=True)
class LearnerFacts:
    """A learner, how many people it trained on, and the mean and spread of their labels."""

    name: str
    members: int
    age_mean: float
    age_sd: float


@dataclass(frozen=True)
class LeftOutFacts:
    """A learner whose update was not used for the global model of a round."""

    round: int
    learner: str
    reason: str


@dataclass(frozen=True)
class RoundResult:
    """What one attack showed after one round, pooled over pairs."""

    round: int
    attack: str
    auc: Interval
    accuracy: Interval


@dataclass(frozen=True)
class CoverageResult:
    """What one attack showed where the server held a share of each learner's people: ``members`` in all."""

    attack: str
    coverage: float
    members: int
    auc: Interval


@dataclass(frozen=True)
class SourceResult:
    """How often the learner of a person was named correctly: by the attack, by guessing, without a model.

    ``blind`` is None where no classifier without a model could be fitted.
    """

    accuracy: Interval
    chance: float
    blind: Interval | None
    blind_name: str | None


@dataclass(frozen=True, eq=False)
class FederationFacts:
    """A federation, and what one of its parties showed.

    Parameters
    ----------
    environment
        How people were spread over learners; None where that is not known.
    secure
        Whether learners encrypted what they sent.
    simulated
        Whether an active server's broadcasts were simulated.
    rounds, local_epochs
        Rounds, and epochs a learner trained in each.
    transcript
        Fingerprint of the transcript.
    held_out_randomised
        Whether memberscan drew the held-out people at random.
    learners, left_out
        The learners, and who was left out of which round.
    known_nonmembers
        Held-out people that every attacker knows.
    pairs
        Every attack on every pair of an attacker and a victim; none for an outsider.
    unseen
        Why an attack showed nothing of a victim, by attack and victim.
    victims, together
        The check without the model by victim, and of all members against the held-out people where there are
        several victims.
    by_round, coverage, sources
        Attacks by round and by what the server holds, and source inference.
    """

    environment: Environment | None
    secure: Secure
    simulated: bool
    rounds: int
    local_epochs: int | None
    transcript: str
    held_out_randomised: bool
    learners: Sequence[LearnerFacts]
    left_out: Sequence[LeftOutFacts] = ()
    known_nonmembers: int = 0
    pairs: Sequence[PairResult] = ()
    unseen: Mapping[tuple[str, str], str] = field(default_factory=dict)
    victims: Mapping[str, Blind] = field(default_factory=dict)
    together: Blind | None = None
    by_round: Sequence[RoundResult] = ()
    coverage: Sequence[CoverageResult] = ()
    sources: SourceResult | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """The complete result of an audit, with numbers that are not rounded yet.

    Parameters
    ----------
    target, threat, people, provenance
        What was audited, who attacks, what is known of people, where it comes from.
    attacks, not_run
        Attacks that ran, and reasons why others did not, by name.
    findings, null, blind, within, gap, verdict
        What the evidence says; no findings and no null where no attack could be run.
    exposed
        Scores of the strongest attack, as the verdict judges them; None where no attack ran.
    gains
        What the weights add.
    federation
        Of a federated run; else None.
    smallest_cell
        Fewest people on each side of a group that is reported.
    prediction_scale
        Whether the predictions of the two sides seem to have been made in one way; None for a run.
    images
        Whether a model that was trained elsewhere gets the images that it was trained on; else None.
    overlap
        How far the sides overlap in the covariates; None where attacks are not judged within strata, or too
        few people are alike to judge any.
    references
        The reference models; None where there are none.
    """

    target: TargetFacts
    threat: ThreatFacts
    people: PeopleFacts
    provenance: ProvenanceFacts
    attacks: Mapping[str, AttackFacts]
    not_run: Mapping[str, str]
    findings: Sequence[Finding]
    null: NullCheck | None
    blind: Blind
    within: Estimates | None
    gap: Gap
    verdict: Verdict
    exposed: JudgedScores | None
    gains: Sequence[Difference] = ()
    federation: FederationFacts | None = None
    smallest_cell: int = SMALLEST_CELL
    prediction_scale: PredictionScale | None = None
    images: OwnImages | None = None
    overlap: Overlap | None = None
    references: ReferenceFacts | None = None
    canaries: CanaryEvidence | None = None

    @property
    def person_exposure(self) -> PersonExposure | None:
        """How exposed each person is; None where references do not tell."""
        return None if self.references is None else self.references.exposure
