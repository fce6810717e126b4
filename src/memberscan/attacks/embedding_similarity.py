"""How similar a model's embeddings of changed copies of a scan are.

Contrastive training makes the embeddings of two views of a scan similar, for the scans that it is given. An
encoder that learnt them by heart does so less well for others.

Source: after Liu, Jia, Qu and Gong, "EncoderMI: Membership Inference against Pre-trained Encoders in
Contrastive Learning" (CCS 2021), of which only the abstract was read: it says that an overfitted encoder
gives more similar feature vectors for two augmented versions of a training input. The copies, that embeddings
are centred, and the features are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.learned import TILE, Block, LearnedAttack
from memberscan.attacks.unfitted import LowerForMembers
from memberscan.signals import View
from memberscan.signals.activations import ACTIVATION
from memberscan.signals.augmented_activations import AUGMENTED_ACTIVATIONS

if TYPE_CHECKING:
    from jaxtyping import Float

_ROUNDING = 1e-12
"""Of the length before centring: what is left of an embedding that is the same for every scan."""


def similarities(view: View) -> Float[np.ndarray, "n pairs"]:
    """Return the cosine of each pair among the embeddings of a scan and of its copies.

    The mean embedding of all scans is subtracted first. Without this, the features of a network that are
    never negative have cosines near 1 for any two scans.
    """
    scans, copies = view[ACTIVATION], view[AUGMENTED_ACTIVATIONS]
    count = copies.shape[1] + 1
    products, lengths = np.zeros((len(scans), count, count)), np.zeros((len(scans), count))
    for start in range(0, scans.shape[1], TILE):
        part = slice(start, start + TILE)
        own = np.asarray(scans[:, part], dtype=float)
        every = np.concatenate([own[:, None], np.asarray(copies[:, :, part], dtype=float)], axis=1)
        lengths += np.square(every).sum(axis=2)
        every -= own.mean(axis=0)
        products += every @ every.swapaxes(1, 2)
    centred = np.einsum("nvv->nv", products)
    size = np.sqrt(np.where(centred > _ROUNDING**2 * lengths, centred, np.inf))
    cosines = products / (size[:, :, None] * size[:, None])
    return np.asarray(cosines[:, *np.triu_indices(count, 1)])


def minus_mean_similarity(view: View) -> Float[np.ndarray, " n"]:
    """Return minus the mean over all pairs, which is smaller for members."""
    return np.asarray(-similarities(view).mean(axis=1))


def of_pairs(view: View) -> Float[np.ndarray, "n d"]:
    """Return the cosine of each pair, their mean and the least of them."""
    each = similarities(view)
    return np.column_stack([each, each.mean(axis=1), each.min(axis=1)])


EMBEDDING_SIMILARITY = LearnedAttack(
    "embedding-similarity",
    "how similar the model's embeddings of changed copies of the scan are",
    (ACTIVATION, AUGMENTED_ACTIVATIONS),
    on_request=True,
    blocks=(Block(of_pairs),),
)
ZERO_KNOWLEDGE_SIMILARITY = LowerForMembers(
    "embedding-similarity:zero-knowledge",
    "how similar the model's embeddings of changed copies of the scan are, without known people",
    (ACTIVATION, AUGMENTED_ACTIVATIONS),
    on_request=True,
    measure=minus_mean_similarity,
)
