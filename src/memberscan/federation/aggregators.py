"""How the server makes the next global model: from models in the clear, or from ciphertexts."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from flwr.app import ConfigRecord, RecordDict
from torch import Tensor

from memberscan.defences import defence_from
from memberscan.defences.defence import Merge
from memberscan.errors import FederationError, ModelError
from memberscan.federation.averaging import federated_average, norm, outsized, shares, weights_of
from memberscan.federation.records import (
    CIPHERTEXTS,
    FACTS,
    MODEL,
    Reason,
    ciphertext_record,
    model_record,
    read_ciphertexts,
    read_model,
)
from memberscan.runs.transcript import Participation, Transcript

if TYPE_CHECKING:
    from memberscan.federation.messaging import Learner, Messenger
    from memberscan.federation.settings import Settings
    from memberscan.models import AgeRegressor

_LOG = logging.getLogger("memberscan.federation")


class Aggregator(ABC):
    """Holds the global model, and replaces it by the learners' average."""

    def __init__(self, initial: AgeRegressor, transcript: Transcript) -> None:
        self.initial = initial
        self.transcript = transcript

    @abstractmethod
    def begin(self, messenger: Messenger, learners: Sequence[Learner]) -> None:
        """Give the initial model the common scale of ages, and record it as round 0."""

    @abstractmethod
    def message(self) -> Mapping[str, object]:
        """Return the global model as records to send."""

    @abstractmethod
    def check(self, learner: str, content: RecordDict) -> None:
        """Raise an error if a learner's model does not have the requested form."""

    @abstractmethod
    def outsized(self, names: Sequence[str]) -> dict[str, Reason]:
        """Return which of the learners whose models were checked sent outsized updates, and why."""

    @abstractmethod
    def combine(
        self,
        messenger: Messenger,
        learners: Sequence[Learner],
        contents: Mapping[str, RecordDict],
        number: int,
        took_part: Mapping[str, Participation],
        left_out: Mapping[str, str],
    ) -> None:
        """Average the learners' models, weighted by samples, and record the round."""


class Plain(Aggregator):
    """A server that sees every learner's model."""

    def __init__(
        self, initial: AgeRegressor, transcript: Transcript, defence_seed: int | None = None
    ) -> None:
        super().__init__(initial, transcript)
        self.defence_seed = defence_seed
        self._models: dict[str, dict[str, Tensor]] = {}
        self._before: dict[str, Tensor] = {}

    def begin(self, messenger: Messenger, learners: Sequence[Learner]) -> None:  # noqa: ARG002
        """See :class:`Aggregator`."""
        form = moments_form(self.initial, learners[0].shape)
        moments = [read_model(learner.moments, form) for learner in learners]
        weights = weights_of([learner.samples for learner in learners])
        self.initial.calibrate(federated_average(moments, weights), sum(weights))
        state = self.initial.state_dict()
        _require_finite(state, 0)
        self.transcript = self.transcript.record(0, state)

    def message(self) -> Mapping[str, object]:
        """See :class:`Aggregator`."""
        self._models = {}
        self._before = self.transcript.global_model(len(self.transcript.rounds))
        return {MODEL: model_record(self._before)}

    def check(self, learner: str, content: RecordDict) -> None:
        """See :class:`Aggregator`."""
        model = read_model(content, self.initial.state_dict())
        for name in self.initial.fixed_buffers():
            if not torch.equal(model[name], self._before[name]):
                raise ModelError(f"changed {name}, which training does not change")
        self._models[learner] = model

    def outsized(self, names: Sequence[str]) -> dict[str, Reason]:
        """See :class:`Aggregator`."""
        parameters = [name for name, _ in self.initial.named_parameters()]
        own = norm([self._before[name] for name in parameters])
        sizes = {
            learner: norm([self._models[learner][name].double() - self._before[name] for name in parameters])
            for learner in names
        }
        return {
            name: Reason.ours(
                f"sent an update of length {sizes[name]:.3g}, while the median of the others is {others:.3g}"
            )
            for name, others in outsized(sizes, own).items()
        }

    def combine(
        self,
        messenger: Messenger,
        learners: Sequence[Learner],
        contents: Mapping[str, RecordDict],  # noqa: ARG002
        number: int,
        took_part: Mapping[str, Participation],
        left_out: Mapping[str, str],
    ) -> None:
        """See :class:`Aggregator`."""
        models = {learner.name: self._models[learner.name] for learner in learners}
        average = federated_average(
            list(models.values()), weights_of([took_part[name].samples for name in models])
        )
        _require_finite(average, number)
        average |= self._defended(messenger.settings, models.values(), average, number)
        _require_finite(average, number)
        self.transcript = self.transcript.record(number, average, models, took_part, left_out)

    def _defended(
        self,
        settings: Settings,
        models: Iterable[Mapping[str, Tensor]],
        average: Mapping[str, Tensor],
        number: int,
    ) -> Mapping[str, Tensor]:
        """Return the parameters of the average after the defence's part at the server."""
        names = [name for name, p in self.initial.named_parameters() if p.requires_grad]
        own, before, *others = (
            {name: model[name] for name in names} for model in (average, self._before, *models)
        )
        merge = Merge(others, own, before, number, settings.rounds, self.defence_seed)
        return defence_from(settings.training.defence).merged(merge)


