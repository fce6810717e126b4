"""The content of dossier.json: what a person needs who decides on the release of a model."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from memberscan.report.content.parts import (
    AuditName,
    AuditNote,
    Count,
    Day,
    Estimate,
    Fraction,
    Label,
    Many,
    Part,
    Text,
)

DOSSIER_SCHEMA: Final = "memberscan.dossier/1"

Context = Literal["internal", "api", "open-weights", "federation"]
Outcome = Literal["leak found", "evidence is missing", "no leak shown"]
Kind = Literal["audit", "consortium", "inspection", "frontier"]
Sees = Literal["outputs", "weights", "rounds", "updates", "sums", "files"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Source(Part):
    """Where a statement comes from."""

    file: Text
    """The file, relative to the dossier."""
    key: Text
    """The key in that file, as in ``target.members`` or ``findings[0].auc``; empty for the whole file."""


class Fact(Part):
    """One statement, with its source."""

    text: Text
    """The statement."""
    source: Source
    """Where it comes from."""


class InputFile(Part):
    """One file that the dossier was made from."""

    file: Text
    """Its copy, relative to the dossier."""
    kind: Kind
    """What it is."""
    sha256: Sha256
    """SHA-256 of its bytes."""
    size: Count
    """Its size in bytes."""
    about: Text
    """What it says, in a few words."""


class Declared(Part):
    """What the person who made the dossier declared; nothing of it is inferred."""

    context: Context
    """How the model is to be released."""
    meaning: Text
    """That context in words."""
    name: AuditName | None
    """What the release is called; null where nothing was given."""
    note: AuditNote | None
    """A note; null where nothing was given."""
    date: Day
    """UTC day on which the dossier was made."""


class Average(Part):
    """What the strongest attack of an attacker found, over all people."""

    attack: Text
    """Registered name of the attack."""
    auc: Estimate
    """Area under the ROC curve, as the verdict judges it; of several sites, their mean."""
    bound: Fraction | None
    """Lower bound that holds for all attacks of the audit together; null where sites are joined."""
    fpr: Fraction | None
    """The lowest false-positive rate that enough non-members resolve; null if none."""
    tpr: Estimate | None
    """Share of members found at that rate."""
    source: Source
    """Where it comes from."""


class ExposedGroupFound(Part):
    """The group of people whom the attack of the verdict tells apart best."""

    by: Text
    """What the groups are made by."""
    group: Text
    """The group."""
    attack: Text
    """The attack, or "reference models" for the likelihood ratios of these."""
    auc: Estimate
    """Area under the ROC curve within the group."""
    source: Source
    """Where it comes from."""


class ExposedPeopleFound(Part):
    """The most exposed people, by reference models."""

    people: Count
    """How many they are."""
    auc: Estimate
    """Mean over them of the AUC of each person's likelihood ratio."""
    tpr: Fraction | None
    """Mean share of right accusations at 1% false ones."""
    source: Source
    """Where it comes from."""


class AttackerRow(Part):
    """One attacker whom the context implies, and what is known of what it can learn."""

    name: Text
    """Who it is."""
    sees: Sees
    """What it sees."""
    references: bool
    """Whether it trains reference models."""
    means: Text
    """What it needs, in words."""
    state: Literal["audited", "not audited", "sees nothing"]
    """Whether it was audited; "sees nothing" where all that it receives is encrypted."""
    outcome: Label | None
    """The verdict for this attacker, the gravest of several audits; null where it was not audited."""
    reason: Text
    """Why the outcome is what it is, or what to run where the attacker was not audited."""
    resources: Many[Text]
    """What the attacker was given in the audit that counts: known people, references, rounds."""
    smallest_detectable_auc: Fraction | None
    """Smallest AUC that the audit would have detected with 80% power."""
    average: Average | None
    """Over all people."""
    group: ExposedGroupFound | None
    """The most exposed group; null where groups were too small or not compared."""
    person: ExposedPeopleFound | None
    """The most exposed people; null where no references say."""
    audits: Many[Source]
    """The audits that it was decided from."""


class CoverageRow(Part):
    """One class of attack: whether it is in scope, and whether it was run."""

    name: Text
    """The class."""
    what: Text
    """What such an attack does."""
    scope: Literal["in scope", "limited", "does not apply"]
    """Whether the class applies to this kind of model and context."""
    scope_reason: Text
    """Why."""
    execution: Literal["run", "not run"]
    """Whether it was run. In scope and not run means that nothing is known."""
    result: Text
    """What was run and found, or what to do."""
    sources: Many[Source]
    """Where it comes from."""


class Measure(Part):
    """One measure that protects people, in training or at output."""

    stage: Literal["training", "output", "federation"]
    """Where it acts."""
    what: Text
    """The measure with its options."""
    statement: Text | None
    """What it guarantees; null for nothing."""
    enforced_by: Text
    """Who applied it, and must be trusted for it; "not stated" where the file does not say."""
    read_back: Text
    """Whether canaries or attacks contradict the guarantee, in words."""
    contradicted: bool
    """Whether they do."""
    source: Source
    """Where it comes from."""


