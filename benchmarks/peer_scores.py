"""Scores of other auditing tools, in their own environment: signals come as JSON, and scores go so."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import torch
from opake import auditing
from opake.random import key
from privacy_guard.attacks.rmia_attack import RmiaAttack
from tensorflow_privacy.privacy.privacy_tests.membership_inference_attack.advanced_mia import (
    compute_score_lira,
)


def loss(residual: np.ndarray) -> np.ndarray:
    """Return minus the squared error by opake, which computes it one example at a time."""
    dataset = [(torch.tensor(r, dtype=torch.float64), index) for index, r in enumerate(residual)]
    partition = auditing.coin_flip(dataset, num_canaries=len(dataset), key=key(0))

    def squared(r: torch.Tensor) -> torch.Tensor:
        return r**2

    found = auditing.loss_scores(
        squared,
        batch_argnums=(0,),
        coin_flip=partition,
        dataset=dataset,
        collate_fn=lambda rows: (torch.stack([row[0] for row in rows]),),
    )
    scores = np.empty(len(dataset))
    scores[found.canary_indices] = found.scores
    return scores


def lira(given: dict[str, np.ndarray], *, fix_variance: bool) -> np.ndarray:
    """Return TensorFlow's LiRA; its score is small for members."""
    inside, references = given["inside"].astype(bool), given["log_square_references"]
    sides = [
        [references[mask[:, scan], scan][:, None] for scan in range(references.shape[1])]
        for mask in (inside, ~inside)
    ]
    return -compute_score_lira(
        given["log_square"][:, None], *sides, fix_variance=fix_variance, median_or_mean="mean"
    )


def rmia(given: dict[str, np.ndarray]) -> np.ndarray:
    """Return PrivacyGuard's offline RMIA, with the non-members as the population."""
    inside, references = given["inside"].astype(bool), given["confidence_references"]
    count = len(inside) // 2
    everybody = pd.DataFrame({"score_orig": given["confidence"], "user_id": np.arange(inside.shape[1])})
    for k in range(len(inside)):
        everybody[f"score_ref_{k}"] = references[k]
        everybody[f"member_ref_{k}"] = inside[k]
    population = everybody[~given["member"].astype(bool)].copy()
    # The tool takes all references of the population for ones that did not see it, and of them the half with
    # the largest scores. Zeros for the others leave it the references that really did not.
    for k in range(len(inside)):
        population.loc[population[f"member_ref_{k}"], f"score_ref_{k}"] = 0.0
    attack = RmiaAttack(
        everybody, everybody, population, None, num_reference_models=count, alpha_coefficient=given["a"][0]
    )
    attack.num_reference_models = count
    attack.run_attack()
    return attack.df_train_merge["score"].to_numpy()


if __name__ == "__main__":
    read = {name: np.array(values) for name, values in json.load(sys.stdin).items()}
    answers = {
        "loss, opake": loss(read["residual"]),
        "LiRA, variance by scan, TensorFlow": lira(read, fix_variance=False),
        "LiRA, one variance, TensorFlow": lira(read, fix_variance=True),
        "RMIA offline, PrivacyGuard": rmia(read),
    }
    print(json.dumps({name: scores.tolist() for name, scores in answers.items()}))
