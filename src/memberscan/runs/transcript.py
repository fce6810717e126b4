"""The transcript of a federation: every global model, and every learner's model, round by round."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors.torch import save

from memberscan.errors import BadInputError, OutputConflictError, RolesError, TranscriptError
from memberscan.files import OWNER_ONLY, disk_guard, fingerprint, to_json, write_bytes, write_json
from memberscan.models.weights import WEIGHTS_LIMIT, writable
from memberscan.received import load_json, parse_safetensors, read_limited, stated
from memberscan.requests import differences, in_words
from memberscan.runs.names import CIPHERTEXT, GLOBAL, RULE, unusable_name
from memberscan.runs.roles import natural_order

if TYPE_CHECKING:
    from torch import Tensor

ROUNDS = "rounds"
MANIFEST = "transcript.json"
SEEN_BY_LEARNERS = "seen-by-learners"
"""The directory for the global models that the learners of an encrypted federation decrypt."""
_ROUND = "round.json"
_SCHEMA = "memberscan.transcript/1"
_NOTHING: Mapping[Any, Any] = MappingProxyType({})

T = TypeVar("T")


@dataclass(frozen=True)
class Participation:
    """What one learner reported about one round: number of scans, steps, mean loss (years squared).

    An imported transcript has no steps and loss, and 0 scans for a learner whose subjects are not known here.
    """

    samples: int
    steps: int | None = None
    loss: float | None = None


@dataclass(frozen=True)
class Round:
    """Who took part in one round, and who was left out and why."""

    number: int
    took_part: Mapping[str, Participation]
    left_out: Mapping[str, str]
    digests: Mapping[str, str]

    def without(self, left_out: Mapping[str, str]) -> Round:
        """Return the round with some learners left out, each with the reason."""
        return Round(
            self.number,
            {name: report for name, report in self.took_part.items() if name not in left_out},
            {**self.left_out, **left_out},
            {name: digest for name, digest in self.digests.items() if name not in left_out},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        took_part = {name: asdict(report) for name, report in self.took_part.items()}
        return {
            "number": self.number,
            "took_part": took_part,
            "left_out": dict(self.left_out),
            "digests": dict(self.digests),
        }


@dataclass(frozen=True)
class _Stated:
    """The content of transcript.json; the file may come from others, so every type is checked."""

    learners: tuple[str, ...]
    secure: str
    settings: dict[str, Any]
    nodes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Transcript:
    """The models that the server and the learners of a federation exchanged, as files that never change.

    Round 0 holds only the initial model. Round t holds the model of each learner after it trained the
    global model of round t - 1, and the global model aggregated from them. If updates were encrypted, the
    learners' models are missing, and only the learners saw the global models.

    Parameters
    ----------
    path
        The transcript's directory.
    learners
        All learners of the federation, in natural order.
    secure
        How updates were protected from the server: "none" or "ckks".
    settings
        How the learners train, as JSON values.
    rounds
        The finished rounds, from round 1; the initial model (round 0) is not among them.
    nodes
        For each learner, the network node from which it first took part; no other node can use its name.
    """

    path: Path
    learners: tuple[str, ...]
    secure: str
    settings: Mapping[str, Any]
    rounds: tuple[Round, ...]
    nodes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def begin(
        cls,
        path: Path,
        *,
        learners: tuple[str, ...],
        secure: str,
        settings: Mapping[str, Any],
        nodes: Mapping[str, str] = _NOTHING,
        grows: bool = True,
    ) -> Transcript:
        """Begin a transcript, or continue one that was interrupted; learners may join when it continues.

        A transcript that ``grows`` continues from its last round also if only ``rounds`` was increased in the
        settings.

        Raises
        ------
        OutputConflictError
            If there is a transcript with other settings.
        RolesError
            If a learner has a name that is not allowed; nothing is written then.
        """
        wanted = json.loads(to_json({**settings, "secure": secure}))
        if (path / MANIFEST).exists():
            earlier = cls.open(path)
            changes = differences({**earlier.settings, "secure": earlier.secure}, wanted)
            longer = grows and list(changes) == ["rounds"] and changes["rounds"][0] < changes["rounds"][1]
            if changes and not longer:
                raise OutputConflictError(
                    f"{path} belongs to a federation with other settings: {in_words(changes)}; "
                    "use those settings, or another directory"
                )
            nodes = {**nodes, **earlier.nodes}
            if not changes and set(learners) <= set(earlier.learners) and nodes == earlier.nodes:
                return earlier
            learners = natural_order({*earlier.learners, *learners})
        if bad := unusable_name(learners):
            raise RolesError(f"a learner cannot be called {bad!r}: {RULE}")
        with disk_guard(path):
            path.mkdir(parents=True, exist_ok=True)
        content = {"schema": _SCHEMA, "learners": learners, "secure": secure, "settings": dict(settings)}
        if nodes:
            content["nodes"] = dict(nodes)
        write_json(path / MANIFEST, content)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str) -> Transcript:
        """Open a transcript, finished or not.

        Raises
        ------
        TranscriptError
            If there is no transcript, it is damaged, or a round before the last one is missing.
        """
        path = Path(path)
        if not (path / MANIFEST).is_file():
            raise TranscriptError(f"{path} is not a transcript (it has no {MANIFEST})")
        content = load_json(path / MANIFEST)
        schema = content.get("schema") if isinstance(content, dict) else None
        if schema != _SCHEMA:
            raise TranscriptError(f"{path / MANIFEST} has schema {schema!r}, this version reads {_SCHEMA!r}")
        found = _as_transcript(_Stated, content, path / MANIFEST)
        if bad := unusable_name(found.learners):
            raise TranscriptError(
                f"{path / MANIFEST} names a learner {bad!r}, which is not allowed; restore the file"
            )
        numbers = sorted(int(p.name) for p in path.iterdir() if re.fullmatch("[0-9]{4,9}", p.name))
        missing = next((place for place, number in enumerate(numbers) if place != number), None)
        if missing is not None:
            raise TranscriptError(
                f"{path} lacks round {missing} (it has {_spans(numbers)}); restore its directory "
                f"{path / _name(missing)}, or federate again into another directory"
            )
        rounds = tuple(_round(path / _name(n) / _ROUND, n, found.learners) for n in numbers)[1:]
        return cls(path, found.learners, found.secure, found.settings, rounds, found.nodes)

    @property
    def begun(self) -> bool:
        """Whether the initial model has been written."""
        return (self.path / _name(0)).exists()

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all that was recorded."""
        facts = [self.learners, self.secure, dict(self.settings), [r.to_dict() for r in self.rounds]]
        return fingerprint([facts, dict(self._stated(0).digests)])

    def global_model(self, number: int) -> dict[str, Tensor]:
        """Return the global state dict at the end of a round; round 0 is the initial model."""
        return self._read(number, GLOBAL)

    def learner_model(self, number: int, learner: str) -> dict[str, Tensor]:
        """Return the state dict that a learner sent in a round."""
        return self._read(number, learner)

    def record(
        self,
        number: int,
        global_model: Mapping[str, Tensor],
        learner_models: Mapping[str, Mapping[str, Tensor]] = _NOTHING,
        took_part: Mapping[str, Participation] = _NOTHING,
        left_out: Mapping[str, str] = _NOTHING,
        *,
        seen_by_learners: str | None = None,
    ) -> Transcript:
        """Write a finished round, completely or not at all, and return the longer transcript.

        Earlier rounds are not read again, so that the time per round does not grow with their number.

        Parameters
        ----------
        number
            The round; 0 for the initial model.
        global_model, learner_models
            State dicts; for an encrypted federation, only the ciphertexts of the global model.
        took_part, left_out
            What each learner reported, and why a learner was left out, by learner.
        seen_by_learners
            For an encrypted federation, the digest of the global model that the learners decrypted.

        Raises
        ------
        TranscriptError
            If it is not the round after the last one of this transcript.
        """
        if number != (len(self.rounds) + 1 if self.begun else 0):
            raise TranscriptError(
                f"round {number} does not follow the {len(self.rounds)} rounds of {self.path}"
            )
        partial = self.path / f".{_name(number)}.partial"
        with disk_guard(self.path):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
        digests = {} if seen_by_learners is None else {GLOBAL: seen_by_learners}
        models = {GLOBAL: global_model} if seen_by_learners is None else {CIPHERTEXT: global_model}
        for name, model in {**models, **learner_models}.items():
            data = save(writable(model))
            # A learner's model carries information about its subjects.
            write_bytes(partial / _file(name), data, mode=OWNER_ONLY)
            if name != CIPHERTEXT:
                digests[name] = fingerprint(data)
        entry = Round(number, dict(took_part), dict(left_out), digests)
        write_json(partial / _ROUND, entry.to_dict())
        with disk_guard(self.path):
            partial.rename(self.path / _name(number))
        # Ciphertexts are large, and only the last ones are needed, to resume.
        (self.path / _name(number - 1) / _file(CIPHERTEXT)).unlink(missing_ok=True)
        return replace(self, rounds=(*self.rounds, entry)) if number else self

    def copy(self, path: Path, left_out: Mapping[int, Mapping[str, str]] = _NOTHING) -> Transcript:
        """Copy the transcript to another directory, without ciphertexts, which no audit reads.

        Parameters
        ----------
        path
            The other directory.
        left_out
            Learners to leave out of the copy, by round, with the reason.
        """
        places = [self.path / MANIFEST]
        for number in range(len(self.rounds) + 1):
            entry, without = self._stated(number), left_out.get(number, {})
            places += [self._place(number, name) for name in entry.digests if name not in without]
            if without:
                target = path / _name(number)
                with disk_guard(path):
                    target.mkdir(parents=True, exist_ok=True)
                write_json(target / _ROUND, entry.without(without).to_dict())
            else:
                places.append(self.path / _name(number) / _ROUND)
        for place in places:
            copied = path / place.relative_to(self.path)
            with disk_guard(path):
                copied.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(copied, _bytes(place), mode=OWNER_ONLY)
        return Transcript.open(path)

    def ciphertext(self, number: int) -> dict[str, Tensor]:
        """Return the ciphertexts of the last global model, as the server holds them."""
        path = self.path / _name(number) / _file(CIPHERTEXT)
        try:
            return parse_safetensors(read_limited(path, WEIGHTS_LIMIT), str(path))
        except (FileNotFoundError, BadInputError) as error:
            raise TranscriptError(
                f"the ciphertexts of round {number} in {self.path} are missing ({error})"
            ) from error

    def _read(self, number: int, name: str) -> dict[str, Tensor]:
        path = self._place(number, name)
        try:
            data = read_limited(path, WEIGHTS_LIMIT)
            if fingerprint(data) != self._stated(number).digests.get(name):
                raise TranscriptError(f"{path} is truncated or has changed since it was recorded; restore it")
            return parse_safetensors(data, str(path))
        except FileNotFoundError as error:
            raise TranscriptError(
                f"{path} does not exist: {name} was left out of the round, its model was encrypted, or the "
                "file was deleted"
            ) from error
        except BadInputError as error:
            raise TranscriptError(str(error)) from error

    def _stated(self, number: int) -> Round:
        return _round(self.path / _name(number) / _ROUND, number, self.learners)

    def _place(self, number: int, name: str) -> Path:
        if self.secure != "none" and name == GLOBAL:
            return self.path / SEEN_BY_LEARNERS / _file(_name(number))
        return self.path / _name(number) / _file(name)


