"""Bad datasets, roles, models and runs get a clear error with the right exit code that says what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.runs import Run

from .conftest import Command, people

Refused = Callable[..., None]


def image(folder: Path, name: str, data: np.ndarray) -> None:
    (folder / name / "anat").mkdir(parents=True)
    nib.save(
        nib.Nifti1Image(data.astype(np.float32), np.eye(4) * 8), folder / name / "anat" / f"{name}_T1w.nii.gz"
    )


def test_a_missing_dataset(refused: Refused, tmp_path: Path):
    refused(
        "cohort",
        "bids",
        tmp_path / "nowhere",
        tmp_path / "cohort",
        code=2,
        says="give the root of a BIDS dataset",
    )


def test_an_empty_dataset(refused: Refused, tmp_path: Path):
    (tmp_path / "bids").mkdir()
    refused("cohort", "bids", tmp_path / "bids", tmp_path / "cohort", code=2, says=str(tmp_path / "bids"))


def test_a_dataset_where_no_scan_survives(refused: Refused, tmp_path: Path):
    image(tmp_path / "bids", "sub-1", np.zeros((9, 9, 9)))
    (tmp_path / "bids" / "participants.tsv").write_text("participant_id\tage\nsub-1\t60\n")
    refused("cohort", "bids", tmp_path / "bids", tmp_path / "cohort", code=2, says="excluded.tsv")


@pytest.mark.parametrize("text", ["participant_id\tsex\nsub-1\tF\n", None])
def test_participants_without_ages(text: str | None, refused: Refused, tmp_path: Path):
    image(tmp_path / "bids", "sub-1", np.random.default_rng(0).uniform(size=(9, 9, 9)))
    if text:
        (tmp_path / "bids" / "participants.tsv").write_text(text)
    refused("cohort", "bids", tmp_path / "bids", tmp_path / "cohort", code=2, says="age")


def test_a_select_that_is_no_pair(refused: Refused, tmp_path: Path):
    refused(
        "cohort", "bids", tmp_path, tmp_path / "c", "--select", "brain", code=2, says="such as desc=brain"
    )


def test_a_table_without_the_named_column(refused: Refused, tmp_path: Path):
    people().to_csv(tmp_path / "t.csv", index=False)
    arguments = ("cohort", "table", tmp_path / "t.csv", tmp_path / "c", "--subject", "uid", "--age", "age")
    refused(*arguments, code=2, says="has no column 'uid'; it has: subject_id, age")


def test_a_cohort_that_is_none(refused: Refused, tmp_path: Path):
    (tmp_path / "c").mkdir()
    refused("train", tmp_path / "c", tmp_path / "run", "--model", "cnn3d", code=2, says=str(tmp_path / "c"))


@pytest.fixture
def roles(volumes: Cohort, tmp_path: Path) -> pd.DataFrame:
    """Half members, half non-members."""
    subjects = volumes.subjects
    return pd.DataFrame({"subject": subjects, "role": ["member", "non-member"] * (len(subjects) // 2)})


def save(roles: pd.DataFrame, path: Path) -> Path:
    roles.to_csv(path / "roles.tsv", sep="\t", index=False)
    return path / "roles.tsv"


def test_a_subject_on_both_sides(roles: pd.DataFrame, volumes: Cohort, refused: Refused, tmp_path: Path):
    both = pd.concat([roles, roles.iloc[:1].assign(role="non-member")])
    arguments = (
        "train",
        volumes.path,
        tmp_path / "run",
        "--model",
        "cnn3d",
        "--members",
        save(both, tmp_path),
    )
    refused(*arguments, code=2, says="every subject has exactly one role")


def test_fewer_than_ten_members(roles: pd.DataFrame, volumes: Cohort, refused: Refused, tmp_path: Path):
    arguments = ("train", volumes.path, tmp_path / "run", "--model", "cnn3d", "--members")
    refused(*arguments, save(roles.drop(index=range(0, 10, 2)), tmp_path), code=2, says="at least 10 of each")
    refused(*arguments, 0.9, code=2, says="at least 10 of each")
    assert not (tmp_path / "run").exists()


def test_a_roles_file_that_is_missing(volumes: Cohort, refused: Refused, tmp_path: Path):
    arguments = ("train", volumes.path, tmp_path / "run", "--model", "cnn3d", "--members", tmp_path / "r.tsv")
    refused(*arguments, code=2, says="r.tsv does not exist")


def test_a_model_that_does_not_fit_the_grid(volumes: Cohort, table: Cohort, refused: Refused, tmp_path: Path):
    refused(
        "train", volumes.path, tmp_path / "a", "--model", "mlp", code=2, says="works on a table of features"
    )
    refused("train", table.path, tmp_path / "b", "--model", "cnn3d", code=2, says="works on volumes")
    refused("train", volumes.path, tmp_path / "c", "--model", "resnet", code=2, says="choose one of cnn3d")


@pytest.fixture
def foreign(
    volumes: Cohort, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[object, ...]]:
    """Return a function that gives the arguments of an import of a foreign model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "foreign_nets.py").write_text(
        "from torch import nn\n\n\n"
        "def wrong_grid():\n    return nn.Sequential(nn.Flatten(), nn.Linear(7, 1))\n\n\n"
        "def pooled(n):\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(1, n))\n\n\n"
        "def classes():\n    return pooled(4)\n\n\n"
        "def linear():\n    return pooled(1)\n"
    )

    def arguments(model: str, weights: Path) -> tuple[object, ...]:
        return (
            "import", tmp_path / "mine", "--cohort", volumes.path, "--model", f"foreign_nets:{model}",
            "--weights", weights, "--roles", run.path / "roles.tsv",
        )  # fmt: skip

    return arguments


