"""The content of audit.json: the result of one audit. The published schema is generated from these types."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from memberscan.report.content.bounds_json import HiddenDifference, Overlap
from memberscan.report.content.canaries_json import Canaries
from memberscan.report.content.exposure_json import PersonExposure
from memberscan.report.content.federation_json import Federation
from memberscan.report.content.finding_json import Finding, Gain
from memberscan.report.content.guarantee_json import Guarantee
from memberscan.report.content.parts import (
    Access,
    Attacker,
    AuditName,
    AuditNote,
    Count,
    Day,
    Estimate,
    Fraction,
    Label,
    Many,
    Measurement,
    NotRun,
    Part,
    Size,
    Text,
)
from memberscan.report.content.references_json import References
from memberscan.report.content.variable_json import AGE, Variable

SCHEMA: Final = "memberscan.audit/1"
MOST_FINDINGS = 1000
SMALLEST_CELL_OF_EARLY_VERSIONS = 5

Rule = Literal["simultaneous bound", "permutation", "within strata", "none"]


class Disclosure(Part):
    """The rule by which groups are reported."""

    smallest_cell: Annotated[int, Field(ge=1)]
    """Fewest people on each side of a group whose numbers are given."""


class Target(Part):
    """What was audited."""

    kind: Literal["run", "predictions"]
    """A model in a run directory, or a file of predictions."""
    model: Text
    """Name of the model."""
    parameters: Count | None
    """Trainable parameters; null where unknown."""
    synthetic: bool
    """Whether the scans are a synthetic phantom."""
    randomised: bool
    """Whether memberscan itself drew the members at random."""
    members: Count
    """Subjects in the training set."""
    nonmembers: Count
    """Subjects outside it."""
    scans: Count
    """Scans of all of them."""
    mae_members: Size
    """Mean absolute error on members, in the unit; of classes, mean deviance residual."""
    mae_nonmembers: Size
    """The same on non-members."""
    rmse_members: Size
    """Root mean squared error on members; of classes, root of twice the mean cross-entropy in nats."""
    rmse_nonmembers: Size
    """The same on non-members."""
    predictions_from: Literal["one-pass", "unknown"] | None = None
    """How a file's predictions were made, as its owner says; null for a run. Absent in early versions."""
    variable: Variable = AGE
    """What the model predicts; absent where it is age."""
    defence: Text | None = None
    """What protected people in training, with all its options; absent where nothing did, or unknown."""
    guarantee: Guarantee | None = None
    """What that guarantees; absent where it guarantees nothing."""
    answers: Text | None = None
    """How the defence changes what a service answers to readers of outputs; absent where it does not."""
    taught_on: Count | None = None
    """People held out on whose scans it was trained, as a student; on neither side. Absent for none."""


class Threat(Part):
    """What the attacker is assumed to have."""

    access: Access
    """What it sees of the target."""
    leaked: Fraction
    """Share of the smaller side, or of the held-out people of a federation, whose membership it knows."""
    repeats: Count
    """Draws of the known subjects."""
    attacker: Attacker
    """Who it is: an outsider, or a party of the federation."""
    rounds: Annotated[int, Field(ge=1)] | None
    """How many rounds of a federation it looks at, evenly spaced, the last among them; null for all."""
    known_per_side: Count
    """Fewest people that it knows on a side; see known_members and known_nonmembers."""
    known_members: Count | None = None
    """Known members; null for a learner, who knows all its own people. Absent in early versions."""
    known_nonmembers: Count | None = None
    """Known non-members. Absent in early versions."""
    references: Count | None = None
    """Reference models that it trained; null where there were none. Absent in early versions."""
    checkpoints: Count | None = None
    """Models of the training that it has beside the finished one. Absent where there were none."""

    @property
    def known(self) -> tuple[int | None, int]:
        """Known members and known non-members; early versions say one number for both."""
        if self.known_nonmembers is None:
            return self.known_per_side, self.known_per_side
        return self.known_members, self.known_nonmembers


class Gap(Part):
    """What the difference of training and test error alone predicts, for zero-mean Gaussian residuals."""

    h: Estimate | None
    """RMSE of non-members over that of members, minus 1; null where members have no error at all."""
    auc: Estimate
    """Area under the ROC curve that follows."""
    accuracy: Estimate
    """Balanced accuracy that follows."""


