"""How a federation trained, repeated on other people: references for whoever sees its final model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from memberscan import seeds
from memberscan.errors import ReferencesError
from memberscan.federation.environments import ENVIRONMENTS, divide_members
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import final_network, flower_engines
from memberscan.files import fingerprint
from memberscan.runs import Role, Roles
from memberscan.runs.transcript import ROUNDS
from memberscan.training.central import write_weights
from memberscan.training.config import TrainingConfig
from memberscan.training.recipes import Recipe, answers_of

if TYPE_CHECKING:
    from memberscan.cohort import Cohort
    from memberscan.models.model_options import ModelOptions
    from memberscan.runs import Run
    from memberscan.training.recipes import Answers


@dataclass(frozen=True)
class FederationRecipe(Recipe):
    """The recipe of a federation that memberscan simulated: the reference is its final global model.

    Parameters
    ----------
    settings
        Of the federation; the seed of the training is replaced by each reference's. Updates are not
        encrypted, which changes the model by rounding only.
    environment, learners
        How members are divided among how many learners.
    """

    settings: Settings
    environment: str
    learners: int

    @classmethod
    def of(cls, run: Run) -> FederationRecipe:
        """Return the recipe of a federated run.

        Raises
        ------
        ReferencesError
            If memberscan did not simulate it, or its learners are the values of a column: it is not known
            which learner would have held a person who was held out.
        MissingExtraError
            If Flower is not installed.
        """
        facts = run.federation or {}
        if facts.get("environment") not in ENVIRONMENTS or not run.training:
            raise ReferencesError(
                f"{run.path} is a federation whose training cannot be repeated on other people: only those "
                f"that memberscan simulated in one of the environments {', '.join(ENVIRONMENTS)} can; give "
                "--recipe package.module:train, or use memberscan references plan and collect"
            )
        flower_engines()
        known = {field.name for field in fields(TrainingConfig)}
        training = TrainingConfig(**{key: value for key, value in run.training.items() if key in known})
        options = cast("ModelOptions", dict(run.spec.options))
        settings = Settings(run.spec.name, options, training, rounds=facts["rounds"])
        return cls(settings, facts["environment"], len(run.roles.learners))

    @property
    def title(self) -> str:
        """See :class:`~memberscan.training.recipes.Recipe`."""
        return (
            f"the federation's own recipe ({self.settings.model}, {self.learners} learners, "
            f"{self.environment}, rounds: {self.settings.rounds})"
        )

    @property
    def fingerprint(self) -> str:
        """See :class:`~memberscan.training.recipes.Recipe`."""
        settings = asdict(self.settings)
        del settings["training"]["seed"]
        return fingerprint([settings, self.environment, self.learners])

    def train(
        self, cohort: Cohort, members: Sequence[str], seed: int, checkpoint: Path, weights: Path | None
    ) -> Answers:
        """See :class:`~memberscan.training.recipes.Recipe`; the transcript is deleted at the end."""
        training = replace(self.settings.training, seed=seed)
        settings = replace(self.settings, training=training)
        rng = seeds.generator(seed, "federation")
        held_by = divide_members(cohort, sorted(members), self.environment, self.learners, rng)
        of = {s: Role.MEMBER if s in held_by else Role.NONMEMBER for s in cohort.subjects}
        defence_seed = seeds.integer(seed, "defence")
        directory = checkpoint.with_suffix("")
        # The model is that of a run, which was opened only if the user named the factory of its network.
        flower_engines().simulate(
            cohort,
            Roles(of, held_by),
            settings,
            directory / ROUNDS,
            defence_seed=defence_seed,
            code=settings.model,
        )
        network = final_network(settings, cohort.shape, directory / ROUNDS, defence_seed)
        if weights is not None:
            weights.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_weights(weights, network)
        found = answers_of(network, cohort, training.device)
        shutil.rmtree(directory)
        return found
