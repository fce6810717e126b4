"""How the server makes the next global model: in the clear, or of ciphertexts that it cannot read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from flwr.app import RecordDict
from torch import Tensor

from memberscan.errors import FederationError, ModelError
from memberscan.federation.records import MODEL, SEALED, chunks, clear, fact, opened, sealed
from memberscan.federation.settings import Settings
from memberscan.runs.transcript import Participation, Transcript

if TYPE_CHECKING:
    from memberscan.federation.server import Learner, Post
    from memberscan.models import AgeRegressor


class Aggregator(ABC):
    """Holds the global model, and replaces it by the learners' average."""

    def __init__(self, initial: AgeRegressor, transcript: Transcript) -> None:
        self.initial = initial
        self.transcript = transcript

    @abstractmethod
    def begin(self, post: Post, learners: Sequence[Learner]) -> None:
        """Give the initial model the common scale of ages, and record it as round 0."""

    @abstractmethod
    def message(self) -> Mapping[str, object]:
        """Return the global model as records to send."""

    @abstractmethod
    def check(self, content: RecordDict) -> None:
        """Raise :class:`ModelError` if a learner's model does not fit the others."""

    @abstractmethod
    def combine(
        self,
        post: Post,
        learners: Sequence[Learner],
        contents: Mapping[str, RecordDict],
        number: int,
        took_part: Mapping[str, Participation],
        left_out: Mapping[str, str],
    ) -> None:
        """Average the learners' models, weighted by samples, and record the round."""


class Plain(Aggregator):
    """A server that sees every learner's model."""

    def begin(self, post: Post, learners: Sequence[Learner]) -> None:  # noqa: ARG002
        """See :class:`Aggregator`."""
        models = {learner.name: opened(learner.moments) for learner in learners}
        forms = {name: {k: tuple(v.shape) for k, v in its.items()} for name, its in models.items()}
        if odd := [name for name, form in forms.items() if form != forms[learners[0].name]]:
            raise FederationError(
                f"the moments of {odd[0]} and of {learners[0].name} are of different things; "
                "install the same version of memberscan everywhere"
            )
        moments = federated_average(list(models.values()), [learner.samples for learner in learners])
        self.initial.calibrate(moments, sum(learner.samples for learner in learners))
        self.transcript = self.transcript.record(0, self.initial.state_dict())

    def message(self) -> Mapping[str, object]:
        """See :class:`Aggregator`."""
        return {MODEL: clear(self.transcript.global_model(len(self.transcript.rounds)))}

    def check(self, content: RecordDict) -> None:
        """See :class:`Aggregator`."""
        expected, model = self.initial.state_dict(), opened(content)
        if model.keys() != expected.keys():
            raise ModelError("sent another model: its parameters have other names")
        for name, tensor in model.items():
            if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
                raise ModelError(
                    f"sent another model: {name} is {tensor.dtype} of shape {tuple(tensor.shape)}, not "
                    f"{expected[name].dtype} of shape {tuple(expected[name].shape)}"
                )
            if not torch.isfinite(tensor).all():
                raise ModelError(f"sent NaN or infinite values in {name}")

    def combine(
        self,
        post: Post,  # noqa: ARG002
        learners: Sequence[Learner],
        contents: Mapping[str, RecordDict],
        number: int,
        took_part: Mapping[str, Participation],
        left_out: Mapping[str, str],
    ) -> None:
        """See :class:`Aggregator`."""
        models = {learner.name: opened(contents[learner.name]) for learner in learners}
        weights = [took_part[name].samples for name in models]
        average = federated_average(list(models.values()), weights)
        self.transcript = self.transcript.record(number, average, models, took_part, left_out)


