"""Import transcripts, and accept only complete ones, of one model, with learners that the roles name."""

from __future__ import annotations

import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from memberscan.cohort import Cohort
from memberscan.errors import RolesError, TranscriptError
from memberscan.models import load_weights
from memberscan.runs import Role, Roles, Transcript
from memberscan.runs.foreign import ForeignTranscript
from memberscan.runs.names import GLOBAL, RULE, unusable_name
from memberscan.runs.roles import natural_order
from memberscan.runs.transcript import MANIFEST, ROUNDS, SEEN_BY_LEARNERS, Participation
from memberscan.training.transcript_checks import (
    AllDifferencesError,
    LeftOut,
    Summariser,
    faulty_models,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

_LOG = logging.getLogger("memberscan.import")
_ABSENT = "the imported transcript holds no model of it"


class Imported(ABC):
    """A transcript to import: it is first checked as a whole, then written."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of all its content."""

    @abstractmethod
    def options_of(self, model: str) -> Mapping[str, Any]:
        """Return the options that the transcript records for a model of this name."""

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """Names of the parameters, if a transcript of memberscan records them; else empty."""

    @property
    @abstractmethod
    def held(self) -> Sequence[Sequence[str]]:
        """Names of the learners with a model in each round, from round 0, with "global" last."""

    @abstractmethod
    def model(self, number: int, name: str, network: nn.Module) -> dict[str, Tensor]:
        """Read a learner's or the global model of a round, with the network's parameter names."""

    @abstractmethod
    def source(self, number: int, name: str) -> str:
        """Return the name of a model for error messages."""

    @abstractmethod
    def write(self, run: Path, network: nn.Module, cohort: Cohort, left_out: LeftOut) -> dict[str, Any]:
        """Write the run's transcript, or finish an interrupted one, and return the federation's facts."""

    def check(self, network: nn.Module, cohort: Cohort) -> LeftOut:
        """Read every model and try it; afterwards, the network holds the last global model.

        Returns
        -------
        LeftOut
            Learners whose models are faulty and left out, by round, with the reason.

        Raises
        ------
        ModelError
            If the initial model does not fit the network.
        TranscriptError
            If a file is damaged, holds NaN, or holds another model than the initial one; or if a global model
            is certain to be wrong.
        """
        summariser = Summariser(network, cohort)
        rounds = []
        for number, names in enumerate(self.held):
            summaries = {}
            for name in names:
                model, source = self.model(number, name, network), self.source(number, name)
                if not number:
                    load_weights(network, model, source=source)
                _require_same(network, model, source)
                summaries[name] = summariser.summarise(model, source)
            rounds.append(summaries)
        return faulty_models(rounds, summariser.guess, summariser.absurd)


def open_transcript(path: Path, roles: Roles) -> Imported:
    """Open a transcript of memberscan or of other software, and check its learners against the roles.

    A site that audits its own subjects names only itself as learner in its roles; the transcript may hold
    other learners. Roles that name several learners must name every learner with models in a foreign folder.

    Raises
    ------
    RolesError
        If the roles do not say which learner holds a member.
    TranscriptError
        If there is no transcript, a round is missing, or its learners are not those of the roles.
    """
    if not roles.learner:
        raise RolesError("the roles have no column learner; name the learner that holds each member")
    if unassigned := [s for s in roles.subjects(Role.MEMBER) if s not in roles.learner]:
        raise RolesError(
            f"the roles name no learner for {len(unassigned)} members, such as {unassigned[0]!r}; "
            "fill in the column learner"
        )
    if bad := unusable_name(roles.learners):
        raise RolesError(f"a learner cannot be called {bad!r}, as in the roles: {RULE}")
    if not path.is_dir():
        raise TranscriptError(
            f"{path} is not a folder; give a transcript's folder, with one sub-folder per round"
        )
    if (path / MANIFEST).exists():
        return Ours(_openable(Transcript.open(path), roles))
    foreign = ForeignTranscript.open(path)
    named = natural_order(set(roles.learner.values()))
    if unknown := [name for name in foreign.learners if name not in named and len(named) > 1]:
        raise TranscriptError(
            f"{path} holds models of {unknown[0]!r}, which is not a learner in the roles; the roles name "
            f"{', '.join(named)}"
        )
    if not set(named) & set(foreign.learners):
        raise TranscriptError(_unknown_learners(path, named, foreign.learners))
    return Foreign(foreign, roles)


def _openable(transcript: Transcript, roles: Roles) -> Transcript:
    """Return a memberscan transcript, if it has the learners of the roles and its models can be read."""
    if missing := [name for name in roles.learners if name not in transcript.learners]:
        raise TranscriptError(_unknown_learners(transcript.path, missing, transcript.learners))
    if not transcript.rounds:
        raise TranscriptError(f"{transcript.path} has no finished round; continue the federation first")
    if transcript.secure != "none" and not (transcript.path / SEEN_BY_LEARNERS).is_dir():
        raise TranscriptError(
            f"the models in {transcript.path} were encrypted, and only learners have the global models: "
            f"move the folder in which your node kept them ('keep' in its configuration) to "
            f"{transcript.path / SEEN_BY_LEARNERS}"
        )
    return transcript


def _unknown_learners(path: Path, named: tuple[str, ...] | list[str], learners: tuple[str, ...]) -> str:
    return (
        f"the roles name {', '.join(named)}, which {path} does not have; its learners are "
        f"{', '.join(learners) or 'none'}: correct the column learner"
    )


@dataclass(frozen=True)
class Ours(Imported):
    """A transcript that memberscan wrote."""

    transcript: Transcript

    @property
    def fingerprint(self) -> str:
        """A digest of all that was recorded."""
        return self.transcript.fingerprint

    def options_of(self, model: str) -> Mapping[str, Any]:
        """See :class:`Imported`."""
        settings = self.transcript.settings
        return settings.get("options", {}) if settings.get("model") == model else {}

    @property
    def names(self) -> Sequence[str]:
        """See :class:`Imported`."""
        return list(self.transcript.global_model(0))

    @property
    def held(self) -> Sequence[Sequence[str]]:
        """See :class:`Imported`."""
        learners = [sorted(set(entry.digests) - {GLOBAL}) for entry in self.transcript.rounds]
        return [[GLOBAL], *([*names, GLOBAL] for names in learners)]

    def model(self, number: int, name: str, network: nn.Module) -> dict[str, Tensor]:  # noqa: ARG002
        """See :class:`Imported`."""
        kept = self.transcript
        return kept.global_model(number) if name == GLOBAL else kept.learner_model(number, name)

    def source(self, number: int, name: str) -> str:
        """See :class:`Imported`."""
        whose = "the global model" if name == GLOBAL else f"the model of {name}"
        return f"{whose} in round {number} of {self.transcript.path}"

    def write(
        self,
        run: Path,
        network: nn.Module,  # noqa: ARG002
        cohort: Cohort,  # noqa: ARG002
        left_out: LeftOut,
    ) -> dict[str, Any]:
        """See :class:`Imported`."""
        shutil.rmtree(run / ROUNDS, ignore_errors=True)
        self.transcript.copy(run / ROUNDS, left_out)
        epochs = self.transcript.settings.get("training", {}).get("epochs")
        return _facts(len(self.transcript.rounds), epochs, self.transcript.secure)


@dataclass(frozen=True)
class Foreign(Imported):
    """A folder of state dicts that other software wrote."""

    transcript: ForeignTranscript
    roles: Roles
    differences: bool = False
    """Whether learners' files hold differences from the global model of the round before."""

    @property
    def fingerprint(self) -> str:
        """A digest of all models."""
        return self.transcript.fingerprint

    def options_of(self, model: str) -> Mapping[str, Any]:  # noqa: ARG002
        """See :class:`Imported`; a folder of state dicts states none."""
        return {}

    @property
    def names(self) -> Sequence[str]:
        """See :class:`Imported`; other programs train networks without this scale."""
        return ()

    @property
    def held(self) -> Sequence[Sequence[str]]:
        """See :class:`Imported`."""
        return [sorted(files, key=lambda name: (name == GLOBAL, name)) for files in self.transcript.rounds]

    def model(self, number: int, name: str, network: nn.Module) -> dict[str, Tensor]:
        """See :class:`Imported`."""
        template = network.state_dict()
        found = self.transcript.model(number, name, template)
        if not self.differences or name == GLOBAL:
            return found
        before = self.transcript.model(number - 1, GLOBAL, template)
        return {key: _sum(before.get(key), value) for key, value in found.items()}

    def source(self, number: int, name: str) -> str:
        """See :class:`Imported`."""
        return str(self.transcript.rounds[number][name])

    def write(self, run: Path, network: nn.Module, cohort: Cohort, left_out: LeftOut) -> dict[str, Any]:
        """See :class:`Imported`."""
        shutil.rmtree(run / ROUNDS, ignore_errors=True)
        kept = self.transcript
        learners = natural_order({*kept.learners, *self.roles.learners})
        record = Transcript.begin(run / ROUNDS, learners=learners, secure="none", settings={})
        subject = cohort.scans["subject_id"]
        samples = {name: int(subject.isin(self.roles.members_of(name)).sum()) for name in learners}
        for number, files in enumerate(kept.rounds):
            senseless = left_out.get(number, {})
            models = {name: self.model(number, name, network) for name in files if name not in senseless}
            last = models.pop(GLOBAL)
            absent = [name for name in learners if name not in files] if number else []
            record = record.record(
                number,
                last,
                {name: models[name] for name in learners if name in models},
                {name: Participation(samples[name]) for name in learners if name in models},
                {**dict.fromkeys(absent, _ABSENT), **senseless},
            )
        return _facts(len(record.rounds), None, "none")


def checked(imported: Imported, network: nn.Module, cohort: Cohort) -> tuple[Imported, LeftOut]:
    """Check a transcript, and read it as one of differences if all learners' files hold these.

    Returns
    -------
    imported, left_out
        The transcript as it is to be written, and the outcome of :meth:`Imported.check`.

    Raises
    ------
    ModelError, TranscriptError
        As :meth:`Imported.check`.
    """
    try:
        return imported, imported.check(network, cohort)
    except AllDifferencesError:
        if not isinstance(imported, Foreign):
            raise
    _LOG.warning(
        "the learners' files hold differences (the default of NVFlare): each is added to the global model of "
        "the round before"
    )
    models = replace(imported, differences=True)
    return models, models.check(network, cohort)


def _sum(before: Tensor | None, difference: Tensor) -> Tensor:
    if before is None or before.shape != difference.shape:
        return difference
    return (before.double() + difference.double()).to(before.dtype)


def _facts(rounds: int, local_epochs: int | None, secure: str) -> dict[str, Any]:
    return {"environment": None, "rounds": rounds, "local_epochs": local_epochs, "secure": secure}


def _require_same(network: nn.Module, model: Mapping[str, Tensor], source: str) -> None:
    """Raise :class:`TranscriptError` unless a model has the initial model's parameters, without NaN."""
    template = network.state_dict()
    if odd := sorted(template.keys() ^ model.keys()):
        verb = "lacks" if odd[0] in template else "has an extra parameter,"
        raise TranscriptError(f"{source} {verb} {odd[0]}: it is another model than in round 0; remove it")
    for name, tensor in model.items():
        if tensor.shape != template[name].shape:
            raise TranscriptError(
                f"{source} is another model than in round 0: {name} has shape {tuple(tensor.shape)}, not "
                f"{tuple(template[name].shape)}; remove it"
            )
        if not torch.isfinite(tensor).all():
            raise TranscriptError(f"{source} has NaN or infinite values in {name}; remove it")
