"""A run as a target: a model with its weights, and the cohort that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor, nn

from memberscan.cohort import Cohort
from memberscan.defences import answering, teaches
from memberscan.errors import UntrustedCodeError
from memberscan.evidence.own_images import OwnImages
from memberscan.models.gradient_trial import GradientTrial, try_activation, try_gradients
from memberscan.models.gradients import parameter_layers
from memberscan.models.inputs import as_inputs
from memberscan.models.landmarks import landmarks_of
from memberscan.runs import Role, Run
from memberscan.targets.service import Service
from memberscan.targets.target import Target
from memberscan.threat import Access, Attacker, ThreatModel


@dataclass(frozen=True, eq=False)
class TrainedModel(Target):
    """A model that was trained on some subjects of a cohort.

    Parameters
    ----------
    run, cohort, model
        The run, its cohort, and the network with the final weights.
    """

    run: Run = field(kw_only=True)
    cohort: Cohort = field(kw_only=True)
    model: nn.Module = field(kw_only=True, repr=False)

    @classmethod
    def open(
        cls,
        path: Path,
        threat: ThreatModel,
        *,
        cohort: Path | None = None,
        model: str | None = None,
        seed: int = 0,
    ) -> Self:
        """Open a run with its cohort, at its recorded place or elsewhere; see :meth:`memberscan.Run.open`."""
        return cls(**cls._facts(path, threat, cohort=cohort, model=model, seed=seed))

    @classmethod
    def _facts(
        cls, path: Path, threat: ThreatModel, *, cohort: Path | None, model: str | None, seed: int
    ) -> dict[str, Any]:
        run = Run.open(path, model=model)
        data = run.cohort(cohort)
        sides = dict.fromkeys(run.roles.subjects(Role.MEMBER), True)
        sides |= dict.fromkeys(run.roles.subjects(Role.NONMEMBER), False)
        scans = data.scans[data.scans["subject_id"].isin(list(sides))]
        return {
            "scans": scans[["subject_id"]].assign(label=data.labels[scans.index]),
            "variable": data.target,
            "is_member": pd.Series({s: sides[s] for s in scans["subject_id"].unique()}, dtype=bool),
            "covariates": scans[list(data.covariates)],
            "ignored": data.ignored,
            "threat": threat,
            "seed": seed,
            "run": run,
            "cohort": data,
            "model": run.load(),
        }

    def load(self) -> nn.Module:
        """Return the model that the attacker sees, newly built, so that it may be changed."""
        return self.run.load()

    @property
    def shows(self) -> Access:
        """Everything except its training."""
        return Access.WEIGHTS

    @cached_property
    def service(self) -> Service | None:
        """See :class:`.Target`; an attacker with the weights computes answers that nothing has changed.

        Raises
        ------
        UntrustedCodeError
            If a class of the user's own changes the answers, and the user has not named it.
        """
        if self.threat.attacker is not Attacker.OUTSIDER or self.threat.access is not Access.OUTPUTS:
            return None
        changes = answering(self.run.defence)
        if self._unnamed is not None:
            raise UntrustedCodeError(
                f"the answers of {self.run.path} are changed by {self._unnamed}, whose code would run, but "
                "only run.json names it; if you trust it, call memberscan.defences.allow_own with this text "
                "before memberscan.audit, or audit with --access weights"
            )
        if changes is None:
            return None
        return Service(*changes, self.run, self.cohort, tuple(self.scans.index), self.seed)

    @property
    def landmarks(self) -> Mapping[str, str]:
        """See :class:`.Target`."""
        return landmarks_of(self.model)

    def layer_paths(self, names: Sequence[str]) -> dict[str, str]:
        """Return the module path of each name that this model has: a declared landmark, or a path itself."""
        layers = set(parameter_layers(self.model))
        return {name: path for name in names if (path := self.landmarks.get(name, name)) in layers}

    def gradient_obstacle(self, layers: Sequence[str] | None) -> str | None:
        """See :class:`.Target`."""
        return self._trial.obstacle(layers)

    def activation_obstacle(self, layer: str) -> str | None:
        """See :class:`.Target`."""
        return try_activation(self.model, self._examples, layer)

    @cached_property
    def _trial(self) -> GradientTrial:
        return try_gradients(self.model, self._examples)

    @property
    def _examples(self) -> Tensor:
        return as_inputs(self.cohort, self.scans.index[:2].tolist())

    @property
    def own_images(self) -> OwnImages | None:
        """See :class:`.Target`."""
        if not self.run.imported or self.cohort.kind == "table":
            return None
        return OwnImages(None if self.run.reproduced is None else self.run.reproduced.scans)

    @property
    def stated_error(self) -> float | None:
        """See :class:`.Target`."""
        return self.run.training_error

    @property
    def randomised(self) -> bool:
        """See :class:`.Target`.

        Members of a federation are all people who were not held out, whichever learner has them.
        """
        return self.run.randomised or self.held_out_at_random

    @property
    def held_out_at_random(self) -> bool:
        """Whether the held-out people were drawn at random, as in federations that memberscan simulates."""
        return bool((self.run.federation or {}).get("environment"))

    def describe(self) -> dict[str, Any]:
        """See :class:`.Target`."""
        return {
            "kind": "run",
            "model": self.run.spec.name,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "synthetic": self.cohort.synthetic,
            "randomised": self.randomised,
            "defence": self.run.defence,
            "guarantee": self.run.guarantee,
            "answers": self._changed_answers,
            "taught_on": len(self.run.roles.subjects(Role.VALIDATION)) if teaches(self.run.defence) else None,
        }

    @property
    def _unnamed(self) -> str | None:
        """What changes answers, if it includes a class of the user's own that the user has not named."""
        changes, stated = answering(self.run.defence), self.run.answers_changed_by
        return None if changes is not None and changes[0] == stated else stated

    @property
    def _changed_answers(self) -> str | None:
        """How answers are changed, in a sentence, or None."""
        if self._unnamed is not None:
            return f"Every answer is changed by {self._unnamed}."
        changes = answering(self.run.defence)
        return None if changes is None else changes[1].changes_answers()

    def provenance(self) -> dict[str, Any]:
        """See :class:`.Target`; the thread count too, since sums depend on it in their last bits."""
        return {
            # Models that differ in their answers alone have equal weights.
            **({} if self.service is None else {"service": self.service.fingerprint}),
            "cohort": self.cohort.fingerprint,
            "roles": self.run.roles.fingerprint,
            "weights": self.run.weights_fingerprint,
            "predictions": None,
            "threads": torch.get_num_threads(),
        }

    @property
    def roles_digest(self) -> str | None:
        """See :class:`.Target`."""
        return self.run.roles_digest