class Alternative(Part):
    """A training recipe on the frontier of error and leakage: what else could be released."""

    name: Text
    """Its name."""
    error: Estimate
    """Mean absolute error on non-members."""
    auc: Estimate
    """AUC of the strongest attack."""
    unit: Text
    """Unit of the error; empty for classes."""
    enforced_by: Text | None
    """Who applied its guarantee; null where it has none."""
    source: Source
    """Where it comes from."""


class ControlRow(Part):
    """One negative control or check on an audit itself."""

    name: Text
    """What was checked."""
    state: Literal["as expected", "not as expected", "not run"]
    """Whether it came out as it must if the audit is sound."""
    result: Text
    """What came out, or why it was not run."""
    source: Source | None
    """Where it comes from; null where it was not run."""


class FileFinding(Part):
    """Something about people that a file of the release holds."""

    grade: Literal["leaks", "to be looked at", "note"]
    """How grave it is."""
    kind: Text
    """What it is."""
    file: Text
    """The file, and the place in it."""
    people: Count | None
    """How many people it is about, or at most how many; null if that cannot be told."""
    text: Text
    """What was found."""
    mend: Text
    """What to do about it."""
    source: Source
    """Where it comes from."""


class ReleasedFile(Part):
    """One file that was inspected, so that it can be checked that this one is released."""

    file: Text
    """The file, as a path within the release."""
    size: Count
    """Its bytes."""
    sha256: Sha256
    """SHA-256 of its bytes."""


class Files(Part):
    """What the files of the release give away, from the inspection."""

    verdict: Text
    """The verdict of the inspection in words."""
    outcome: Label
    """The same as the verdict on an attacker who opens the files; "inconclusive" where a person must look."""
    read: Count
    """Files that were read."""
    unread: Count
    """Files of which a part, or all, was not read."""
    proven: bool
    """Whether they were compared with a cohort, so that matches are proven and not guessed from names."""
    findings: Many[FileFinding]
    """What was found, the worst first."""
    released: Many[ReleasedFile]
    """The files that were inspected, without those within archives."""
    source: Source
    """Where it comes from."""


class Element(Part):
    """One thing that documentation must hold: what is known, and what only the controller knows."""

    place: Text
    """Where it is asked for."""
    asks: Text
    """What is asked for, in short."""
    facts: Many[Fact]
    """What is known, each with its source."""
    blank: Text
    """What only the controller can add."""


class Framework(Part):
    """A text that asks for documentation, with its elements."""

    name: Text
    """The text."""
    about: Text
    """What it is used for here."""
    elements: Many[Element]
    """Its elements."""


class Decision(Part):
    """An aid for the decision. It is no legal advice, and no decision."""

    outcome: Outcome
    """One of three; none of them is an all-clear."""
    sentence: Text
    """It in one or two sentences."""
    found: Many[Fact]
    """What was found for the declared context."""
    missing: Many[Text]
    """What is missing for a decision in that context, each with what to do."""
    options: Many[Text]
    """What could be done; the choice is the controller's."""
    beyond: Many[Fact]
    """What was found about attackers who see more than the context implies."""


class OtherContext(Part):
    """What the same inputs say in a context that was not declared."""

    context: Context
    """The context."""
    outcome: Outcome
    """The outcome of the aid for the decision there."""
    succeeding: Many[Text]
    """Attackers of that context who were shown to succeed."""
    unanswered: Many[Text]
    """Attackers of that context who were not audited, or not with a clear answer."""


class DossierContent(Part):
    """What a person needs who decides on the release of a model.

    It holds no ids of people. AUCs, rates and shares are fractions.
    """

    schema_name: Literal["memberscan.dossier/1"] = Field(alias="schema")
    """Name and version of this schema."""
    memberscan: Text
    """Version of memberscan that made it."""
    declared: Declared
    """What was declared."""
    model: Text
    """Name of the model."""
    predicts: Text | None
    """What the model predicts; null where joined audits do not say."""
    synthetic: bool
    """Whether the scans of any audit are a synthetic phantom."""
    people: Text
    """Who was trained on and who was compared, in words."""
    decision: Decision
    """The aid for the decision."""
    other_contexts: Many[OtherContext]
    """What the same inputs say in the other contexts."""
    attackers: Many[AttackerRow]
    """The attackers whom the context implies."""
    coverage: Many[CoverageRow]
    """Classes of attack."""
    files: Files | None
    """What the files give away; null where they were not inspected."""
    measures: Many[Measure]
    """Measures that protect people."""
    alternatives: Many[Alternative]
    """Recipes on the frontier; empty without a frontier."""
    controls: Many[ControlRow]
    """Negative controls and checks on the audits themselves."""
    frameworks: Many[Framework]
    """What documentation must hold."""
    limits: Many[Text]
    """What all this cannot show."""
    inputs: Many[InputFile]
    """The files that it was made from."""