class Encrypted(Aggregator):
    """A server that adds ciphertexts and has no key to decrypt them."""

    def __init__(self, initial: AgeRegressor, transcript: Transcript, public: bytes) -> None:
        super().__init__(initial, transcript)
        self.public = public

    def begin(self, messenger: Messenger, learners: Sequence[Learner]) -> None:
        """Let one learner scale the initial model by the encrypted moments: ciphertexts cannot divide."""
        from memberscan.federation.ckks import weighted_sum

        weights = weights_of([learner.samples for learner in learners])
        moments = weighted_sum(
            [read_ciphertexts(learner.moments) for learner in learners], shares(weights), self.public
        )
        content = {MODEL: model_record(self.initial.state_dict()), CIPHERTEXTS: ciphertext_record(moments)}
        replies = messenger.ask_one("query.start", learners, content, self._well_formed, samples=sum(weights))
        # A weighted sum of one model, because learners only decrypt sums.
        first = weighted_sum([read_ciphertexts(reply) for reply in replies.values()], [1.0], self.public)
        self._record(messenger, learners, first, 0, {}, {})

    def message(self) -> Mapping[str, object]:
        """See :class:`Aggregator`."""
        stored = self.transcript.ciphertext(len(self.transcript.rounds))
        return {CIPHERTEXTS: ciphertext_record([stored[name].numpy().tobytes() for name in sorted(stored)])}

    def check(self, learner: str, content: RecordDict) -> None:  # noqa: ARG002
        """Check the number and the form of the ciphertexts; the server cannot check their content."""
        self._well_formed(content)

    def _well_formed(self, content: RecordDict) -> None:
        from memberscan.federation.ckks import check_update

        parameters = sum(tensor.numel() for tensor in self.initial.state_dict().values())
        check_update(read_ciphertexts(content), parameters, self.public)

    def outsized(self, names: Sequence[str]) -> dict[str, Reason]:  # noqa: ARG002
        """Return no learners: the server cannot see the lengths of encrypted updates."""
        return {}

    def combine(
        self,
        messenger: Messenger,
        learners: Sequence[Learner],
        contents: Mapping[str, RecordDict],
        number: int,
        took_part: Mapping[str, Participation],
        left_out: Mapping[str, str],
    ) -> None:
        """See :class:`Aggregator`."""
        from memberscan.federation.ckks import weighted_sum

        weights = weights_of([took_part[learner.name].samples for learner in learners])
        updates = [read_ciphertexts(contents[learner.name]) for learner in learners]
        total = weighted_sum(updates, shares(weights), self.public)
        self._record(messenger, learners, total, number, took_part, left_out)

    def _record(
        self,
        messenger: Messenger,
        learners: Sequence[Learner],
        ciphertext: list[bytes],
        number: int,
        took_part: Mapping[str, Participation],
        left_out: Mapping[str, str],
    ) -> None:
        """Let the learners keep the model, and record its ciphertexts with the digest of what they saw."""
        content = {CIPHERTEXTS: ciphertext_record(ciphertext)}
        kept: Mapping[str, RecordDict] = {}
        if messenger.settings.everyone_keeps:
            kept, _ = messenger.ask("query.keep", learners, content, round=number)
        digests = {name: digest for name, reply in kept.items() if (digest := _digest(reply))}
        if not digests:
            # In a simulation, learners share a disk, so one of them is enough. In a deployment, all learners
            # failed above, so this asks again or ends with their reasons.
            replies = messenger.ask_one("query.keep", learners, content, _require_digest, round=number)
            digests = {name: _digest(reply) for name, reply in replies.items()}
        seen = _agreed(digests)
        stored = {
            f"{place:06d}": torch.from_numpy(np.frombuffer(chunk, np.uint8).copy())
            for place, chunk in enumerate(ciphertext)
        }
        self.transcript = self.transcript.record(
            number, stored, {}, took_part, left_out, seen_by_learners=seen
        )


def _digest(content: RecordDict) -> str:
    """Return the digest that a learner states; "" if it states none."""
    stated = content.config_records.get(FACTS, ConfigRecord()).get("digest")
    return stated if isinstance(stated, str) and re.fullmatch("[0-9a-f]{32}", stated) else ""


def _require_digest(content: RecordDict) -> None:
    if not _digest(content):
        raise ModelError("states no digest of the model that it decrypted")


def _agreed(digests: Mapping[str, str]) -> str:
    """Return the digest that most learners state (the first in case of a tie); warn about the others."""
    stated = list(digests.values())
    agreed = max(stated, key=stated.count)
    if others := [name for name, digest in digests.items() if digest != agreed]:
        _LOG.warning(
            "%s decrypted another global model than the others; check that all hold the same key",
            ", ".join(others),
        )
    return agreed


def moments_form(network: AgeRegressor, shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Return moments with the form that learners with inputs of this shape must state."""
    return network.moments(torch.zeros(1), torch.zeros(1, *shape) if len(shape) == 1 else None)


def _require_finite(model: Mapping[str, Tensor], number: int) -> None:
    if not all(torch.isfinite(tensor).all() for tensor in model.values()):
        raise FederationError(
            f"the average of round {number} is not finite, so it is not recorded; lower the learning "
            "rate, or find out which learner diverged"
        )
