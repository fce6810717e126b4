from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, ModelError, RolesError, StaleError
from memberscan.files import write_json
from memberscan.models.inputs import as_inputs
from memberscan.received import load_json
from memberscan.runs import Role, Roles, Run
from memberscan.runs.run import DONE, ROLES, SALT, WEIGHTS


@pytest.fixture
def copy(run: Run, volumes: Cohort, tmp_path: Path) -> Path:
    """A copy of the run, with its cohort at the same distance."""
    shutil.copytree(volumes.path, tmp_path / "cohort")
    shutil.copytree(run.path, tmp_path / "run")
    content = load_json(tmp_path / "run" / DONE)
    write_json(tmp_path / "run" / DONE, content | {"cohort": content["cohort"] | {"path": "../cohort"}})
    return tmp_path / "run"


def test_a_run_is_read_as_it_was_written(run: Run) -> None:
    again = Run.open(str(run.path))
    assert again == run
    assert again.randomised
    assert again.spec.options == {"width": 4}
    assert len(again.roles.subjects(Role.MEMBER)) == len(again.roles.subjects(Role.NONMEMBER)) == 13


def test_the_model_is_the_trained_one_in_evaluation_mode(run: Run, volumes: Cohort) -> None:
    model = run.load()
    assert not any(module.training for module in model.modules())
    inputs = as_inputs(volumes, volumes.scans.index[:3].tolist())
    torch.testing.assert_close(model(inputs), run.load()(inputs), rtol=0, atol=0)


def test_a_run_finds_its_cohort_after_both_were_moved(copy: Path, volumes: Cohort) -> None:
    shutil.move(copy.parent, moved := copy.parent.with_name("elsewhere"))
    run = Run.open(moved / "run")
    assert run.cohort().path == moved / "cohort"
    assert run.cohort(volumes.path).fingerprint == volumes.fingerprint


def test_another_cohort_is_refused(run: Run, table: Cohort) -> None:
    with pytest.raises(StaleError, match=r"another cohort.*--cohort"):
        run.cohort(table.path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\x7f"),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    ],
)
def test_changed_or_missing_weights_are_refused(copy: Path, spoil: Callable[[Path], object]) -> None:
    spoil(copy / WEIGHTS)
    with pytest.raises(StaleError, match=WEIGHTS):
        Run.open(copy).load()


def test_changed_roles_are_refused_and_reordered_ones_are_not(copy: Path) -> None:
    roles = Run.open(copy).roles
    Roles(dict(reversed(roles.of.items()))).write(copy / ROLES)
    assert Run.open(copy).roles.fingerprint == roles.fingerprint
    first = next(iter(roles.of))
    Roles({**roles.of, first: Role.VALIDATION}).write(copy / ROLES)
    with pytest.raises(StaleError, match=ROLES):
        Run.open(copy)
    (copy / ROLES).unlink()
    with pytest.raises(RolesError, match=ROLES):
        Run.open(copy)


def test_the_digest_of_roles_needs_the_run_s_salt(copy: Path) -> None:
    run, said = Run.open(copy), load_json(copy / DONE)["roles"]
    assert said == run.roles_digest != run.roles.fingerprint
    assert (copy / SALT).stat().st_mode & 0o077 == 0
    (copy / SALT).write_text("00" * 32)
    with pytest.raises(StaleError, match=ROLES):
        Run.open(copy)


def test_a_run_of_an_early_version_opens_and_its_plain_digest_goes_no_further(copy: Path) -> None:
    (copy / SALT).unlink()
    plain = Roles.read(copy / ROLES).fingerprint
    write_json(copy / DONE, load_json(copy / DONE) | {"roles": plain})
    assert Run.open(copy).roles_digest is None


def test_what_is_no_run_says_why(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(BadInputError, match=r"no run\.json"):
        Run.open(tmp_path)
    (copy / DONE).unlink()
    with pytest.raises(BadInputError, match="not finished: run the same command again"):
        Run.open(copy)


def test_a_newer_schema_and_broken_json_are_errors(copy: Path) -> None:
    write_json(copy / DONE, load_json(copy / DONE) | {"schema": "memberscan.run/2"})
    with pytest.raises(BadInputError, match=r"memberscan\.run/2"):
        Run.open(copy)
    (copy / DONE).write_text("{")
    with pytest.raises(BadInputError, match=r"run\.json is not valid JSON"):
        Run.open(copy)


def test_a_run_of_an_unknown_model_is_an_error(copy: Path) -> None:
    content = load_json(copy / DONE)
    write_json(copy / DONE, content | {"model": content["model"] | {"name": "resnet"}})
    with pytest.raises(ModelError, match="resnet"):
        Run.open(copy).load()
