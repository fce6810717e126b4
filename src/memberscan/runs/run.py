"""A run: a directory that says which model was trained on whom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, StaleError, TranscriptError
from memberscan.files import fingerprint, read_json, write_json
from memberscan.models import ModelSpec, build, load_weights, read_weights
from memberscan.runs.roles import Roles
from memberscan.runs.transcript import ROUNDS, Transcript

if TYPE_CHECKING:
    from torch import Tensor, nn

DONE = "run.json"
WEIGHTS = "weights.safetensors"
ROLES = "roles.tsv"
HISTORY = "history.jsonl"
_SCHEMA = "memberscan.run/1"


@dataclass(frozen=True)
class Run:
    """What was trained on whom.

    Parameters
    ----------
    path
        The run's directory.
    spec
        How to build the network again.
    roles
        Every subject's role.
    randomised
        Whether memberscan drew the roles at random itself, so that members and non-members differ by chance
        only.
    cohort_path, cohort_fingerprint
        The cohort it was trained on.
    training
        Configuration, seeds, thread count and versions, as JSON values; empty for an imported model.
    federation
        Of a federated run: environment, rounds, local epochs and what was protected, as JSON values.
    """

    path: Path
    spec: ModelSpec
    roles: Roles
    randomised: bool
    cohort_path: Path
    cohort_fingerprint: str
    training: Mapping[str, Any]
    federation: Mapping[str, Any] | None = None

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Open a finished run.

        Raises
        ------
        BadInputError
            If there is no finished run at ``path``.
        StaleError
            If the weights or the roles are not those that the run was finished with.
        """
        path = Path(path)
        if not (path / DONE).is_file():
            hint = (
                "it was not finished: run the same command again"
                if (path / "request.json").exists()
                else "it has no run.json"
            )
            raise BadInputError(f"{path} is not a run ({hint})")
        content = read_json(path / DONE)
        if content.get("schema") != _SCHEMA:
            raise BadInputError(
                f"{path / DONE} has schema {content.get('schema')!r}, this version reads {_SCHEMA!r}"
            )
        roles = Roles.read(path / ROLES)
        if roles.fingerprint != content["roles"]:
            raise StaleError(
                f"{path / ROLES} was changed after training; restore it, or import the model again"
            )
        return cls(
            path=path,
            spec=ModelSpec.from_dict(content["model"]),
            roles=roles,
            randomised=content["randomised"],
            cohort_path=Path(os.path.normpath(path / content["cohort"]["path"])),
            cohort_fingerprint=content["cohort"]["fingerprint"],
            training=content["training"],
            federation=content.get("federation"),
        )

    def finish(self) -> Run:
        """Write ``run.json``, which says that the run is complete; the weights must be there already."""
        content = {
            "schema": _SCHEMA,
            "model": self.spec.to_dict(),
            "roles": self.roles.fingerprint,
            "randomised": self.randomised,
            "cohort": {
                "path": os.path.relpath(self.cohort_path, self.path),
                "fingerprint": self.cohort_fingerprint,
            },
            "weights": self.weights_fingerprint,
            "training": dict(self.training),
            "federation": None if self.federation is None else dict(self.federation),
        }
        write_json(self.path / DONE, content)
        return self

    @property
    def weights_fingerprint(self) -> str:
        """A digest of the weights file."""
        try:
            return fingerprint((self.path / WEIGHTS).read_bytes())
        except FileNotFoundError as error:
            raise StaleError(
                f"{self.path / WEIGHTS} is gone; restore it, or train or import again"
            ) from error

    @property
    def transcript(self) -> Transcript:
        """The transcript of a federated run; :class:`TranscriptError` if there is none, or not all of it."""
        transcript = Transcript.open(self.path / ROUNDS)
        if self.federation is not None and len(transcript.rounds) != self.federation["rounds"]:
            raise TranscriptError(
                f"{transcript.path} has {len(transcript.rounds)} of {self.federation['rounds']} rounds; "
                "restore the directories of the others"
            )
        return transcript

    def cohort(self, elsewhere: Path | None = None) -> Cohort:
        """Open the cohort that the run was trained on, at its recorded place or elsewhere.

        Raises
        ------
        StaleError
            If the cohort there is another one.
        """
        cohort = Cohort.open(elsewhere or self.cohort_path)
        if cohort.fingerprint != self.cohort_fingerprint:
            raise StaleError(
                f"the run {self.path} was trained on another cohort than {cohort.path} "
                f"(fingerprint {self.cohort_fingerprint[:8]}, found {cohort.fingerprint[:8]}); "
                "give the right one with --cohort"
            )
        return cohort

    def load(self) -> nn.Module:
        """Build the network with its trained weights, in evaluation mode.

        Raises
        ------
        StaleError
            If the weights file is not the one that the run was finished with.
        """
        if self.weights_fingerprint != read_json(self.path / DONE)["weights"]:
            raise StaleError(
                f"{self.path / WEIGHTS} was changed after training; restore it, or import the model again"
            )
        return self.model_with(read_weights(self.path / WEIGHTS))

    def model_with(self, weights: dict[str, Tensor]) -> nn.Module:
        """Build the network with other weights of the same run, in evaluation mode."""
        model = build(self.spec)
        load_weights(model, weights, source=str(self.path))
        return model.eval()
