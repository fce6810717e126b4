"""A model that gets other images than it was trained on looks harmless: the audit must say so."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from memberscan import audit, import_run
from memberscan.auditing.result import AuditResult
from memberscan.cohort import Cohort
from memberscan.errors import ModelError
from memberscan.report import render_html
from memberscan.report.validation import check
from memberscan.runs import Role, Roles, Run

from . import lab

MODEL = f"{lab.__name__}:network"
PEOPLE = 90


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of a lab as it keeps them, its weights, roles and predictions."""
    folder, rng = tmp_path_factory.mktemp("lab"), np.random.default_rng(4)
    names = [f"sub-{n:03d}" for n in range(PEOPLE)]
    ages = rng.uniform(45, 80, PEOPLE).round(1)
    grid = (20, 24, 20)
    ball = sum(((np.indices(grid)[k] - grid[k] / 2 + 0.5) / (grid[k] / 2)) ** 2 for k in range(3)) < 0.8
    images = (rng.uniform(60, 200, (PEOPLE, *grid)) * ball).astype(np.uint8)
    for name, voxels in zip(names, images, strict=True):
        (folder / "bids" / name / "anat").mkdir(parents=True)
        affine = np.diag([8.0, 8.0, 8.0, 1.0])
        nib.save(nib.Nifti1Image(voxels, affine), folder / "bids" / name / "anat" / f"{name}_T1w.nii.gz")
    people = pd.DataFrame({"participant_id": names, "age": ages})
    people.to_csv(folder / "bids" / "participants.tsv", sep="\t", index=False)
    member = rng.permutation(PEOPLE) < PEOPLE // 2
    volumes = torch.from_numpy(images[:, None].astype(np.float32))
    model = lab.trained(volumes[member], torch.from_numpy(ages[member]))
    save_file(model.state_dict(), folder / "weights.safetensors")
    with torch.no_grad():
        own = model(volumes).numpy()
    pd.DataFrame({"scan_id": names, "prediction": own}).to_csv(folder / "own.csv", index=False)
    table = {"subject_id": names, "age": ages, "prediction": own, "member": member.astype(int)}
    pd.DataFrame(table).to_csv(folder / "predictions.csv", index=False)
    sides = [Role.MEMBER if inside else Role.NONMEMBER for inside in member]
    Roles(dict(zip(names, sides, strict=True)), {}).write(folder / "roles.tsv")
    Cohort.from_bids(folder / "bids", folder / "as-is", spacing=None)
    Cohort.from_bids(folder / "bids", folder / "resampled", spacing=10)
    return folder


def imported(
    study: Path, path: Path, cohort: str, *, predictions: str = "own.csv", error: float | None = None
) -> Run:
    return import_run(
        path,
        cohort=study / cohort,
        model=MODEL,
        roles=study / "roles.tsv",
        weights=study / "weights.safetensors",
        predictions=study / predictions if predictions else None,
        training_error=error,
    )


def audited(run: Run) -> AuditResult:
    return audit(run.path, model=MODEL)


def images(result: AuditResult) -> tuple[int | None, str | None]:
    found = check(result.content).checks.images
    assert found is not None
    return found.reproduced, found.problem


def page(result: AuditResult) -> str:
    return render_html(dict(result.content))


def test_on_its_own_images_the_audit_is_that_of_its_own_predictions(study: Path, tmp_path: Path) -> None:
    run = imported(study, tmp_path / "run", "as-is")
    assert run.reproduced is not None
    assert run.reproduced.largest < 1e-5
    found, expected = audited(run), audit(study / "predictions.csv", predictions_from="one-pass")
    assert found.verdict == expected.verdict == "leaks"
    aucs, others = (result.findings.set_index("attack")["auc_value"] for result in (found, expected))
    for attack in ("error", "error:zero-knowledge", "prediction+label"):
        assert aucs[attack] == others[attack] > 0.9
    assert images(found) == (PEOPLE, None)


def test_on_other_images_it_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="It probably gets other images than when those were made"):
        imported(study, tmp_path / "run", "resampled")


def test_without_predictions_the_audit_says_why_it_cannot_answer(study: Path, tmp_path: Path) -> None:
    result = audited(imported(study, tmp_path / "run", "resampled", predictions=""))
    assert result.verdict == "inconclusive"
    sentence = result.content["verdict"]["sentence"]
    assert sentence.startswith("The images are probably not those that the model was trained on")
    assert "about as much as always answering the same would" in page(result)
    assert "<strong>Warning.</strong>" not in page(result)


def test_a_stated_error_shows_it_too(study: Path, tmp_path: Path) -> None:
    run = imported(study, tmp_path / "run", "resampled", predictions="", error=0.1)
    assert images(audited(run)) == (None, "worse than stated")


def test_a_model_at_home_is_only_told_that_nothing_proves_it(study: Path, tmp_path: Path) -> None:
    result = audited(imported(study, tmp_path / "run", "as-is", predictions="", error=0.1))
    assert images(result) == (None, None)
    assert result.verdict == "leaks"
    assert "own predictions were not given" in page(result)
