"""Twin models for the study of references: who each is trained on, and what each predicts for everybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.files import fingerprint, write_text
from memberscan.output_directory import claim
from memberscan.people import People
from memberscan.progress import progress
from memberscan.studies.reference_recipes import RECIPES, Measures

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

DONE = "done"


@dataclass(frozen=True, eq=False)
class Twins:
    """Twin models of one recipe.

    Parameters
    ----------
    scans
        Columns subject_id and age.
    answers
        Predictions of each scan by each model, in years, and those of its copies in further columns.
    inside
        Whether each model was trained on each scan. Rows 2j and 2j + 1 are twins.
    """

    scans: pd.DataFrame
    answers: Float[np.ndarray, "models scans one_and_copies"]
    inside: Bool[np.ndarray, "models scans"]

    @property
    def predictions(self) -> Float[np.ndarray, "models scans"]:
        """Of the scans themselves."""
        return self.answers[:, :, 0]

    @property
    def copies(self) -> Float[np.ndarray, "models scans copies"]:
        """Of changed copies of the scans."""
        return self.answers[:, :, 1:]


@dataclass(frozen=True)
class Network:
    """A network that is trained on images, and how often.

    Parameters
    ----------
    name
        Of the row in the table.
    model, width, spacing, epochs
        The network, the grid of the images in mm, and how long it is trained.
    twins
        Pairs of models.
    phantoms
        How many synthetic people it is trained on in place of the people of a folder's IXI dataset.
    """

    name: str
    model: str
    spacing: float
    twins: int
    epochs: int = 30
    width: int = 24
    phantoms: int = 0


def paired(subjects: pd.DataFrame) -> Int[np.ndarray, "pairs 2"]:
    """Match subjects in pairs of one site and sex and of neighbouring ages; an odd one stays alone.

    Parameters
    ----------
    subjects
        Columns age, sex and site, one row a subject.
    """
    left = subjects.reset_index(drop=True).sort_values(["site", "sex", "age"], kind="stable")
    pairs: list[np.ndarray] = []
    for alike in (["site", "sex"], ["site"], []):
        if left.empty:
            break
        keys = left[alike].astype(str).agg("/".join, axis=1) if alike else pd.Series("", index=left.index)
        for _, group in left.groupby(keys.to_numpy(), sort=True):
            places = group.sort_values("age", kind="stable").index.to_numpy()
            pairs.append(places[: len(places) // 2 * 2].reshape(-1, 2))
        left = left.loc[~left.index.isin(np.concatenate(pairs).ravel())]
    return np.concatenate(pairs)


def halves(
    people: People, pairs: Int[np.ndarray, "pairs 2"], twins: int, seed: int
) -> Bool[np.ndarray, "models people"]:
    """Return who each model is trained on: one of every pair, and the others for its twin."""
    inside = np.zeros((2 * twins, len(people)), dtype=bool)
    for j in range(twins):
        first = seeds.generator(seed, "halves", j).integers(0, 2, len(pairs))
        inside[2 * j, pairs[np.arange(len(pairs)), first]] = True
        inside[2 * j + 1, pairs[np.arange(len(pairs)), 1 - first]] = True
    return inside


def of_measures(measures: Measures, name: str, out: Path, *, twins: int, seed: int) -> Twins:
    """Train twin models of a recipe on a table; models that ``out`` has already are kept."""
    import torch

    from memberscan.models.copies import Copies

    people = People.of(measures.scans["subject_id"])
    described = people.covariates(measures.scans[["age", "sex", "site"]])
    inside = halves(people, paired(described), twins, seed)[:, people.of_scan]
    age = measures.scans["age"].to_numpy(float)
    rows = torch.from_numpy(measures.features)
    versions = [each.numpy() for each in (rows, *Copies.of_rows(measures.features)(rows))]

    def one(k: int) -> np.ndarray:
        predict = RECIPES[name](measures.features[inside[k]], age[inside[k]], seeds.integer(seed, name, k))
        return np.stack([predict(version) for version in versions], axis=1)

    content = fingerprint([measures.features.round(9).tolist(), measures.scans.to_dict("list")])
    request = _request([name], content, twins, seed)
    return Twins(measures.scans, _kept(out, request, one), inside)


def of_images(cohort: Cohort, out: Path, kind: Network, *, seed: int) -> Twins:
    """Train twin networks on images; models that ``out`` has already are kept, an unfinished one resumes."""
    from memberscan.runs import Role, Roles
    from memberscan.training import TrainingConfig, train
    from memberscan.training.recipes import answers_of

    people = People.of(cohort.scans["subject_id"])
    described = people.covariates(cohort.scans[["age"]]).assign(sex="", site="")
    inside = halves(people, paired(described), kind.twins, seed)

    def one(k: int) -> np.ndarray:
        sides = zip(people.ids, inside[k].tolist(), strict=True)
        roles = Roles({subject: Role.MEMBER if member else Role.NONMEMBER for subject, member in sides})
        config, options = TrainingConfig(epochs=kind.epochs, seed=k), {"width": kind.width}
        path = out / f"run-{k}"
        made = train(cohort, path, model=kind.model, members=roles, options=options, config=config)
        return answers_of(made.load(), cohort, "auto")

    request = _request([kind.model, kind.width, kind.epochs], cohort.fingerprint, kind.twins, seed)
    return Twins(cohort.scans, _kept(out, request, one), inside[:, people.of_scan])


def _request(recipe: list[Any], content: str, twins: int, seed: int) -> dict[str, Any]:
    return {
        "command": "study references",
        "recipe": recipe,
        "content": content,
        "twins": twins,
        "seed": seed,
        "copies": True,
    }


def _kept(
    out: Path, request: dict[str, Any], one: Callable[[int], np.ndarray]
) -> Float[np.ndarray, "models scans one_and_copies"]:
    """Compute the answers of each model that is not in a directory yet, and read all."""
    models = 2 * request["twins"]
    with claim(out, request, done=DONE) as finished, progress(f"training {out.name}", models) as advance:
        for k in range(models):
            if not finished and not (out / f"{k}.npy").exists():
                partial = out / "partial.npy"
                np.save(partial, one(k))
                partial.replace(out / f"{k}.npy")
            advance(1)
        if not finished:
            write_text(out / DONE, "")
    return np.stack([np.load(out / f"{k}.npy", allow_pickle=False) for k in range(models)])
