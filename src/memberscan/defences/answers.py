"""What defences that change the answers of a model as a service have in common."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.defences.defence import Defence
from memberscan.errors import BadInputError, ModelError

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

    from memberscan.cohort import Cohort
    from memberscan.models.regressor import AgeRegressor


@dataclass(frozen=True, eq=False)
class OwnPeople:
    """What a service knows of the people whom its model was trained on, and of people held out.

    Parameters
    ----------
    labels
        The true label of each input that the model was trained on; NaN for all others.
    members, others
        Residuals (label minus prediction) of scans that it was trained on, and of people held out.
    """

    labels: Float[np.ndarray, " n"]
    members: Float[np.ndarray, " scans"]
    others: Float[np.ndarray, " held_out"]


def _nothing_known() -> OwnPeople:
    raise BadInputError(
        "this service does not say whom its model was trained on, which its defence needs; give Answers own"
    )


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model is about to answer.

    Parameters
    ----------
    values
        Predictions, in the unit of the target.
    digests
        Gives the digest of each input: see :func:`digests_of`. It is called only if a defence needs it.
    secret
        Gives the secret of the service, which nobody who asks questions knows. It is called only if a defence
        needs it.
    place
        Of the defence among several that change answers; each has random bytes of its own.
    own
        Gives what the service knows of the people trained on. It is called only if a defence needs it.
    """

    values: Float[np.ndarray, " n"]
    digests: Callable[[], UInt8[np.ndarray, "n 32"]]
    secret: Callable[[], bytes]
    place: int = 0
    own: Callable[[], OwnPeople] = _nothing_known

    def random_bytes(self) -> UInt8[np.ndarray, "n 32"]:
        """Return bytes for each answer: the same for the same input, and like chance without the secret.

        They are HMAC-SHA256 of the place and the digest of the input, with the secret as the key. An input
        that differs in a single bit has other bytes.
        """
        key, place = self.secret(), self.place.to_bytes(4, "big")
        drawn = [hmac.digest(key, place + digest.tobytes(), "sha256") for digest in self.digests()]
        return np.frombuffer(b"".join(drawn), dtype=np.uint8).reshape(-1, 32)


def digests_of(inputs: Float[np.ndarray, "n ..."]) -> UInt8[np.ndarray, "n 32"]:
    """Return the SHA-256 of each input: of its numbers as little-endian float32, the last axis fastest."""
    rows = np.ascontiguousarray(inputs, dtype="<f4")
    made = [hashlib.sha256(row.tobytes()).digest() for row in rows]
    return np.frombuffer(b"".join(made), dtype=np.uint8).reshape(-1, 32)


class AnswerDefence(Defence):
    """Base of defences that change answers only: the model is trained as without them."""

    def require(self, model: AgeRegressor, cohort: Cohort) -> None:  # noqa: ARG002
        """Refuse targets of classes."""
        if cohort.target.classes:
            raise ModelError(
                f"{type(self).__name__} changes answers that are numbers, but the target "
                f"{cohort.target.name!r} has classes; leave this defence out"
            )

    def require_training(self, rounds: int | None, *, encrypted: bool = False) -> None:  # noqa: ARG002
        """Refuse federations."""
        if rounds is not None:
            raise BadInputError(
                f"{type(self).__name__} changes answers of a model that is offered as a service, but every "
                "learner of a federation holds the weights and computes unchanged answers; leave this "
                "defence out"
            )
