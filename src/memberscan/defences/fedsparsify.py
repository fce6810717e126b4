"""FedSparsify: a federation whose models lose their smallest weights, more of them in every round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from memberscan.configuration import configuration
from memberscan.defences.defence import Defence, Merge, Step, Update
from memberscan.errors import BadInputError


@configuration
class FedSparsify(Defence):
    """Sets the smallest weights of a federation's models to zero, and trains only the others.

    In every round that prunes, learners do not train the weights that are zero in the model they received.

    Source: Stripelis, Gupta, Dhinagar, Ver Steeg, Thompson and Ambite, "Towards Sparsified Federated
    Neuroimaging Models via Weight Pruning" (2022, arXiv 2208.11669), and its public code.

    Parameters
    ----------
    sparsity
        Share of the trainable weights that are zero after the last round.
    start
        The round whose sparsity is still zero; it increases from there.
    every
        Number of rounds from one increase to the next.
    where
        "learner": every learner prunes its model before it sends it, and the server keeps the weights that at
        least half of the learners keep (half rounded down). "server": the server prunes the average.
    """

    sparsity: Annotated[float, Field(gt=0, lt=1)] = 0.95
    start: Annotated[int, Field(ge=1)] = 1
    every: Annotated[int, Field(ge=1)] = 1
    where: Literal["learner", "server"] = "learner"

    def share(self, number: int, rounds: int) -> float:
        """Return the share of weights that are to be zero after a round.

        Parameters
        ----------
        number
            The round; 0 is the initial model, which is not pruned.
        rounds
            Number of all rounds.
        """
        # The last round has the final sparsity also if "every" does not divide the number of rounds, where
        # the formula would stop below it.
        if number >= rounds:
            return self.sparsity
        if number < self.start:
            return 0.0
        # s_t = s_f + (s_i - s_f) (1 - (t' - t0) / (T - t0))^3 with s_i = 0 and t' = f floor(t / f), which may
        # be below t0 (Zhu and Gupta, "To prune, or not to prune", 2017; arXiv 2208.11669).
        pruned_at = max(self.every * (number // self.every), self.start)
        left = 1 - (pruned_at - self.start) / (rounds - self.start)
        return self.sparsity * (1 - left**3)

    def require_training(self, rounds: int | None, *, encrypted: bool = False) -> None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        if rounds is None:
            raise BadInputError(
                "the defence 'fedsparsify' prunes between the rounds of a federation, and a training in one "
                "place has none; use 'prune', which prunes the finished model"
            )
        if encrypted:
            # Decrypted zeros are only nearly zero, so that learners could not even keep to a learner's mask.
            raise BadInputError(
                "the defence 'fedsparsify' needs a server that sees which weights are zero, and with secure "
                "'ckks' it sees ciphertexts only; use secure 'none', or another defence"
            )

    def extendable(self) -> bool:
        """Return False: what is pruned in a round depends on the number of rounds."""
        return False

    def restrict(self, step: Step) -> None:
        """See :class:`~memberscan.defences.defence.Defence`."""
        # In earlier rounds, a weight can be zero because it begins there, as a bias does.
        if self.share(step.round, step.size.rounds) == 0:
            return
        # Without a gradient, momentum, second moment and weight decay of a zero weight are zero too, as the
        # optimizer of every round is a new one. It therefore stays zero.
        for p in step.model.parameters():
            if p.grad is not None:
                p.grad.masked_fill_(p == 0, 0)

    def update(self, update: Update) -> Mapping[str, Tensor]:
        """See :class:`~memberscan.defences.defence.Defence`."""
        if self.where == "server":
            return update.after
        return pruned(update.after, self.share(update.round, update.rounds))

    def merged(self, merge: Merge) -> Mapping[str, Tensor]:
        """See :class:`~memberscan.defences.defence.Defence`."""
        share = self.share(merge.round, merge.rounds)
        if self.where == "server":
            return pruned(merge.average, share)
        return voted(merge.models, merge.average) if share else merge.average


def pruned(weights: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return the weights with the smallest of all set to zero, by one threshold for all tensors.

    These are the ``int(share * N)`` smallest of N weights, or fewer if several are as large as the threshold,
    which are all kept. Weights that are not numbers stay, so that a model that diverged is noticed.

    Parameters
    ----------
    weights
        By name.
    share
        Share of the weights to prune, below 1.
    """
    sizes = torch.cat([weight.detach().abs().flatten() for weight in weights.values()]).sort().values
    threshold = sizes[int(share * len(sizes))]
    return {
        name: weight.detach().masked_fill(weight.detach().abs() < threshold, 0)
        for name, weight in weights.items()
    }


def voted(models: Sequence[Mapping[str, Tensor]], average: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the average with zeros where fewer than ``floor(L / 2)`` of L models have a weight.

    A model without a weight still counts in the average, as a zero.

    Parameters
    ----------
    models
        Pruned weights of each learner, by name.
    average
        Their average.
    """
    votes = {name: torch.stack([model[name] != 0 for model in models]).sum(dim=0) for name in average}
    needed = len(models) // 2
    return {name: weight.masked_fill(votes[name] < needed, 0) for name, weight in average.items()}


def share_of_zeros(weights: Sequence[Tensor]) -> float:
    """Return the share of weights that are zero."""
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / sum(weight.numel() for weight in weights)
