"""How a reference model is trained: by the recipe of a run, or by a function of the user's."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch

from memberscan import seeds
from memberscan.cohort.answers import answer_columns, answers_in
from memberscan.errors import BadInputError, MemberscanError, ReferencesError
from memberscan.files import fingerprint
from memberscan.models import AgeRegressor, ModelSpec
from memberscan.models.copies import Copies
from memberscan.models.given_head import give_head
from memberscan.models.inputs import as_inputs, predict_scans
from memberscan.models.network_inputs import NetworkInputs
from memberscan.models.output_part import choose_output
from memberscan.models.target_head import class_head
from memberscan.runs import Role
from memberscan.training.central import finish_with_defence, new_network, write_weights
from memberscan.training.config import TrainingConfig
from memberscan.training.teaching import fit_or_teach
from memberscan.user_code import named_function, source_digest

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.cohort import Cohort
    from memberscan.runs import Run

    Answers = Float[np.ndarray, " scans"] | Float[np.ndarray, "scans one_and_copies"]


class Recipe(ABC):
    """A way to train a model on some people; a frozen value that can be sent to other processes.

    Attributes
    ----------
    keeps_to_plan
        Whether it is memberscan's own code, which trains on the given people only.
    """

    keeps_to_plan: ClassVar[bool] = True

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is, in words."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of everything that decides its result apart from the people and the seed."""

    @abstractmethod
    def train(
        self, cohort: Cohort, members: Sequence[str], seed: int, checkpoint: Path, weights: Path | None
    ) -> Answers:
        """Train a model on these subjects and return its answers on all scans: see :meth:`.Head.answer`.

        Where there are several columns, the first is of the scans, the others of copies of them: see
        :mod:`memberscan.models.copies`.

        Parameters
        ----------
        cohort
            The cohort.
        members
            Subjects to train on.
        seed
            Decides every random number.
        checkpoint
            File for the state of an interrupted training.
        weights
            Directory to write the weights to; None to keep none.
        """


@dataclass(frozen=True)
class RunRecipe(Recipe):
    """The recipe of a run that memberscan trained.

    Parameters
    ----------
    spec
        The network.
    config
        How it is trained; its seed is replaced by each reference's.
    validation
        Subjects that choose the epoch, or train the student of a defence, as for the run itself.
    """

    spec: ModelSpec
    config: TrainingConfig
    validation: tuple[str, ...]

    @classmethod
    def of(cls, run: Run) -> RunRecipe:
        """Return the recipe of a run.

        Raises
        ------
        ReferencesError
            If memberscan did not train it, or it was trained by several learners: see
            :class:`memberscan.federation.reference_recipe.FederationRecipe`.
        """
        if run.federation is not None:
            raise ReferencesError(
                f"{run.path} is a federation, which one training does not repeat; use FederationRecipe"
            )
        if not run.training:
            raise ReferencesError(
                f"{run.path} was imported, so memberscan does not know how it was trained; give --recipe "
                "package.module:train, or use memberscan references plan and collect"
            )
        known = {each.name for each in fields(TrainingConfig)}
        given = {key: value for key, value in run.training.items() if key in known}
        return cls(run.spec, TrainingConfig(**given), tuple(run.roles.subjects(Role.VALIDATION)))

    @property
    def title(self) -> str:
        """See :class:`Recipe`."""
        return f"the run's own recipe ({self.spec.name})"

    @property
    def fingerprint(self) -> str:
        """See :class:`Recipe`."""
        config = {key: value for key, value in asdict(self.config).items() if key != "seed"}
        return fingerprint([self.spec.to_dict(), config, list(self.validation)])

    def train(
        self, cohort: Cohort, members: Sequence[str], seed: int, checkpoint: Path, weights: Path | None
    ) -> Answers:
        """See :class:`Recipe`."""
        network = self.network(cohort, members, seed, checkpoint)
        if weights is not None:
            weights.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_weights(weights, network)
        return answers_of(network, cohort, self.config.device)

    def network(self, cohort: Cohort, members: Sequence[str], seed: int, checkpoint: Path) -> torch.nn.Module:
        """Train a model on these subjects; parameters are those of :meth:`train`."""
        config = replace(self.config, seed=seed)
        initial = partial(new_network, self.spec)
        network = initial(seed)
        subjects = cohort.scans["subject_id"]
        inside, choosing = (
            cohort.scans.index[subjects.isin(list(those))].tolist() for those in (members, self.validation)
        )
        defence_seed = seeds.integer(seed, "defence")
        fit_or_teach(network, cohort, inside, choosing, config, checkpoint, initial, defence_seed)
        finish_with_defence(network, config, defence_seed)
        return network


