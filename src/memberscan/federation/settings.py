"""The settings of a federation: the model, how and how long each learner trains, and what is protected."""

from __future__ import annotations

import json
from dataclasses import asdict, field
from typing import Annotated, Literal

from pydantic import Field

from memberscan.configuration import Word, at_most_for_sites, configuration, received
from memberscan.defences import defence_from
from memberscan.errors import BadInputError, TooLargeError
from memberscan.models.model_options import ModelOptions
from memberscan.training.config import TrainingConfig

LOCAL = TrainingConfig(epochs=4)
"""How a learner trains in each round by default."""
_LONGEST = 1 << 14
"""Most characters of settings that a party reads; real settings have a few hundred."""


@configuration
class Settings:
    """How a federation trains, by federated averaging weighted by samples.

    Parameters
    ----------
    model, options
        ``cnn3d``, ``slice-mean`` or ``mlp``, and its keyword arguments; in a simulation on one machine also
        ``package.module:factory`` of a network of the user's.
    training
        How a learner trains in one round; its ``epochs`` are the local epochs.
    rounds
        Number of rounds.
    min_learners
        A round with fewer learners ends the federation; finished rounds are kept.
    timeout
        Seconds that the server waits for the learners in a round, if they run in other processes.
    secure
        "none", or "ckks": the server only sees ciphertexts.
    everyone_keeps
        Whether every learner, and not only the first one, keeps the global models that it decrypts; for
        federations of separate machines.
    """

    model: Word
    options: ModelOptions = field(default_factory=ModelOptions)
    training: TrainingConfig = LOCAL
    rounds: Annotated[
        int, Field(description="Rounds of training and averaging.", ge=1), at_most_for_sites(10_000)
    ] = 25
    min_learners: Annotated[
        int, Field(description="A round with fewer ends the federation.", ge=1), at_most_for_sites(10_000)
    ] = 2
    timeout: Annotated[
        float,
        Field(description="Seconds that a round waits for learners elsewhere.", gt=0, allow_inf_nan=False),
        at_most_for_sites(1e7),
    ] = 3600.0
    secure: Annotated[
        Literal["none", "ckks"], Field(description="none, or ckks: the server sees ciphertexts only.")
    ] = "none"
    everyone_keeps: bool = False

    def __post_init__(self) -> None:
        if self.training.keep != "last" or self.training.patience:
            raise BadInputError("a learner keeps the last of its local epochs; leave keep and patience out")
        encrypted = self.secure != "none"
        defence_from(self.training.defence).require_training(self.rounds, encrypted=encrypted)

    def require_deployable(self) -> None:
        """Check that the server need not keep a seed, since that of a deployed federation keeps none.

        Raises
        ------
        BadInputError
            If a part of the defence needs it.
        """
        if defence_from(self.training.defence).needs_kept_seed():
            raise BadInputError(
                f"the defence {self.training.defence!r} plants canaries at the server, which an audit draws "
                "again from a seed, and the server of a deployed federation keeps none; leave canaries out"
            )

    def to_json(self) -> str:
        """Return the settings as the parties send them to each other."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def digest(self) -> str:
        """The digest that a site puts in its configuration to accept these settings and no others."""
        from memberscan.files import fingerprint

        return fingerprint(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Read the output of :meth:`to_json` from an untrusted sender; every value is checked.

        Raises
        ------
        BadInputError
            If it is not JSON, or a setting is missing, unknown, of the wrong type, or out of range.
        """
        from memberscan.received import parse_json

        if len(text) > _LONGEST:
            raise TooLargeError(
                f"the settings have {len(text):,} characters, and at most {_LONGEST:,} are read; "
                "shorten their options"
            )
        # Python's and pydantic's parsers accept more than JSON allows; this makes the text strict JSON first.
        plain = json.dumps(parse_json(text, "the settings"))
        try:
            return received(cls, plain)
        except BadInputError as error:
            raise BadInputError(
                f"the settings of the federation cannot be taken ({error}); correct them on the server, and "
                "install the same version of memberscan everywhere"
            ) from error
