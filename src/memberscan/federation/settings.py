"""What a federation does: the model, how each learner trains, for how long, and what is protected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from memberscan.errors import BadInputError
from memberscan.training import TrainingConfig

SECURE = ("none", "ckks")


@dataclass(frozen=True)
class Settings:
    """How a federation trains, by federated averaging weighted by samples.

    Parameters
    ----------
    model, options
        ``cnn3d``, ``slice-mean`` or ``mlp``, and its keyword arguments.
    training
        How a learner trains in one round; its ``epochs`` are the local epochs.
    rounds
        How many.
    min_learners
        Fewer than these in a round end the federation; what is finished is kept.
    timeout
        Seconds that the server waits for the learners of a round, on engines with processes of their own.
    secure
        "none", or "ckks": the server sees ciphertexts only.
    everyone_keeps
        Whether every learner keeps the encrypted global models that it decrypts, instead of the first one
        only; for federations of separate machines.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(epochs=4))
    rounds: int = 25
    min_learners: int = 2
    timeout: float = 3600.0
    secure: str = "none"
    everyone_keeps: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise BadInputError(f"rounds is {self.rounds}; at least 1 is needed")
        if self.min_learners < 1:
            raise BadInputError(f"min_learners is {self.min_learners}; at least 1 is needed")
        if not self.timeout > 0:
            raise BadInputError(f"timeout is {self.timeout} seconds; it must be above 0")
        if self.secure not in SECURE:
            raise BadInputError(f"secure is {self.secure!r}; choose {' or '.join(SECURE)}")
        if self.training.keep != "last" or self.training.patience:
            raise BadInputError("a learner keeps the last of its local epochs; leave keep and patience out")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"training": self.training.to_dict()}

    def to_json(self) -> str:
        """Return the settings as the parties send them to each other."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Read what :meth:`to_json` gives."""
        values = json.loads(text)
        return cls(**{**values, "training": TrainingConfig(**values["training"])})
