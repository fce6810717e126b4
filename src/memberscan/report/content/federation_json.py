"""What audit.json says of a federation, and consortium.json of several: parties, pairs, rounds."""

from __future__ import annotations

from memberscan.report.content.parts import (
    Attacker,
    Count,
    Environment,
    Estimate,
    Fraction,
    Many,
    Measurement,
    Part,
    Secure,
    Text,
)


class Learner(Part):
    """One learner of a federation."""

    name: Text
    """Its name."""
    members: Count | None
    """Subjects that it trained on; null where there are too few people to report."""
    age_mean: Measurement | None
    """Mean of their values of the target, such as age in years; null for classes, and where there are too few
    people to report."""
    age_sd: Measurement | None
    """Standard deviation of the same."""


class Pair(Part):
    """What one attack showed of one victim's subjects to one attacker, against held-out subjects."""

    attack: Text
    """Registered name of the attack."""
    attacker: Text
    """The learner that attacks, or what the attacker is."""
    victim: Text
    """The learner whose subjects are asked about; "all" where learners cannot be told apart."""
    members: Count | None
    """The victim's subjects that were scored; null where there are too few people to report."""
    nonmembers: Count | None
    """Held-out subjects that were scored; null where there are too few people to report."""
    auc: Estimate | None
    """Area under the ROC curve."""
    accuracy: Estimate | None
    """Balanced accuracy."""
    p_value: Fraction | None
    """One-sided permutation p-value of this pair alone: 1, or 7, 3 or 1.5 times a power of ten, for its
    stretch of 1-2-5 steps."""
    p_holm: Fraction | None
    """The same after Holm's correction over all pairs of all attacks; of audits of early versions, over
    all pairs of this attack."""
    reason: Text | None
    """Why the values are null."""


class Victim(Part):
    """How well one victim's subjects are told from held-out ones without the model."""

    name: Text
    """The learner."""
    auc: Fraction | None
    """Cross-validated AUC of all covariates together; null where there are none."""
    p_value: Fraction | None
    """Permutation p-value, corrected for the number of victims (Holm); not corrected in early versions."""
    tripped: bool
    """Whether its subjects differ from the held-out ones."""
    gates: bool
    """Whether that decides anything (not where memberscan drew the members at random)."""
    worst: Text | None
    """The covariate that tells them apart best."""


class AfterRound(Part):
    """One attack after one round, pooled over pairs."""

    round: Count
    """The round; 0 is before any training."""
    attack: Text
    """Registered name of the attack."""
    auc: Estimate | None
    """Area under the ROC curve."""
    accuracy: Estimate | None
    """Balanced accuracy."""


class AtCoverage(Part):
    """One attack by a server that holds candidates for a share of the people a learner trained on."""

    attack: Text
    """Registered name of the attack."""
    coverage: Fraction
    """That share."""
    auc: Estimate | None
    """Area under the ROC curve."""


class SourceInference(Part):
    """Which learner has this person? An attack on the models of all learners at once."""

    accuracy: Estimate
    """Accuracy of the attack."""
    chance: Fraction
    """Accuracy of a guess."""
    blind: Estimate | None
    """Accuracy of a classifier that never sees a model."""
    blind_name: Text | None
    """What that classifier sees."""


class LeftOut(Part):
    """A learner whose part was left out of a round."""

    round: Count
    """The round."""
    learner: Text
    """The learner."""
    reason: Text
    """Why."""


class Federation(Part):
    """A federation, and what each pair of its parties showed."""

    attacker: Attacker
    """Who attacks."""
    environment: Environment | None
    """How people were spread over learners; null where that is not known."""
    secure: Secure
    """Whether learners encrypt what they send."""
    visible_to_server: bool
    """Whether the server sees models and not ciphertexts."""
    simulated: bool
    """Whether what is broadcast was changed in a simulation, as an active server would; no real federation
    was disturbed."""
    rounds: Count
    """Rounds."""
    local_epochs: Count | None
    """Epochs a learner trains in each round."""
    transcript: Text
    """Fingerprint of the transcript."""
    known_nonmembers: Count
    """Held-out subjects that every attacker knows to be non-members; they are not scored."""
    learners: Many[Learner]
    """The learners."""
    left_out: Many[LeftOut]
    """Who was left out of which round."""
    pairs: Many[Pair]
    """Every attack on every attacker-victim pair."""
    victims: Many[Victim]
    """The check without the model, by victim."""
    by_round: Many[AfterRound]
    """Attacks by round, pooled over pairs."""
    coverage: Many[AtCoverage]
    """The server's attacks by what it holds; empty for others."""
    sources: SourceInference | None
    """Source inference; null where it was not run."""
    held_out_randomised: bool | None = None
    """Whether the held-out people were drawn at random by memberscan. Absent in early versions."""
    together: Victim | None = None
    """The check without the model of the people of all victims together; null where there is one victim.
    Absent in early versions."""
