"""What the embeddings of a contrastively trained encoder give away, beside what a head on top does."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import KFold
from torch import Tensor

from memberscan import seeds
from memberscan.attacks import REGISTRY
from memberscan.attacks.attempt import attempt, observe, one_thread
from memberscan.cohort import Cohort
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_aucs
from memberscan.files import write_bytes, write_table
from memberscan.models.inputs import as_inputs
from memberscan.runs import Role, Roles
from memberscan.signals import see
from memberscan.studies import contrastive
from memberscan.studies.contrastive import AgeFromEmbedding, contrastive_loss, trained, view_of
from memberscan.targets.trained_model import TrainedModel
from memberscan.task_pool import in_order
from memberscan.threat import Access, ThreatModel
from memberscan.training import import_run

if TYPE_CHECKING:
    from jaxtyping import Float

SUBJECTS, SPACING, MODELS = 240, 8.0, 5
PEOPLE = 40
"""On each side; all others are used neither in the training nor in the attacks, except in the last rows."""
LENGTHS = (0, 30, 100, 300)
"""Epochs."""
PENALTIES = np.logspace(-5, 1, 13)
"""Of ridge regressions, in units of the total square of the centred embeddings."""
EMBEDDINGS = {"features": contrastive.on_features, "projection": contrastive.on_projection}
ATTACKS = {
    "similarity": "embedding-similarity:zero-knowledge",
    "similarity_learnt": "embedding-similarity",
    "norm": "embedding-norm",
    "error": "error:zero-knowledge",
    "prediction_label": "prediction+label",
}
"""Columns, and the attacks whose AUC they have: three on the embedding, two on the head's predictions."""
_LOSSES = 4
"""How often views are drawn for a loss."""


class Sides(NamedTuple):
    """Subjects that are trained on, those that they are compared with, and all others."""

    members: list[str]
    nonmembers: list[str]
    rest: list[str]


def encoder(out: Path, *, data: Path | None = None, seed: int = 0, processes: int = 1) -> pd.DataFrame:
    """Train encoders for increasing numbers of epochs, and attack embeddings and heads.

    Parameters
    ----------
    out
        Directory for cohort, runs and the table.
    data
        A folder with the BIDS dataset ``ixi``; without one the images are phantoms.
    seed
        Of the phantoms, and of the first of the models.
    processes
        How many encoders are trained at the same time.

    Returns
    -------
    DataFrame
        One row per embedding and number of epochs, with means over the models: the contrastive loss of
        members and of others on new views; R2 and mean absolute error (years) of a linear regression of age
        on the embedding, cross-validated among people used nowhere else; and AUC of attacks on the embedding
        and on a linear head that was fitted to the members. R2 and AUC have standard errors over the models.
        The last rows are of the longest training, with members drawn among people that it never saw.
    """
    if data is None:
        Cohort.phantom(out / "cohort", subjects=SUBJECTS, spacing=SPACING, seed=seed)
    else:
        Cohort.from_bids(data / "ixi", out / "cohort", spacing=SPACING, recentre=True)
    work = functools.partial(_rows_of_model, out)
    rows = [row for rows in in_order(work, range(seed, seed + MODELS), processes) for row in rows]
    groups = pd.DataFrame(rows).groupby(["members", "embedding", "epochs"], sort=False)
    table = groups.mean()
    for column in ("r2", *ATTACKS):
        table.insert(list(table).index(column) + 1, f"{column}_se", groups[column].sem())
    table = table.sort_index(
        level="members", sort_remaining=False, ascending=False, kind="stable"
    ).reset_index()
    write_table(out / "encoder.tsv", table.round(4))
    return table