class Null(Part):
    """The attacks with membership shuffled."""

    method: Literal["permutation", "closed form"]
    """How the null distribution was obtained."""
    permutations: Count | None
    """How many shuffles; null for the closed form."""
    p_values: dict[str, Fraction]
    """p-value by attack."""
    mean_auc: dict[str, Fraction] | None
    """Mean AUC over the shuffles by attack, near 0.5 if the audit is sound."""


class Covariate(Part):
    """One covariate alone."""

    name: Text
    """Its name."""
    auc: Fraction | None
    """Cross-validated AUC."""
    p_value: Fraction | None
    """Permutation p-value."""


class Matched(Part):
    """Size of a matched subset to audit again."""

    members: Count
    """Members."""
    nonmembers: Count
    """Non-members."""


class Blind(Part):
    """How well members are told from non-members without the model."""

    auc: Fraction | None
    """Cross-validated AUC of all covariates together; null where there are none."""
    p_value: Fraction | None
    """Permutation p-value."""
    tripped: bool
    """Whether the two sides differ."""
    gates: bool
    """Whether that decides how attacks are judged (not where memberscan drew the members at random)."""
    covariates: Many[Covariate]
    """Each covariate alone."""
    worst: Text | None
    """The covariate that tells the sides apart best."""
    ignored: Many[Text]
    """Columns that were not used."""
    reasons: dict[str, Text] = Field(default_factory=dict)
    """Why, for those of them whose name does not say it."""
    matched: Matched | None
    """Size of a matched subset to audit again."""
    overlap: Overlap | None = None
    """How far the sides overlap; null where that decides nothing, where too few people are alike to judge any
    attack among them, and where a side is small. Absent in early versions."""


class PredictionCheck(Part):
    """Whether the predictions of the two sides differ in a way that training on members does not explain."""

    unlike: bool
    """Whether they do: then they were probably made in different ways."""
    differences: Many[Literal["level", "slope", "spread", "shift"]]
    """In what: members' mean error farther from zero; slope over values farther from one; more spread; levels
    apart by more than half a standard deviation."""
    p_value: Fraction
    """Smallest p-value of these four, one-sided and corrected (Holm)."""


class ImageCheck(Part):
    """Whether a model that was trained elsewhere gets the images that it was trained on."""

    reproduced: Count | None
    """Scans of which it gives the predictions that its makers have; null if these were not given."""
    problem: Literal["no better than the median", "worse than stated"] | None
    """Why it probably gets other images: on the members themselves it errs about as much as always answering
    the same would, or more; or more than was stated of its training. Null if nothing says so."""


class Checks(Part):
    """Checks on the audit itself; none of them is a finding."""

    gap: Gap
    """What the difference of training and test error alone predicts."""
    null: Null
    """The attacks with membership shuffled."""
    blind: Blind
    """How well members are told from non-members without the model."""
    predictions: PredictionCheck | None = None
    """Whether given predictions look made in one way; null for a run. Absent in early versions."""
    images: ImageCheck | None = None
    """Whether a model that was trained elsewhere gets the images that it was trained on; null for others, and
    absent in early versions."""


class Group(Part):
    """The strongest attack among one group of people."""

    by: Literal["age", "sex", "target"]
    """What the groups are made by."""
    group: Text
    """The group: a band of ages or values, the first and the last without an end; a sex; or a class."""
    members: Count | None
    """Members in it; null where there are too few people to report."""
    nonmembers: Count | None
    """Non-members in it; null where there are too few people to report."""
    auc: Estimate | None
    """AUC within the group."""
    accuracy: Estimate | None
    """Balanced accuracy within the group; null too where people are compared within strata."""
    reason: Text | None
    """Why the values are null."""


class Exposure(Part):
    """The attack that the verdict rests on, by group of people."""

    attack: Text | None
    """Which attack; null where none ran."""
    groups: Many[Group]
    """Groups."""


class Quantiles(Part):
    """Quantiles of the true value minus the prediction; null where too few people lie beyond one."""

    n: Count
    """Subjects."""
    q10: Measurement | None
    """10% quantile."""
    q25: Measurement | None
    """25% quantile."""
    q50: Measurement | None
    """Median."""
    q75: Measurement | None
    """75% quantile."""
    q90: Measurement | None
    """90% quantile."""


