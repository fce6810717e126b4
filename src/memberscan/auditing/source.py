"""What is audited: a run or a file of predictions, with who is a member and what else is known of people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from memberscan.errors import BadInputError
from memberscan.files import TABLE_LIMIT, fingerprint
from memberscan.received import read_limited
from memberscan.signals.predictions_file import read_predictions
from memberscan.signals.signals import Signals
from memberscan.threat import Access

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from memberscan.attacks.base import Needs
    from memberscan.cohort import Cohort
    from memberscan.models.gradient_trial import Trial
    from memberscan.runs import Run, Transcript
    from memberscan.signals.updates import Updates


@dataclass(frozen=True, eq=False)
class Source(ABC):
    """What is audited.

    Parameters
    ----------
    scans
        Scans of members and non-members, indexed by scan id: ``subject_id`` and ``age``.
    member
        By subject id, whether it was trained on.
    covariates
        By scan id, what a blind baseline may see beside age and scan count.
    ignored
        Columns that were not used as covariates.
    """

    scans: pd.DataFrame
    member: pd.Series
    covariates: pd.DataFrame
    ignored: tuple[str, ...]

    @property
    @abstractmethod
    def shows(self) -> Access:
        """The greatest access that an attacker can have here."""

    @abstractmethod
    def lacks(self, needs: Needs) -> str | None:
        """Return why an attack with these needs cannot be run here, or None if it can."""

    def hides(self, needs: Needs) -> str | None:  # noqa: ARG002
        """Return why the model hides something that an attack with these needs would read, or None.

        The answer may need a run of the model, so it is asked last, only for attacks that lack nothing else.
        """
        return None

    @abstractmethod
    def signals(self, needs: Sequence[Needs], directory: Path) -> Signals:
        """Return what attacks with these needs see, keeping wide arrays in ``directory``."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the target's kind, model, parameters, whether synthetic and whether randomised."""

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Return fingerprints and versions: equal for equal targets; only the owner may see them."""

    @property
    @abstractmethod
    def roles_digest(self) -> str | None:
        """What may be published instead of the fingerprint of the roles: a digest with a secret key."""


@dataclass(frozen=True, eq=False)
class PredictionsSource(Source):
    """A file of predictions."""

    table: Signals
    digest: str

    @classmethod
    def read(cls, path: Path) -> PredictionsSource:
        """Read a predictions file."""
        read = read_predictions(path)
        # Sorted, so that the order of rows does not change the result, not even in its last bits.
        signals = read.signals.at(sorted(read.signals.scans.index.to_numpy(object)))
        return cls(
            scans=signals.scans,
            member=read.member,
            covariates=read.covariates.loc[signals.scans.index],
            ignored=read.ignored,
            table=signals,
            digest=fingerprint(read_limited(path, TABLE_LIMIT)),
        )

    @property
    def shows(self) -> Access:
        """Outputs only."""
        return Access.OUTPUTS

    def lacks(self, needs: Needs) -> str | None:
        """See :class:`Source`."""
        if needs.access > Access.OUTPUTS:
            return "needs the model's weights; a predictions file shows outputs only"
        return None

    def signals(self, needs: Sequence[Needs], directory: Path) -> Signals:  # noqa: ARG002
        """Return what the file holds."""
        return self.table

    def describe(self) -> dict[str, Any]:
        """See :class:`Source`; a file does not say how its members were drawn."""
        return {
            "kind": "predictions",
            "model": "unknown",
            "parameters": None,
            "synthetic": False,
            "randomised": False,
        }

    def provenance(self) -> dict[str, Any]:
        """See :class:`Source`."""
        return {"cohort": None, "roles": None, "weights": None, "predictions": self.digest, "threads": None}

    @property
    def roles_digest(self) -> None:
        """None: a predictions file has no separate roles."""


@dataclass(frozen=True, eq=False)
class RunSource(Source):
    """A run: a model with its weights, and the cohort that it was trained on."""

    run: Run
    cohort: Cohort
    model: nn.Module = field(repr=False)

    @classmethod
    def open(cls, path: Path, cohort: Path | None, model: str | None = None) -> RunSource:
        """Open a run with its cohort, at its recorded place or elsewhere; see :meth:`memberscan.Run.open`."""
        from memberscan.runs import Role, Run

        run = Run.open(path, model=model)
        data = run.cohort(cohort)
        sides = dict.fromkeys(run.roles.subjects(Role.MEMBER), True)
        sides |= dict.fromkeys(run.roles.subjects(Role.NONMEMBER), False)
        scans = data.scans[data.scans["subject_id"].isin(list(sides))]
        present = scans["subject_id"].unique()
        return cls(
            scans=scans[["subject_id", "age"]],
            member=pd.Series({s: sides[s] for s in present}, dtype=bool),
            covariates=scans[list(data.covariates)],
            ignored=data.ignored,
            run=run,
            cohort=data,
            model=run.load(),
        )

    @property
    def shows(self) -> Access:
        """Everything but its training."""
        return Access.WEIGHTS

    def lacks(self, needs: Needs) -> str | None:
        """See :class:`Source`."""
        paths = self._paths(needs.layers)
        if missing := [name for name in needs.layers if name not in paths]:
            declared: Mapping[str, str] = getattr(self.model, "landmarks", {})
            known = ", ".join(declared) or "none"
            return (
                f"the model has no layer {' or '.join(missing)} with parameters (its landmarks: {known}); "
                "name a layer by its module path, as in gradient:encoder.conv6"
            )
        if needs.activation and not self._paths(["output"]):
            return "the model declares no landmark 'output', so its last activation is not known"
        return None

    def hides(self, needs: Needs) -> str | None:
        """See :class:`Source`; gradients are tried once, on a few scans."""
        from memberscan.models.gradient_trial import try_activation

        if needs.norms or needs.layers:
            paths = None if needs.norms else tuple(self._paths(needs.layers).values())
            if obstacle := self._trial.obstacle(paths):
                return obstacle
        if needs.activation:
            return try_activation(self.model, self._examples, self._paths(["output"])["output"])
        return None

    @cached_property
    def _trial(self) -> Trial:
        from memberscan.models.gradient_trial import try_gradients

        return try_gradients(self.model, self._examples)

    @property
    def _examples(self) -> Tensor:
        from memberscan.models.inputs import as_inputs

        return as_inputs(self.cohort, self.scans.index[:2].tolist())

    def signals(self, needs: Sequence[Needs], directory: Path) -> Signals:
        """Run the model over the scans, or read what an earlier call left in ``directory``."""
        from memberscan.signals.extract import Wanted, extract

        # Signals name scans, and are about single persons.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

        layers = sorted({layer for n in needs for layer in n.layers})
        wanted = Wanted(
            gradients=self._paths(layers),
            norms=any(n.norms for n in needs),
            activation=self._paths(["output"])["output"] if any(n.activation for n in needs) else None,
        )
        return extract(self.run, self.cohort, self.scans.index.tolist(), wanted, directory)

    def predictions_by_round(
        self, transcript: Transcript, rounds: Sequence[int], directory: Path
    ) -> np.ndarray:
        """Return predictions of each scan by each round's global model."""
        from memberscan.signals.rounds import predictions_by_round

        ids = self.scans.index.tolist()
        return predictions_by_round(self.run, transcript, self.cohort, ids, rounds, directory)

    def updates(
        self, transcript: Transcript, rounds: Sequence[int], directory: Path, *, aggregate: bool
    ) -> Updates:
        """Return what each scan has to do with the learners' updates, or with their sum."""
        from memberscan.signals.observe_updates import observe_updates

        ids = self.scans.index.tolist()
        gradients = self._trial.obstacle(None) is None
        return observe_updates(
            self.run,
            transcript,
            self.cohort,
            ids,
            rounds,
            directory,
            aggregate=aggregate,
            gradients=gradients,
        )

    def describe(self) -> dict[str, Any]:
        """See :class:`Source`."""
        return {
            "kind": "run",
            "model": self.run.spec.name,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "synthetic": self.cohort.synthetic,
            "randomised": self.run.randomised,
        }

    def provenance(self) -> dict[str, Any]:
        """See :class:`Source`; the thread count too, since sums depend on it in their last bits."""
        import torch

        return {
            "cohort": self.cohort.fingerprint,
            "roles": self.run.roles.fingerprint,
            "weights": self.run.weights_fingerprint,
            "predictions": None,
            "threads": torch.get_num_threads(),
        }

    @property
    def roles_digest(self) -> str | None:
        """See :class:`Source`."""
        return self.run.roles_digest

    def _paths(self, names: Sequence[str]) -> dict[str, str]:
        from memberscan.signals.extract import landmark_paths

        return landmark_paths(self.model, names)


def open_source(path: Path, cohort: Path | None, model: str | None = None) -> Source:
    """Open a run directory or a predictions file."""
    if path.is_dir():
        return RunSource.open(path, cohort, model)
    if path.is_file():
        return PredictionsSource.read(path)
    raise BadInputError(f"{path} does not exist; give a run directory, or a TSV or CSV of predictions")