def _rows_of_model(out: Path, seed: int) -> list[dict[str, Any]]:
    """Train one encoder, and audit it after each number of epochs."""
    cohort = Cohort.open(out / "cohort")
    sides = drawn_sides(cohort.subjects, seed)
    members = as_inputs(cohort, _scans(cohort, sides.members))
    rows = []
    for epochs, weights in trained(members, LENGTHS, seed):
        for name, made in EMBEDDINGS.items():
            network = made()
            network.load_state_dict({**network.state_dict(), **_shared(network, weights)})
            network.eval()
            fit_head(network, cohort, sides.members)
            place = out / f"{name}-{epochs}-{seed}"
            code = f"{contrastive.__name__}:{made.__name__}"
            audited = functools.partial(audit_of, cohort, network, code, seed=seed)
            row = {"members": "trained on", "embedding": name, "epochs": epochs}
            losses = losses_of(weights, cohort, sides, seed)
            quality = quality_of(network, cohort, sides.rest, seed)
            rows.append({**row, **losses, **quality, **audited(place, sides.members, sides.nonmembers)})
            if epochs == LENGTHS[-1]:
                half = min(PEOPLE, len(sides.rest) // 2)
                others = sides.rest[:half], sides.rest[half : 2 * half]
                row["members"] = "drawn afterwards"
                rows.append({**row, **audited(place.with_name(f"{place.name}-drawn"), *others)})
    return rows


def drawn_sides(subjects: Sequence[str], seed: int) -> Sides:
    """Draw who is trained on, and with whom members are compared."""
    order = seeds.generator(seed, "sides").permutation(len(subjects))
    drawn = [subjects[place] for place in order]
    return Sides(drawn[:PEOPLE], drawn[PEOPLE : 2 * PEOPLE], drawn[2 * PEOPLE :])


def _scans(cohort: Cohort, subjects: Sequence[str]) -> list[str]:
    return [str(scan) for scan in cohort.scans.index[cohort.scans["subject_id"].isin(subjects)]]


def _shared(network: AgeFromEmbedding, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those of the trained weights that a network has; the head is fitted afterwards."""
    own = network.state_dict()
    return {name: value for name, value in weights.items() if name in own and not name.startswith("output")}


@torch.no_grad()
def embeddings_of(
    network: AgeFromEmbedding, cohort: Cohort, scans: Sequence[str]
) -> Float[np.ndarray, "scans d"]:
    """Return the embedding of each scan."""
    parts = [network.embedding(part) for part in torch.split(as_inputs(cohort, scans), PEOPLE)]
    return np.asarray(torch.cat(parts).double().numpy())


def fit_head(network: AgeFromEmbedding, cohort: Cohort, subjects: Sequence[str]) -> None:
    """Fit the head to the ages of some people by ridge regression, on embeddings that stay as they are."""
    scans = _scans(cohort, subjects)
    age = cohort.scans.loc[scans, "age"].to_numpy(float)
    weights, offset = regression(embeddings_of(network, cohort, scans), age)
    with torch.no_grad():
        network.output.weight.copy_(torch.tensor(weights)[None])
        network.output.bias.fill_(offset)


def regression(
    embeddings: Float[np.ndarray, "scans d"], age: Float[np.ndarray, " scans"]
) -> tuple[Float[np.ndarray, " d"], float]:
    """Return weights and offset of a ridge regression with the least leave-one-out error.

    Columns keep their scales: a feature that is nearly the same for everybody would be blown up otherwise.
    """
    total = float(np.square(embeddings - embeddings.mean(axis=0)).sum())
    model = RidgeCV(PENALTIES * total).fit(embeddings, age)
    return np.asarray(model.coef_), float(model.intercept_)


def quality_of(
    network: AgeFromEmbedding, cohort: Cohort, subjects: Sequence[str], seed: int
) -> dict[str, float]:
    """Return R2 and mean absolute error (years) of a linear regression of age, cross-validated in 5 parts."""
    scans = _scans(cohort, subjects)
    age = cohort.scans.loc[scans, "age"].to_numpy(float)
    embeddings, found = embeddings_of(network, cohort, scans), np.zeros(len(age))
    parts = KFold(5, shuffle=True, random_state=seeds.integer(seed, "quality"))
    for fitted, tested in parts.split(embeddings):
        weights, offset = regression(embeddings[fitted], age[fitted])
        found[tested] = embeddings[tested] @ weights + offset
    return {"r2": float(r2_score(age, found)), "mae": float(mean_absolute_error(age, found))}


@torch.no_grad()
def losses_of(weights: Mapping[str, Tensor], cohort: Cohort, sides: Sides, seed: int) -> dict[str, float]:
    """Return the mean contrastive loss of members and of as many others, each on new views."""
    network = contrastive.on_projection()
    network.load_state_dict(dict(weights))
    network.eval()
    found = {}
    for column, subjects in (("loss_members", sides.members), ("loss_others", sides.nonmembers)):
        volumes = as_inputs(cohort, _scans(cohort, subjects))
        generator = torch.Generator().manual_seed(seeds.integer(seed, "new views"))
        losses = [
            contrastive_loss(*(network.embedding(view_of(volumes, generator)) for _ in range(2)))
            for _ in range(_LOSSES)
        ]
        found[column] = float(torch.stack(losses).mean())
    return found


def audit_of(
    cohort: Cohort,
    network: AgeFromEmbedding,
    code: str,
    place: Path,
    members: Sequence[str],
    nonmembers: Sequence[str],
    *,
    seed: int,
) -> dict[str, float]:
    """Import a network as a run, attack it, and return AUCs by column."""
    roles = Roles({**dict.fromkeys(members, Role.MEMBER), **dict.fromkeys(nonmembers, Role.NONMEMBER)})
    weights = place.with_suffix(".safetensors")
    write_bytes(weights, save(network.state_dict()))
    run = import_run(place, cohort=cohort, model=code, roles=roles, weights=weights)
    target = TrainedModel.open(run.path, ThreatModel(Access.WEIGHTS), model=code, seed=seed)
    attacks = [REGISTRY[name] for name in ATTACKS.values()]
    view = see(target, [signal for attack in attacks for signal in attack.reads], place / "signals")
    with one_thread():
        scores = [attempt(attack, observe(attack, view), target) for attack in attacks]
        found = estimate_aucs([each for each in scores if each is not None], DeLong())
    by_name = dict(zip(found.attacks, found.auc.tolist(), strict=True))
    return {column: by_name[name] for column, name in ATTACKS.items()}
