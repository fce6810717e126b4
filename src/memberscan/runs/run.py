"""A run: a directory that records which model was trained on which subjects."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memberscan.cohort import Cohort
from memberscan.cohort.manifest import MANIFEST
from memberscan.errors import BadInputError, CohortError, StaleError, TranscriptError, UntrustedCodeError
from memberscan.files import fingerprint, write_json
from memberscan.guarantee import Guarantee, weakest
from memberscan.models import ModelSpec, build, load_weights, read_weights
from memberscan.models.weights import WEIGHTS_LIMIT
from memberscan.output_directory import REQUEST
from memberscan.received import load_json, read_limited, stated
from memberscan.runs.canaries import CANARIES, Canaries
from memberscan.runs.roles import Roles
from memberscan.runs.transcript import MANIFEST as TRANSCRIPT
from memberscan.runs.transcript import ROUNDS, Transcript
from memberscan.salts import get_or_create, keyed, read_salt
from memberscan.shown import plain
from memberscan.target_variable import AGE, TargetVariable

if TYPE_CHECKING:
    from torch import Tensor, nn

DONE = "run.json"
WEIGHTS = "weights.safetensors"
ROLES = "roles.tsv"
SALT = "roles.salt"
HISTORY = "history.jsonl"
_SCHEMA = "memberscan.run/1"


@dataclass(frozen=True)
class _Place:
    path: str
    fingerprint: str


@dataclass(frozen=True)
class _Federation:
    rounds: int
    environment: str | None
    local_epochs: int | None
    secure: str


@dataclass(frozen=True)
class Reproduced:
    """How closely an imported model gives the predictions that its makers have of the same scans.

    Parameters
    ----------
    scans
        How many scans were compared.
    largest
        The largest difference.
    """

    scans: int
    largest: float


@dataclass(frozen=True)
class _Stated:
    """The content of run.json; the file may come from others, so every type is checked."""

    model: ModelSpec
    roles: str
    randomised: bool
    cohort: _Place
    weights: str
    training: dict[str, Any]
    federation: _Federation | None = None
    reproduced: Reproduced | None = None
    training_error: float | None = None
    target: TargetVariable = AGE


@dataclass(frozen=True)
class Run:
    """A trained model, and which subjects it was trained on.

    Parameters
    ----------
    path
        The run's directory.
    spec
        How to rebuild the network.
    roles
        The role of every subject.
    randomised
        Whether memberscan itself drew the roles at random, so that members and non-members differ only by
        chance.
    cohort_path, cohort_fingerprint
        The cohort it was trained on.
    training
        Configuration, thread count and versions, as JSON values; empty for an imported model.
    federation
        For a federated run: environment, rounds, local epochs and protection, as JSON values.
    reproduced
        For an imported model, how closely it gives its makers' own predictions; None if they were not given.
    training_error
        For an imported model, the mean absolute error on its training set that its makers state.
    code
        The factory that the user named for this run's network, if it is not one of memberscan's.
    target
        What the model predicts.
    """

    path: Path
    spec: ModelSpec
    roles: Roles
    randomised: bool
    cohort_path: Path
    cohort_fingerprint: str
    training: Mapping[str, Any]
    federation: Mapping[str, Any] | None = None
    reproduced: Reproduced | None = None
    training_error: float | None = None
    code: str | None = None
    target: TargetVariable = AGE

    @classmethod
    def open(cls, path: Path | str, *, model: str | None = None) -> Run:
        """Open a finished run.

        Parameters
        ----------
        path
            The run's directory.
        model
            ``package.module:factory`` of a network that is not one of memberscan's. The run records it too,
            but the code is executed only if it is named here.

        Raises
        ------
        BadInputError
            If there is no finished run at ``path``, or its run.json is damaged.
        UntrustedCodeError
            If ``model`` is not the one that the run records.
        StaleError
            If the weights or the roles have changed since the run was finished.
        """
        path = Path(path)
        if not (path / DONE).is_file():
            raise BadInputError(f"{path} is not a run ({_what_it_is(path)})")
        content = _read(path)
        roles = Roles.read(path / ROLES)
        if content.roles not in _digests(path, roles):
            raise StaleError(
                f"{path / ROLES} was changed after training; restore it, or import the model again"
            )
        if model is not None and model != content.model.name:
            raise UntrustedCodeError(
                f"the run {path} records the model {content.model.name!r}, but you named {model!r}; "
                "name the same one, or leave it out for a built-in model"
            )
        return cls(
            path=path,
            spec=content.model,
            roles=roles,
            randomised=content.randomised,
            cohort_path=Path(os.path.normpath(path / content.cohort.path)),
            cohort_fingerprint=content.cohort.fingerprint,
            training=content.training,
            federation=None if content.federation is None else asdict(content.federation),
            reproduced=content.reproduced,
            training_error=content.training_error,
            code=model,
            target=content.target,
        )

    def finish(self) -> Run:
        """Write ``run.json``, whose presence means that the run is complete; write the weights before it."""
        get_or_create(self.path / SALT)
        # The seed is left out: members are often drawn with the same seed, and whoever has it can repeat
        # the draw and learn who the members are.
        training = {key: value for key, value in self.training.items() if key != "seed"}
        content: dict[str, Any] = {
            "schema": _SCHEMA,
            "model": self.spec.to_dict(),
            "roles": self.roles_digest,
            "randomised": self.randomised,
            "cohort": {
                "path": os.path.relpath(self.cohort_path, self.path),
                "fingerprint": self.cohort_fingerprint,
            },
            "weights": self.weights_fingerprint,
            "training": training,
            "federation": None if self.federation is None else dict(self.federation),
        }
        if not self.target.is_age:
            content["target"] = asdict(self.target)
        if self.imported:
            content["reproduced"] = None if self.reproduced is None else asdict(self.reproduced)
            content["training_error"] = self.training_error
        write_json(self.path / DONE, content)
        return replace(self, training=training)

    @property
    def defence(self) -> str | None:
        """What protected people in training, with all options; :class:`BadInputError` if it is no text."""
        return stated(str | None, self.training.get("defence"), str(self.path / DONE))  # type: ignore[arg-type]

    @property
    def answers_changed_by(self) -> str | None:
        """Those of :attr:`defence` that change answers; :class:`BadInputError` if it is no text."""
        return stated(str | None, self.training.get("answers_changed_by"), str(self.path / DONE))  # type: ignore[arg-type]

    @property
    def guarantee(self) -> Guarantee | None:
        """What the training guarantees everybody; in a federation, by the learner with the largest epsilon.

        Raises
        ------
        BadInputError
            If run.json does not state it in the form that memberscan writes.
        """
        found = self.training.get("guarantee")
        if found is None:
            return None
        of = stated(
            dict[str, Guarantee | None], found if self.federation else {"": found}, str(self.path / DONE)
        )
        return weakest(of.values())

    @property
    def canaries(self) -> Canaries | None:
        """The canaries of the training, and which were in; None where it had none.

        None too where the secret file that says so is not beside the run, since only the owner has it.

        Raises
        ------
        StaleError
            If the file is not the one that the training wrote.
        """
        path = self.path / CANARIES
        if not self._planted or not path.exists():
            return None
        found = Canaries.read(path)
        # Coins of another training would show nothing, whatever this one leaks.
        if self._planted.get("digest") != keyed(read_salt(self.path / SALT), found.fingerprint):
            raise StaleError(f"{path} was changed after training, or is of another run; restore it")
        return found

    @property
    def _planted(self) -> dict[str, Any]:
        """What run.json says of canaries; empty without them."""
        return stated(dict[str, Any], self.training.get("canaries", {}), str(self.path / DONE))

    @property
    def gaussian_noise(self) -> bool:
        """Whether a run with canaries states that its epsilon is that of Gaussian noise."""
        return self._planted.get("gaussian_noise") is True

    @property
    def imported(self) -> bool:
        """Whether the model was trained elsewhere."""
        return not self.training

    @property
    def roles_digest(self) -> str | None:
        """A digest of the roles with the run's secret salt; None for a run of an early version."""
        path = self.path / SALT
        return keyed(read_salt(path), self.roles.fingerprint) if path.exists() else None

    @property
    def weights_fingerprint(self) -> str:
        """A digest of the weights file."""
        try:
            return fingerprint(read_limited(self.path / WEIGHTS, WEIGHTS_LIMIT))
        except FileNotFoundError as error:
            raise StaleError(
                f"{self.path / WEIGHTS} is missing; restore it, or train or import again"
            ) from error

    @property
    def transcript(self) -> Transcript:
        """The transcript of a federated run; :class:`TranscriptError` if it is missing or incomplete."""
        transcript = Transcript.open(self.path / ROUNDS)
        if self.federation is not None and len(transcript.rounds) != self.federation["rounds"]:
            raise TranscriptError(
                f"{transcript.path} has {len(transcript.rounds)} of {self.federation['rounds']} rounds; "
                "restore the directories of the missing rounds"
            )
        return transcript

    def cohort(self, elsewhere: Path | None = None) -> Cohort:
        """Open the cohort that the run was trained on, at its recorded place or elsewhere.

        Its inputs are all that the network gets: also covariates, if it takes them beside the image.

        Raises
        ------
        CohortError
            If there is no cohort at that place.
        StaleError
            If the cohort there is not the one that the run was trained on.
        """
        try:
            cohort = Cohort.open(elsewhere or self.cohort_path)
        except CohortError as error:
            if elsewhere is not None or (self.cohort_path / MANIFEST).exists():
                raise
            raise CohortError(
                f"the run {self.path} needs the cohort {self.cohort_path}, which does not exist; if it was "
                "moved, give its new path with --cohort"
            ) from error
        cohort = cohort.with_target(self.target)
        if cohort.fingerprint != self.cohort_fingerprint:
            raise StaleError(
                f"the run {self.path} was trained on another cohort than {cohort.path} "
                f"(expected fingerprint {self.cohort_fingerprint[:8]}, found {cohort.fingerprint[:8]}); "
                "give the right cohort with --cohort"
            )
        return self.spec.inputs.of(cohort)

    def load(self) -> nn.Module:
        """Build the network with its trained weights, in evaluation mode.

        Raises
        ------
        StaleError
            If the weights file has changed since the run was finished.
        """
        if self.weights_fingerprint != _read(self.path).weights:
            raise StaleError(
                f"{self.path / WEIGHTS} was changed after training; restore it, or import the model again"
            )
        return self.model_with(read_weights(self.path / WEIGHTS))

    def model_with(self, weights: dict[str, Tensor]) -> nn.Module:
        """Build the network with other weights of the same run, in evaluation mode."""
        model = build(self.spec, code=self.code)
        load_weights(model, weights, source=str(self.path))
        return model.eval()


