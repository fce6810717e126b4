"""The content of consortium.json: several audits, joined or side by side."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from memberscan.report.content.federation_json import (
    AfterRound,
    AtCoverage,
    Learner,
    LeftOut,
    Pair,
    SourceInference,
    Victim,
)
from memberscan.report.content.parts import (
    Attacker,
    AuditName,
    AuditNote,
    Count,
    Day,
    Environment,
    Estimate,
    Fraction,
    Label,
    Many,
    Part,
    Secure,
    Text,
)

CONSORTIUM_SCHEMA: Final = "memberscan.consortium/1"


class JoinedAudit(Part):
    """One of the audits that were joined."""

    name: Text
    """Its name."""
    entry: Text
    """Where it went."""
    members: Count
    """Subjects in the training set."""
    nonmembers: Count
    """Subjects outside it."""
    synthetic: bool
    """Whether the scans are a synthetic phantom."""
    verdict: Label
    """Its verdict."""
    sentence: Text
    """The verdict in one sentence."""
    smallest_detectable_auc: Fraction
    """The smallest AUC that it would have detected with 80% power."""
    title: AuditName | None = None
    """What its auditor calls it; null where nothing was given. Absent in early versions."""
    note: AuditNote | None = None
    """Its auditor's note; null where nothing was given. Absent in early versions."""
    date: Day | None = None
    """UTC day on which it was first started. Absent in early versions."""


class JoinedFinding(Part):
    """What one attack showed: in the one audit, or on average over sites."""

    attack: Text
    """Registered name of the attack."""
    sites: Count
    """Audits that the values are means of."""
    auc: Estimate
    """Area under the ROC curve."""
    accuracy: Estimate
    """Balanced accuracy."""


class NotRunBy(Part):
    """An attack that was not run in one of the audits."""

    audit: Text
    """Name of the audit."""
    attack: Text
    """Its name."""
    reason: Text
    """Why it was not run."""


class Entry(Part):
    """What one attacker showed of one federation: one audit, or those of several sites joined."""

    name: Text
    """Its label, unique here."""
    federation: Text | None
    """Label of the federation; the same for all attackers of one transcript; null where one party trained
    alone."""
    model: Text
    """Name of the model."""
    environment: Environment | None
    """How people were spread over learners."""
    attacker: Attacker
    """Who attacks."""
    secure: Secure
    """Whether learners encrypt what they send."""
    visible_to_server: bool
    """Whether the server sees models and not ciphertexts."""
    transcript: Text | None
    """Fingerprint of the transcript."""
    rounds: Count | None
    """Rounds."""
    audits: Many[Text]
    """Names of the audits joined here."""
    learners: Many[Learner]
    """The learners."""
    findings: Many[JoinedFinding]
    """One entry per attack, the strongest first: that of the one audit, or the mean over sites."""
    not_run: Many[NotRunBy]
    """Attacks that were not run."""
    pairs: Many[Pair]
    """Every attack on every attacker-victim pair, Holm's correction over all pairs of all attacks."""
    victims: Many[Victim]
    """The check without the model, by victim."""
    by_round: Many[AfterRound]
    """Attacks by round, pooled over pairs, mean over sites."""
    coverage: Many[AtCoverage]
    """The server's attacks by what it holds, mean over sites."""
    sources: SourceInference | None
    """Source inference, mean over sites."""
    left_out: Many[LeftOut]
    """Who was left out of which round."""
    together: Many[Victim] = ()
    """The check without the model of the people of all victims together, one entry per audit that made it; an
    audit with one victim makes none. Absent in early versions."""


class Comparison(Part):
    """The same model and environment with and without secure aggregation."""

    model: Text
    """Name of the model."""
    environment: Environment | None
    """How people were spread over learners."""
    entries: Many[Text]
    """Names of the entries to compare."""


class Against(Part):
    """The strongest pair of one attacker against one site."""

    entry: Text
    """Name of the entry."""
    pair: Pair | None
    """The strongest pair; null where none could be judged."""
    pairs: Count
    """Pairs against this site that were judged."""
    shown: Count
    """How many of them are shown after Holm's correction, p below 0.05."""
    victim: Victim | None
    """The check without the model."""


class Site(Part):
    """What one site of one federation should know about its own people."""

    name: Text
    """The learner."""
    federation: Text
    """Label of the federation."""
    members: Count | None
    """Subjects that it trained on; null where there are too few people to report."""
    against: Many[Against]
    """The strongest pair of each attacker against it."""


class ConsortiumContent(Part):
    """Several audits joined, for all parties of a federation.

    It holds no subject ids. AUCs and accuracies are fractions, ages are in years.
    """

    schema_name: Literal["memberscan.consortium/1"] = Field(alias="schema")
    """Name and version of this schema."""
    memberscan: Text
    """Version of memberscan that joined them."""
    audits: Many[JoinedAudit]
    """The audits that were joined."""
    entries: Many[Entry]
    """What each attacker showed of each federation."""
    secure: Many[Comparison]
    """The same model and environment with and without secure aggregation."""
    sites: Many[Site]
    """What each site should know about its own people."""