class Band(Part):
    """Errors of the model in one band of the target, with enough people on both sides."""

    low: float | None
    """From this value; null for the first band, which has no end."""
    high: float | None
    """Below this value; null for the last band, which has no end."""
    members: Quantiles | None
    """Members."""
    nonmembers: Quantiles | None
    """Non-members."""


class Residuals(Part):
    """Errors of the model by value of the target."""

    bands: Many[Band]
    """Bands of the target; none for classes."""


class Basis(Part):
    """What the verdict rests on. It is decided once; whatever shows a strongest attack reads it here."""

    rule: Rule
    """How attacks are judged: by the lower bound that holds for all of them together; by max-T p-values,
    where fewer than 30 people are scored on a side; by that bound within strata of people who are alike
    without the model; or not at all, where no attack ran or too few people are alike."""
    attack: Text | None
    """The strongest attack by that rule; null where no attack ran."""
    bound: Fraction | None
    """Its lower bound, where bounds decide."""
    p_value: Fraction | None
    """Its p-value, where p-values decide."""
    ranking: Many[Text]
    """All attacks that ran, the strongest first."""
    shown: Many[Text]
    """Those of them that are shown to succeed, beyond luck and all attacks tried considered."""


class Verdict(Part):
    """The answer."""

    label: Label
    """One of four; none of them is an all-clear."""
    sentence: Text
    """The verdict in one sentence."""
    smallest_detectable_auc: Fraction
    """The smallest AUC that this audit would have detected with 80% power."""
    basis: Basis | None = None
    """What it rests on. Absent in early versions."""
    would_change: Text | None = None
    """What could give another answer. Absent in early versions."""
    hidden_difference: HiddenDifference | None = None
    """What would explain the finding without a leak; null where members were drawn at random, where no bound
    decides, and where nothing is shown. Absent in early versions."""


class Provenance(Part):
    """How to obtain the same result again."""

    memberscan: Text
    """Version of memberscan."""
    versions: dict[str, Text]
    """Version by library."""
    seed: Count
    """The root seed."""
    cohort: Text | None
    """Fingerprint of the cohort."""
    roles: Text | None
    """Digest of who is a member, made with the secret salt of the run; null where it has none."""
    weights: Text | None
    """Fingerprint of the weights."""
    predictions: Text | None
    """Digest of the predictions file, made with the secret salt of the audit; null where nothing was kept."""
    threads: Count | None
    """Threads used for computing; null where they do not matter."""
    source: Text
    """What was audited, as given."""
    date: Day | None = None
    """UTC day on which the audit was first started. Absent in early versions."""
    name: AuditName | None = None
    """What the auditor calls the audit; null where nothing was given."""
    note: AuditNote | None = None
    """The auditor's note; null where nothing was given."""


class AuditContent(Part):
    """The result of one membership audit.

    It holds no subject ids; groups of few people are joined or hidden, and every number is rounded to a
    step that fits its standard error. AUCs and accuracies are fractions, ages are in years, and errors in the
    unit of the target.
    """

    schema_name: Literal["memberscan.audit/1"] = Field(alias="schema")
    """Name and version of this schema."""
    disclosure: Disclosure = Disclosure(smallest_cell=SMALLEST_CELL_OF_EARLY_VERSIONS)
    """The rule by which groups are reported; absent in early versions."""
    target: Target
    """What was audited."""
    threat: Threat
    """What the attacker is assumed to have."""
    findings: Annotated[tuple[Finding, ...], Field(strict=False, max_length=MOST_FINDINGS)]
    """One entry per attack that ran; for a party of a federation, pooled over its pairs."""
    gains: Many[Gain]
    """Paired differences in AUC between attacks, on the same subjects."""
    not_run: Many[NotRun]
    """Attacks whose needs were not met."""
    checks: Checks
    """Checks on the audit itself; none of them is a finding."""
    exposure: Exposure
    """The attack that the verdict rests on, by group of people."""
    person_exposure: PersonExposure | None = None
    """How exposed people are, from reference models; null where there are none. Absent in early versions."""
    residuals: Residuals
    """Errors of the model by value of the target."""
    verdict: Verdict
    """The answer."""
    federation: Federation | None
    """The federation that trained the target, and what its pairs showed; null where one party trained."""
    provenance: Provenance
    """How to obtain the same result again."""
    references: References | None = None
    """The reference models; null where there were none. Absent in early versions."""
    canaries: Canaries | None = None
    """What canaries show of the guarantee; absent where there are none, or who was in is not known."""