def _what_it_is(path: Path) -> str:
    """Return what a directory without run.json is, and what to give instead."""
    if (path / MANIFEST).exists():
        return "it is a cohort: give the run of a model, as made by memberscan train COHORT RUN"
    if (path / "audit.json").exists():
        return "it is an audit: give the run that was audited, or show it with memberscan report"
    if (path / TRANSCRIPT).exists():
        return "it is a transcript: give the run that it belongs to, or import it with memberscan import"
    if not (path / REQUEST).exists():
        return "it has no run.json: give the directory of a finished run"
    request = load_json(path / REQUEST)
    command = str(request.get("command", "")) if isinstance(request, dict) else ""
    if command.split(" ")[0] in ("cohort", "audit", "report"):
        return f"it is an unfinished output of memberscan {plain(command)[:20]}: give the directory of a run"
    return "it was not finished: run the same command again"


def _read(path: Path) -> _Stated:
    """Read run.json; :class:`BadInputError` says what is wrong with it."""
    content = load_json(path / DONE)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != _SCHEMA:
        raise BadInputError(
            f"{path / DONE} has schema {schema!r}, this version reads {_SCHEMA!r}; train or "
            "import it again with this version"
        )
    return stated(_Stated, content, str(path / DONE))


def _digests(path: Path, roles: Roles) -> tuple[str, ...]:
    """Return what run.json may hold as the digest of the roles; early versions had no salt."""
    salt = path / SALT
    return (keyed(read_salt(salt), roles.fingerprint),) if salt.exists() else (roles.fingerprint,)