@dataclass(frozen=True)
class UserRecipe(Recipe):
    """A function ``(cohort, members, seed)`` of the user's that returns a model or predictions.

    Parameters
    ----------
    name
        ``package.module:function``. Its code is run only because the user named it.
    device
        What a returned torch network predicts on.
    inputs
        What a returned torch network gets for each scan: what the target gets.
    output, head
        How a returned torch network is read, for one that returns more than ages: as the target is.
    """

    name: str
    device: str = "auto"
    inputs: NetworkInputs = field(default_factory=NetworkInputs)
    output: str = ""
    head: str = ""
    keeps_to_plan: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._function()

    @property
    def title(self) -> str:
        """See :class:`Recipe`."""
        return f"the function {self.name}"

    @property
    def fingerprint(self) -> str:
        """See :class:`Recipe`; of the file that defines the function, not of what it calls elsewhere."""
        taken = [self.inputs.to_dict()] if self.inputs.covariates else []
        read = [self.output, self.head] if self.head else []
        return fingerprint([self.name, source_digest(self._function()), *taken, *read])

    def train(
        self,
        cohort: Cohort,
        members: Sequence[str],
        seed: int,
        checkpoint: Path,  # noqa: ARG002
        weights: Path | None,
    ) -> Answers:
        """See :class:`Recipe`."""
        if weights is not None:
            raise BadInputError(
                "the weights of a model of your own recipe are not kept; let the function do it"
            )
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - for libraries that use the global generator
        torch.manual_seed(seed)
        try:
            made = self._function()(cohort, list(members), seed)
        except MemberscanError:
            raise
        except Exception as error:
            raise ReferencesError(
                f"the recipe {self.name} failed ({type(error).__name__}: {error}); it is called with the "
                "cohort, a list of subject ids and a seed"
            ) from error
        return self._predictions(made, cohort)

    def _function(self) -> Callable[..., Any]:
        return named_function(self.name, "recipe", BadInputError)

    def _predictions(self, made: Any, cohort: Cohort) -> Answers:
        """Return predictions from whatever the function returned; of copies, too, if that is a model."""
        if isinstance(made, torch.nn.Module):
            # Networks of memberscan's own have their head.
            own = isinstance(made, AgeRegressor)
            head = self.head or ("" if own else class_head(cohort.target))
            read = give_head(choose_output(made, self.output), head)
            return answers_of(self.inputs.give(read), self.inputs.of(cohort), self.device)
        if hasattr(made, "predict"):
            # scikit-learn and its like take one row of numbers per scan.
            ask = made.predict_proba if cohort.target.classes else made.predict
            scans = as_inputs(cohort, cohort.scans.index.tolist())
            versions = (scans, *Copies.of(cohort)(scans))
            # As arrays of their own, because a model may change what it gets in place.
            answers = [self._in_order(ask(each.flatten(1).numpy().copy()), cohort) for each in versions]
            return np.stack(answers, axis=1)
        return self._in_order(made, cohort)

    def _in_order(self, made: Any, cohort: Cohort) -> Float[np.ndarray, " scans"]:
        """Return one prediction per scan, in the order of the cohort."""
        if isinstance(made, Mapping) or hasattr(made, "reindex"):
            named = dict(made.items())
            if missing := [scan for scan in cohort.scans.index if scan not in named]:
                raise ReferencesError(f"the recipe {self.name} gives no prediction of scan {missing[0]!r}")
            made = [named[scan] for scan in cohort.scans.index]
        if cohort.target.classes:
            return self._of_classes(made, cohort)
        try:
            if made is None:
                raise TypeError("nothing was returned")
            values = np.asarray(made, dtype=float).reshape(-1)
        except (TypeError, ValueError) as error:
            raise ReferencesError(
                f"the recipe {self.name} returns a {type(made).__name__}; return a model with predict(), a "
                "torch network, or one prediction per scan of the cohort"
            ) from error
        if len(values) != len(cohort):
            raise ReferencesError(
                f"the recipe {self.name} gives {len(values)} predictions for {len(cohort)} scans; predict "
                "every scan of the cohort, those it was not trained on too"
            )
        return values

    def _of_classes(self, made: Any, cohort: Cohort) -> Float[np.ndarray, " scans"]:
        columns = answer_columns(cohort.target)
        try:
            table = pd.DataFrame(np.asarray(made, dtype=float), columns=columns)
        except (TypeError, ValueError) as error:
            raise ReferencesError(
                f"the recipe {self.name} returns a {type(made).__name__}; of classes, return a model with "
                f"predict_proba(), a torch network, or {len(columns)} probabilities per scan of the cohort"
            ) from error
        if len(table) != len(cohort):
            raise ReferencesError(
                f"the recipe {self.name} gives probabilities of {len(table)} scans, not of {len(cohort)}"
            )
        return answers_in(table, cohort.target, cohort.labels.to_numpy(float))


def answers_of(network: torch.nn.Module, cohort: Cohort, device: str) -> Answers:
    """Return a network's answers on all scans, in evaluation mode; on their copies in further columns.

    The passes over the copies take a few hundredths of the time of a training.
    """
    scans, copies = cohort.scans.index.tolist(), Copies.of(cohort)
    return predict_scans(
        network, cohort, scans, device=device, versions=lambda inputs: [inputs, *copies(inputs)]
    )
