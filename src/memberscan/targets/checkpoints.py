"""Models that were kept while a target was trained, where an attacker has them beside the finished one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from memberscan.errors import BadInputError
from memberscan.files import fingerprint
from memberscan.models.weights import WEIGHTS_LIMIT, read_weights
from memberscan.received import read_limited

if TYPE_CHECKING:
    from torch import Tensor

_ENDINGS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


@dataclass(frozen=True)
class Checkpoints:
    """Files of weights of one training.

    Parameters
    ----------
    paths
        In the order of the training.
    """

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path) -> Checkpoints:
        """Return the files of weights of a folder, in the order of the numbers in their names.

        Raises
        ------
        BadInputError
            If there is no such folder, or it holds no file of weights.
        """
        if not folder.is_dir():
            raise BadInputError(f"{folder} is not a folder; give the folder that holds the checkpoints")
        found = [path for path in folder.iterdir() if path.suffix in _ENDINGS and path.is_file()]
        if not found:
            raise BadInputError(
                f"{folder} holds no checkpoints ({', '.join(_ENDINGS)}); memberscan train --checkpoints 5 "
                "keeps some in the run's folder checkpoints"
            )
        return cls(tuple(sorted(found, key=_in_order)))

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all files, in their order."""
        return fingerprint([fingerprint(read_limited(path, WEIGHTS_LIMIT)) for path in self.paths])

    def weights(self, place: int) -> dict[str, Tensor]:
        """Return the weights at a place of the order; errors are those of reading weights."""
        return read_weights(self.paths[place])


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Compare names as people do: epoch-9 comes before epoch-10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"([0-9]+)", path.stem)
        if part
    ]