def _round(path: Path, number: int, learners: Sequence[str]) -> Round:
    """Read round.json; names in it become paths, so only the transcript's learners are accepted."""
    try:
        found = _as_transcript(Round, load_json(path), path)
    except OSError as error:
        raise TranscriptError(f"{path} is missing or damaged ({error!r}); restore it") from error
    if found.number != number:
        raise TranscriptError(f"{path} belongs to round {found.number}; restore the name of its directory")
    if unknown := (found.took_part.keys() | found.digests.keys()) - {GLOBAL, *learners}:
        raise TranscriptError(
            f"{path} names {min(unknown)!r}, which is not a learner of the transcript; restore the file"
        )
    return found


def _bytes(path: Path) -> bytes:
    try:
        return read_limited(path, WEIGHTS_LIMIT)
    except FileNotFoundError as error:
        raise TranscriptError(f"{path} is missing; restore it") from error
    except BadInputError as error:
        raise TranscriptError(str(error)) from error


def _as_transcript(kind: type[T], value: Any, path: Path) -> T:
    try:
        return stated(kind, value, str(path))
    except BadInputError as error:
        raise TranscriptError(str(error)) from error


def _name(number: int) -> str:
    return f"{number:04d}"


def _file(name: str) -> str:
    return f"{name}.safetensors"


def _spans(numbers: list[int]) -> str:
    return f"rounds {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"round {numbers[0]} only"