def state(tmp_path: Path, **shapes: tuple[int, ...]) -> Path:
    torch.save(
        {name.replace("_", "."): torch.full(shape, 0.5) for name, shape in shapes.items()}, tmp_path / "w.pt"
    )
    return tmp_path / "w.pt"


def test_a_foreign_model_that_does_not_fit_the_grid(foreign, refused: Refused, tmp_path: Path):
    weights = state(tmp_path, **{"1_weight": (1, 7), "1_bias": (1,)})
    refused(*foreign("wrong_grid", weights), code=2, says="does not run on inputs of shape (9, 10, 11)")


def test_weights_that_do_not_fit(foreign, refused: Refused, tmp_path: Path):
    refused(*foreign("linear", state(tmp_path, **{"2_weight": (3, 3)})), code=2, says="w.pt")


def test_a_classifier_given_as_a_regressor(foreign, refused: Refused, tmp_path: Path):
    weights = state(tmp_path, **{"2_weight": (4, 1), "2_bias": (4,)})
    refused(*foreign("classes", weights), code=3, says="memberscan reads one number per scan, unless")
    assert not (tmp_path / "mine").exists()


def test_a_model_that_predicts_nan(foreign, command: Command, refused: Refused, tmp_path: Path):
    torch.save(
        {"2.weight": torch.tensor([[float("nan")]]), "2.bias": torch.tensor([60.0])}, tmp_path / "w.pt"
    )
    assert command(*foreign("linear", tmp_path / "w.pt")).code == 0
    audited = ("audit", tmp_path / "mine", tmp_path / "audit", "--model", "foreign_nets:linear")
    refused(*audited, code=2, says="predictions are NaN or infinite")


class Evil:
    """A pickle that would leave a trace."""

    def __reduce__(self):
        return (exec, ("open('evil', 'w').close()",))


def test_a_weights_file_that_is_a_pickle(foreign, refused: Refused, tmp_path: Path):
    torch.save({"2.weight": Evil()}, tmp_path / "w.pt")
    refused(*foreign("linear", tmp_path / "w.pt"), code=2, says="save the weights alone")
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "mine").exists()


def test_a_factory_that_cannot_be_imported(foreign, refused: Refused, tmp_path: Path):
    refused(*foreign("missing", state(tmp_path)), code=2, says="give package.module:function")


def test_a_run_from_another_cohort(run: Run, table: Cohort, refused: Refused, tmp_path: Path):
    arguments = ("audit", run.path, tmp_path / "audit", "--cohort", table.path)
    refused(*arguments, code=3, says="trained on another cohort")


def test_an_unfinished_run(run: Run, refused: Refused, tmp_path: Path):
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / "run.json").unlink()
    refused("audit", tmp_path / "run", tmp_path / "audit", code=2, says="run the same command again")


def test_a_directory_of_another_kind_is_called_by_its_name(
    run: Run, volumes: Cohort, refused: Refused, tmp_path: Path, predictions: Path, command: Command
):
    audited = ("audit", volumes.path, tmp_path / "audit")
    refused(*audited, code=2, says="it is a cohort: give the run of a model")
    command("audit", predictions, tmp_path / "first", "--attacks", "error")
    refused("audit", tmp_path / "first", tmp_path / "audit", code=2, says="it is an audit: give the run")
    (tmp_path / "first" / "audit.json").unlink()
    refused("audit", tmp_path / "first", tmp_path / "b", code=2, says="unfinished output of memberscan audit")
    (tmp_path / "rounds").mkdir()
    (tmp_path / "rounds" / "transcript.json").touch()
    refused("audit", tmp_path / "rounds", tmp_path / "b", code=2, says="it is a transcript: give the run")


def test_a_cohort_that_was_moved_suggests_the_option(
    run: Run, volumes: Cohort, refused: Refused, command: Command, tmp_path: Path
):
    shutil.copytree(run.path, tmp_path / "deep" / "run")
    refused("audit", tmp_path / "deep" / "run", tmp_path / "audit", code=2, says="new path with --cohort")
    found = ("--cohort", volumes.path, "--attacks", "error")
    assert command("audit", tmp_path / "deep" / "run", tmp_path / "audit", *found).code == 0
    missing = ("--cohort", tmp_path / "nowhere")
    refused("audit", tmp_path / "deep" / "run", tmp_path / "b", *missing, code=2, says="no such directory")


@pytest.mark.parametrize(
    ("attacker", "ends"),
    [
        ("outsider", "choose one of: outputs, weights"),
        ("server", "leave it out, since the attacker server always sees updates"),
    ],
)
def test_only_values_that_this_attacker_can_have_are_offered(
    run: Run, command: Command, tmp_path: Path, attacker: str, ends: str
):
    done = command("audit", run.path, tmp_path / "audit", "--access", "weigths", "--attacker", attacker)
    assert (done.code, done.out) == (2, "")
    assert " ".join(done.err.split()) == f"memberscan: access 'weigths' is unknown; {ends}"
