"""Transcripts of other programs: a folder of state dicts, with one sub-folder per round."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from memberscan.errors import BadInputError, TooLargeError, TranscriptError
from memberscan.files import fingerprint
from memberscan.models.weights import SLACK, WEIGHTS_LIMIT, fitted, is_safetensors
from memberscan.received import load_npz, load_safetensors, read_limited
from memberscan.runs.names import GLOBAL, RULE, unusable_name
from memberscan.runs.roles import natural_order

if TYPE_CHECKING:
    from torch import Tensor

GLOBAL_NAMES = (GLOBAL, "server", "aggregate")
_READABLE = (".safetensors", ".npz")
_UNREADABLE = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".npy", ".h5", ".msgpack")


@dataclass(frozen=True)
class ForeignTranscript:
    """A folder of state dicts: round 0 holds the initial model, round t the models at the end of round t.

    Parameters
    ----------
    path
        The folder.
    rounds
        For each round from 0, the model file of each learner; "global" is the global model.
    """

    path: Path
    rounds: tuple[Mapping[str, Path], ...]

    @classmethod
    def open(cls, path: Path) -> ForeignTranscript:
        """Find the models of each round; no file is read.

        Raises
        ------
        TranscriptError
            If a round is missing, exists twice, or has no global model, or if one of its files is ambiguous
            or not readable.
        """
        folders: dict[int, Path] = {}
        for folder in sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")):
            numbers = re.findall(r"[0-9]+", folder.name)
            if len(numbers) > 1:
                raise TranscriptError(
                    f"{folder} has several numbers in its name; keep the round's number only"
                )
            if numbers and (other := folders.setdefault(int(numbers[0]), folder)) != folder:
                raise TranscriptError(f"{other} and {folder} are both round {int(numbers[0])}; keep one")
        if not folders:
            raise TranscriptError(
                f"{path} is not a transcript: it has no transcript.json, and no sub-folder with the number "
                "of a round in its name"
            )
        if 0 not in folders:
            raise TranscriptError(
                f"{path} has no round 0, the initial global model, which is needed to know what the first "
                "round changed; add it as 0/global.safetensors. If it was not kept, rename the folders "
                "so that the first one is 0, and keep only the global model in it"
            )
        # No range up to the last number here: a folder can have a number of any size in its name.
        if missing := [n for n, number in enumerate(sorted(folders)) if n != number]:
            raise TranscriptError(f"{path} lacks round {missing[0]} (its last is {max(folders)}); restore it")
        rounds = tuple(_models(folders[number]) for number in range(len(folders)))
        if early := sorted(set(rounds[0]) - {GLOBAL}):
            raise TranscriptError(
                f"{rounds[0][early[0]]} is a learner's model, but round 0 is the initial model; if your "
                "rounds count from 0, add one to the number of each folder, and add the initial global "
                "model as round 0"
            )
        if len(rounds) < 2:
            raise TranscriptError(f"{path} holds the initial model but no round; add the rounds")
        return cls(path, rounds)

    @property
    def learners(self) -> tuple[str, ...]:
        """All learners that have a model in some round, in natural order."""
        return natural_order({name for models in self.rounds for name in models} - {GLOBAL})

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all models."""
        digests = [
            {n: fingerprint(read_limited(p, WEIGHTS_LIMIT)) for n, p in sorted(models.items())}
            for models in self.rounds
        ]
        return fingerprint(digests)

    def model(self, number: int, name: str, template: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Read a model and rename its parameters as in ``template``; names may differ only in spelling.

        Arrays without names are matched to ``template`` by their order.

        Raises
        ------
        TranscriptError
            If the file is damaged, is much larger than a model of this network, or does not hold numbers.
        """
        path = self.rounds[number][name]
        # Double precision takes twice the space, and a file may hold other values besides the weights.
        most = 4 * sum(value.numel() * value.element_size() for value in template.values()) + SLACK
        try:
            if path.suffix.lower() == ".safetensors":
                return fitted(load_safetensors(path, most), template)
            arrays = {key: torch.from_numpy(values) for key, values in load_npz(path, most).items()}
            return fitted(_named(arrays, template), template)
        except TooLargeError as error:
            raise TranscriptError(
                f"{error}; it is probably another model than in round 0: if so, remove the file"
            ) from error
        except OSError as error:
            raise TranscriptError(f"{path} cannot be read ({error}); restore it") from error
        except (ValueError, TypeError) as error:
            raise TranscriptError(
                f"{path} is not a state dict of this model ({error}); restore it"
            ) from error
        except BadInputError as error:
            raise TranscriptError(str(error)) from error


def _models(folder: Path) -> dict[str, Path]:
    """Return the files of a round by learner."""
    models: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
        suffix = path.suffix.lower()
        if suffix in _UNREADABLE and _begins_as_safetensors(path):
            raise TranscriptError(
                f"{path} is a safetensors file with another ending; rename it to .safetensors"
            )
        if suffix in _UNREADABLE:
            raise TranscriptError(
                f"{path} cannot be read without executing code in it, or is of an unknown type; save the "
                "state dict as .safetensors or .npz"
            )
        if suffix not in _READABLE:
            continue
        name = GLOBAL if path.stem in GLOBAL_NAMES else path.stem
        if (other := models.setdefault(name, path)) != path:
            raise TranscriptError(f"{other} and {path} are both the model of {name}; keep one")
    if bad := unusable_name(name for name in models if name != GLOBAL):
        raise TranscriptError(f"{models[bad]}: a learner cannot be called {bad!r}: {RULE}; rename the file")
    if GLOBAL not in models:
        raise TranscriptError(
            f"{folder} has no global model; name it {' or '.join(GLOBAL_NAMES)}, .safetensors or .npz"
        )
    return models


def _begins_as_safetensors(path: Path) -> bool:
    with path.open("rb") as stream:
        return is_safetensors(stream.read(9), path.stat().st_size)


def _named(arrays: dict[str, Tensor], template: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name arrays that were saved without names after the template's parameters, in order."""
    places = [f"arr_{place}" for place in range(len(arrays))]
    if set(arrays) != set(places):
        return arrays
    if len(arrays) != len(template):
        raise ValueError(f"it holds {len(arrays)} arrays, but the model has {len(template)}")
    return {name: arrays[place] for name, place in zip(template, places, strict=True)}
