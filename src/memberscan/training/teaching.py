"""Train a model on the members, or as the student of teachers that are trained on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.cohort.target_column import with_labels
from memberscan.defences import defence_from
from memberscan.errors import BadInputError, ModelError
from memberscan.files import OWNER_ONLY, write_bytes
from memberscan.models import AgeRegressor
from memberscan.models.inputs import batches, full_precision
from memberscan.models.weights import WEIGHTS_LIMIT
from memberscan.received import load_safetensors
from memberscan.training.checkpoint import Progress, teachers_folder
from memberscan.training.config import TrainingConfig
from memberscan.training.loop import fit, ignored, size_of

if TYPE_CHECKING:
    from jaxtyping import Float

_ANSWERS = "answers"


def require_students(config: TrainingConfig, held_out: bool) -> None:
    """Refuse a defence that needs people held out where there are none, or where they choose the epoch.

    Raises
    ------
    BadInputError
        Saying what to give.
    """
    defence = defence_from(config.defence)
    if defence.needs_held_out() and not held_out:
        raise BadInputError(
            f"the defence {config.defence!r} needs people whom the model is not trained on and who are not "
            "non-members either; add --validation 0.2, or give some subjects that role in the roles file"
        )
    if (teaching := defence.teaching()) is None:
        return
    if not held_out:
        raise BadInputError(
            f"the defence {teaching.name!r} trains the released model on people who are neither members nor "
            "non-members; add --validation 0.3, or give some subjects that role in the roles file"
        )
    if config.keep == "best" or config.patience:
        raise BadInputError(
            f"the defence {teaching.name!r} trains the released model on the people held out, so that they "
            "cannot choose the epoch too; use keep last, without patience"
        )


def fit_or_teach(
    model: AgeRegressor,
    cohort: Cohort,
    members: Sequence[str],
    validation: Sequence[str],
    config: TrainingConfig,
    checkpoint: Path,
    initial: Callable[[int], AgeRegressor],
    defence_seed: int = 0,
    after_epoch: Callable[[int], None] = ignored,
) -> Progress:
    """Train a model in place by :func:`.fit`: on the members, or on the answers of its defence's teachers.

    Each person belongs to one teacher. The scans that the student is trained on are those of ``validation``,
    whose own labels are not used.

    Parameters
    ----------
    model, cohort, members, validation, config, checkpoint, defence_seed, after_epoch
        See :func:`.fit`. The caller removes the checkpoint by :func:`.remove_checkpoint`. After epochs of
        teachers and of a student nothing is called.
    initial
        Returns a network with the initial weights of a seed.

    Raises
    ------
    BadInputError
        See :func:`require_students`.
    ModelError
        If a loss stops being finite, or kept answers of a teacher are damaged.
    """
    teaching = defence_from(config.defence).teaching()
    if teaching is None:
        return fit(
            model, cohort, members, validation, config, checkpoint,
            defence_seed=defence_seed, after_epoch=after_epoch,
        )  # fmt: skip
    require_students(config, bool(validation))
    parts = shares(cohort, members, teaching.teacher_count(), seeds.generator(defence_seed, "teachers"))
    folder = teachers_folder(checkpoint)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    plain = replace(config, defence=None)
    answers = [
        _answers(number, part, cohort, validation, plain, folder, initial)
        for number, part in enumerate(parts)
    ]
    size = size_of(cohort, members, config, held_out=len(validation))
    rng = seeds.generator(defence_seed, "taught")
    taught = with_labels(cohort, validation, teaching.taught(np.stack(answers), cohort.target, size, rng))
    return fit(model, taught, validation, [], plain, checkpoint, title="training the student")


def shares(cohort: Cohort, members: Sequence[str], count: int, rng: np.random.Generator) -> list[list[str]]:
    """Return the scans of each teacher: every person is drawn for one of them, independently of the others.

    So a person who is added or removed changes one teacher, and no other person's. Parts of equal size would
    not have this property. A teacher may have nobody.
    """
    people = pd.factorize(cohort.scans.loc[list(members), "subject_id"])[0]
    drawn = rng.integers(count, size=len(np.unique(people)))[people]
    return [np.asarray(members, dtype=object)[drawn == number].tolist() for number in range(count)]


def _answers(
    number: int,
    members: Sequence[str],
    cohort: Cohort,
    students: Sequence[str],
    config: TrainingConfig,
    folder: Path,
    initial: Callable[[int], AgeRegressor],
) -> Float[np.ndarray, " scans"]:
    """Return what a teacher predicts of each scan of the student; its training is resumed if it was begun."""
    kept = folder / f"{number}-{_ANSWERS}.safetensors"
    if kept.exists():
        return _read(kept, len(students))
    if not members:
        return np.full(len(students), np.nan)
    seed = seeds.integer(config.seed, "teacher", number)
    teacher, state = initial(seed), folder / f"{number}.safetensors"
    config = replace(config, seed=seed)
    fit(teacher, cohort, members, [], config, state, title=f"training teacher {number + 1}")
    found = _predictions(teacher, cohort, students, config.batch_size)
    write_bytes(kept, save({_ANSWERS: found}), mode=OWNER_ONLY)
    state.unlink(missing_ok=True)
    return found.numpy()


@torch.no_grad()
@full_precision()
def _predictions(
    model: AgeRegressor, cohort: Cohort, scan_ids: Sequence[str], size: int
) -> Float[torch.Tensor, " n"]:
    device = next(model.parameters()).device
    model.eval()
    rows = [model(inputs.to(device)).double().cpu() for inputs, _ in batches(cohort, scan_ids, size)]
    return torch.cat(rows)


def _read(path: Path, count: int) -> Float[np.ndarray, " scans"]:
    found = load_safetensors(path, WEIGHTS_LIMIT).get(_ANSWERS)
    if found is None or found.shape != (count,):
        raise ModelError(
            f"{path}, the answers of a teacher of an interrupted training, is damaged; delete it, and run "
            "the same command again"
        )
    return found.numpy()