class Encrypted(Aggregator):
    """A server that adds ciphertexts and holds no key to open them."""

    def __init__(self, initial: AgeRegressor, transcript: Transcript, public: bytes) -> None:
        super().__init__(initial, transcript)
        self.public = public

    def begin(self, post: Post, learners: Sequence[Learner]) -> None:
        """Have one learner scale the initial model by the encrypted moments: ciphertexts do not divide."""
        from memberscan.federation.ckks import weighted_sum

        samples = [learner.samples for learner in learners]
        shares = [count / sum(samples) for count in samples]
        moments = weighted_sum([chunks(learner.moments) for learner in learners], shares, self.public)
        content = {MODEL: clear(self.initial.state_dict()), SEALED: sealed(moments)}
        (reply,) = post.ask_one("query.start", learners, content, samples=sum(samples)).values()
        # A sum of one, since only sums are decrypted.
        first = weighted_sum([chunks(reply)], [1.0], self.public)
        self._record(post, learners, first, 0, {}, {})

    def message(self) -> Mapping[str, object]:
        """See :class:`Aggregator`."""
        stored = self.transcript.ciphertext(len(self.transcript.rounds))
        return {SEALED: sealed([stored[name].numpy().tobytes() for name in sorted(stored)])}

    def check(self, content: RecordDict) -> None:
        """Look at the number and the form of the ciphertexts; nothing else can be seen."""
        from memberscan.federation.ckks import check_update

        parameters = sum(tensor.numel() for tensor in self.initial.state_dict().values())
        check_update(chunks(content), parameters, self.public)

    def combine(
        self,
        post: Post,
        learners: Sequence[Learner],
        contents: Mapping[str, RecordDict],
        number: int,
        took_part: Mapping[str, Participation],
        left_out: Mapping[str, str],
    ) -> None:
        """See :class:`Aggregator`."""
        from memberscan.federation.ckks import weighted_sum

        samples = [took_part[learner.name].samples for learner in learners]
        shares = [count / sum(samples) for count in samples]
        total = weighted_sum([chunks(contents[learner.name]) for learner in learners], shares, self.public)
        self._record(post, learners, total, number, took_part, left_out)

    def _record(
        self,
        post: Post,
        learners: Sequence[Learner],
        ciphertext: list[bytes],
        number: int,
        took_part: Mapping[str, Participation],
        left_out: Mapping[str, str],
    ) -> None:
        """Let the learners keep the model, and record its ciphertexts with the digest of what they saw."""
        content = {SEALED: sealed(ciphertext)}
        kept: Mapping[str, RecordDict] = {}
        if post.settings.everyone_keeps:
            kept, _ = post.ask("query.keep", learners, content, round=number)
        # In a simulation they share a disk. Among machines, all have failed when nobody has kept it.
        kept = kept or post.ask_one("query.keep", learners, content, round=number)
        digest = str(fact(next(iter(kept.values())), "digest"))
        stored = {
            f"{place:06d}": torch.from_numpy(np.frombuffer(chunk, np.uint8).copy())
            for place, chunk in enumerate(ciphertext)
        }
        self.transcript = self.transcript.record(
            number, stored, {}, took_part, left_out, seen_by_learners=digest
        )


def check_moments(content: RecordDict, settings: Settings) -> None:
    """Raise :class:`ModelError` if the moments of a learner's ages cannot be averaged."""
    if settings.secure != "none":
        chunks(content)
    elif not all(torch.isfinite(tensor).all() for tensor in opened(content).values()):
        raise ModelError("states moments of its ages that are not finite")


def federated_average(models: Sequence[Mapping[str, Tensor]], samples: Sequence[int]) -> dict[str, Tensor]:
    """Return the average of state dicts weighted by samples, summed in double precision.

    Whole numbers, such as counters of batches, are taken from the first. Source: McMahan, Moore, Ramage,
    Hampson and Aguera y Arcas, "Communication-Efficient Learning of Deep Networks from Decentralized Data"
    (AISTATS 2017).
    """
    total = sum(samples)
    average = {}
    for name, first in models[0].items():
        if first.is_floating_point():
            weighted = [
                model[name].double() * (count / total) for model, count in zip(models, samples, strict=True)
            ]
            average[name] = torch.stack(weighted).sum(dim=0).to(first.dtype)
        else:
            average[name] = first.clone()
    return average
