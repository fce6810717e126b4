"""What a federation does: the model, how each learner trains, for how long, and what is protected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memberscan.errors import BadInputError, TooLargeError
from memberscan.files import fingerprint
from memberscan.received import parse_json
from memberscan.training import TrainingConfig

SECURE = ("none", "ckks")
_LONGEST = 1 << 14
"""Characters of the longest settings that a party reads; ours have a few hundred."""
MOST_ROUNDS = 10_000
"""Far above any real training. This and the limits below keep a message from occupying a site for days."""


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

    @property
    def digest(self) -> str:
        """The digest that a site states in its configuration to agree to these settings and to no others."""
        return fingerprint(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Read what :meth:`to_json` gives, from whoever sent it; every value is checked.

        Raises
        ------
        BadInputError
            If it is not JSON, lacks a setting, has one that is unknown, of another type, or out of range.
        """
        if len(text) > _LONGEST:
            raise TooLargeError(
                f"the settings have {len(text):,} characters, and at most {_LONGEST:,} are read; "
                "shorten their options"
            )
        try:
            # What a message leaves out has the defaults of the classes above.
            values = _Stated.model_validate(parse_json(text, "the settings")).model_dump(exclude_unset=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))[:100] or "their form"
            raise BadInputError(
                f"the settings of the federation cannot be taken ({place}: {first['msg']}); correct them on "
                "the server, and install the same version of memberscan everywhere"
            ) from error
        return cls(**{**values, "training": TrainingConfig(**values["training"])})


_Word = Annotated[str, Field(max_length=100)]
_Rate = Annotated[float, Field(ge=0, le=1e3, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Training(_Strict):
    """What a message may state for :class:`TrainingConfig`, which checks the words."""

    epochs: Annotated[int, Field(ge=1, le=1_000)]
    learning_rate: _Rate | None = None
    weight_decay: _Rate = 0.0
    batch_size: Annotated[int, Field(ge=1, le=4_096)] = 1
    keep: _Word = ""
    patience: Annotated[int, Field(ge=1, le=1_000)] | None = None
    precision: _Word = ""
    device: _Word = ""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    optimizer: _Word = ""


class _Stated(_Strict):
    """What a message may state for :class:`Settings`, which checks the words."""

    model: _Word
    options: Annotated[
        dict[_Word, int | Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=10)
    ] = {}
    training: _Training
    rounds: Annotated[int, Field(ge=1, le=MOST_ROUNDS)] = 1
    min_learners: Annotated[int, Field(ge=1, le=10_000)] = 1
    timeout: Annotated[float, Field(gt=0, le=1e7, allow_inf_nan=False)] = 1.0
    secure: _Word = ""
    everyone_keeps: bool = False
