"""What every target of an audit has: scans, members, covariates, and its attacker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from memberscan import seeds
from memberscan.errors import MisalignedError
from memberscan.evidence.admissible import copies_of_membership
from memberscan.evidence.own_images import OwnImages
from memberscan.people import People
from memberscan.references.ensemble import Ensemble
from memberscan.target_variable import AGE, TargetVariable
from memberscan.targets import known
from memberscan.targets.known import Comparison
from memberscan.threat import Access, ThreatModel

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from memberscan.targets.checkpoints import Checkpoints
    from memberscan.targets.service import Service

PredictionsFrom = Literal["one-pass", "unknown"]
"""Whether all predictions come from one pass of the final model over all scans, in evaluation mode."""


@dataclass(frozen=True, eq=False)
class Group:
    """People whose covariates are compared: members and non-members.

    Parameters
    ----------
    name
        Whose training set it is.
    asked
        Which people belong to the group.
    inside
        Which of them are members.
    randomised
        Whether membership was drawn at random, so that the two sides differ by chance only.
    seed
        Path of the group's branch of the root seed.
    pooled
        Whether it has the people of all other groups together.
    """

    name: str
    asked: Bool[np.ndarray, " people"]
    inside: Bool[np.ndarray, " people"]
    randomised: bool
    seed: tuple[str, ...]
    pooled: bool = False


@dataclass(frozen=True, eq=False)
class Target(ABC):
    """What is audited, for one attacker.

    Parameters
    ----------
    scans
        Scans of members and non-members, indexed by scan id: ``subject_id`` and ``label``, the true value of
        the target variable.
    is_member
        By subject id, whether it was trained on.
    covariates
        By scan, in the order of ``scans``: what is known of people apart from label and scan count.
    ignored
        Columns that were not used as covariates.
    threat
        The attacker, and what it has.
    seed
        Root seed of every draw.
    predictions
        Of each scan, if they are given instead of a model; of classes, the log-probability of its own class.
    copies
        The same of changed copies of each scan, if they are given too.
    references
        Reference models that the attacker trained, or None.
    checkpoints
        Models that were kept in training, if the attacker has them.
    variable
        What the model predicts.

    Raises
    ------
    MisalignedError
        If membership is not given once for each subject of the scans.
    """

    scans: pd.DataFrame
    is_member: pd.Series
    covariates: pd.DataFrame
    ignored: tuple[str, ...]
    threat: ThreatModel
    seed: int
    predictions: Float[np.ndarray, " scans"] | None = None
    copies: Float[np.ndarray, "scans copies"] | None = field(default=None, kw_only=True)
    references: Ensemble | None = field(default=None, kw_only=True)
    checkpoints: Checkpoints | None = field(default=None, kw_only=True)
    variable: TargetVariable = field(default=AGE, kw_only=True)

    def __post_init__(self) -> None:
        if not self.is_member.index.is_unique or set(self.is_member.index) != set(self.people.ids):
            raise MisalignedError(
                "membership and scans describe different subjects; give one value per subject"
            )

    @cached_property
    def people(self) -> People:
        """The subjects, sorted by id."""
        return People.of(self.scans["subject_id"])

    @cached_property
    def member(self) -> Bool[np.ndarray, " people"]:
        """Whether each person was trained on."""
        return self.is_member.loc[list(self.people.ids)].to_numpy(bool)

    @cached_property
    def label_as_covariate(self) -> pd.Series:
        """The label of each scan as people write it: a number, or the name of its class."""
        return self.variable.written(self.scans["label"])

    @property
    def member_of_scan(self) -> Bool[np.ndarray, " scans"]:
        """Whether each scan is of a member."""
        return np.asarray(self.member[self.people.of_scan])

    @cached_property
    def copied_columns(self) -> dict[str, str]:
        """Columns that only repeat membership, and so cannot be covariates, with the reason.

        Raises
        ------
        CovariateError
            If a column equals membership, but its name does not say whether it is a copy.
        """
        return copies_of_membership(self.covariates, self.member_of_scan)

    # What an attacker can see.

    @property
    @abstractmethod
    def shows(self) -> Access:
        """The greatest access that any attacker can have."""

    def lacks(self, access: Access) -> str | None:  # noqa: ARG002
        """Return why no attacker can have this access, or None."""
        return None

    @property
    def conceals(self) -> str | None:
        """Why this attacker sees nothing that an attack could use, or None."""
        return None

    @property
    def service(self) -> Service | None:
        """The service that changes answers before this attacker reads them; None if it reads the model's."""
        return None

    @property
    def landmarks(self) -> Mapping[str, str]:
        """Paths of the model's named layers."""
        return {}

    def layer_paths(self, names: Sequence[str]) -> dict[str, str]:  # noqa: ARG002
        """Return the paths of those of the named layers that the model has."""
        return {}

    def gradient_obstacle(self, layers: Sequence[str] | None) -> str | None:  # noqa: ARG002
        """Return why gradients of these layers, or of all, cannot be computed, or None."""
        return None

    def activation_obstacle(self, layer: str) -> str | None:  # noqa: ARG002
        """Return why the inputs of a layer cannot be captured, or None; the model is tried once."""
        return None

    # Which people the attacker knows, and which it is scored on.

    def comparisons(self, *, learns: bool) -> list[Comparison]:
        """Return the rows of the audit, for attacks that learn from known people or for others."""
        if not learns:
            return known.everybody(self.member)
        return known.draws(self.member, self.threat, seeds.generator(self.seed, "known"))

    @property
    def nothing_to_learn_from(self) -> str | None:
        """Why an attack that learns from known people cannot, or None."""
        if self.known_people[0]:
            return None
        return "needs people whose membership is known, but this audit assumes none; use --leaked 0.5"

    @property
    def saw_nothing(self) -> str:
        """Why an attack that was run has no scores."""
        return "its signals are the same for every scan of this model, so it found nothing to use"

    @property
    def known_people(self) -> tuple[int, int]:
        """How many members, and non-members, the attacker knows in each draw."""
        count = known.known_per_side(self.threat, int(self.member.sum()), int((~self.member).sum()))
        return count, count

    def most_others(self) -> int:
        """Return the number of other learners that an attacker can compare with; 0 outside a federation."""
        return 0

    @property
    def groups(self) -> list[Group]:
        """The groups of people in which covariates may tell members from non-members."""
        everyone = np.ones(len(self.people), dtype=bool)
        return [Group("model", everyone, self.member, self.randomised, ("blind",))]

    # What a report says about it.

    @property
    def predictions_from(self) -> PredictionsFrom | None:
        """How given predictions were made; None where memberscan computes them itself, in one pass."""
        return None

    @property
    def own_images(self) -> OwnImages | None:
        """What shows that a model which was trained elsewhere gets the same images here; else None."""
        return None

    @property
    def stated_error(self) -> float | None:
        """The mean absolute error on the training set that the model's makers state."""
        return None

    @property
    def randomised(self) -> bool:
        """Whether memberscan drew the members at random."""
        return False

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the target's kind, model, parameters, whether synthetic and whether randomised."""

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Return fingerprints and versions, equal for equal targets; they are for the owner only."""

    @property
    def roles_digest(self) -> str | None:
        """A digest with a secret key, which may be published instead of the fingerprint of the roles."""
        return None
