from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, CohortError, OutputConflictError, ParticipantsError, StaleError
from memberscan.models.inputs import as_inputs

SHAPE = (7, 8, 9)
HERE = __name__
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, *SHAPE))
PEOPLE = pd.DataFrame(
    {
        "who": ["a", "b", "b", "c", "d"],
        "years": [41, 52, 53, 64, 75],
        "sex": ["F", "M", "M", "F", "M"],
        "image": [f"{n}.npy" for n in range(5)],
    }
)


def load(name: str) -> np.ndarray:
    """Load what a row of PEOPLE names."""
    return np.load(name)


def broken(name: str) -> np.ndarray:
    """Fail on one image, and return another shape, type or number of axes for others."""
    if name == "1.npy":
        raise RuntimeError("no such group in the HDF5 file")
    odd: dict[str, Any] = {"2.npy": np.zeros((7, 8, 10)), "3.npy": np.zeros((2, 2)), "4.npy": np.array(["x"])}
    return odd.get(name, IMAGES[0])


def random(name: str) -> np.ndarray:
    """Augment, as in training."""
    return IMAGES[int(name[0])] + np.random.default_rng().normal(size=SHAPE)


def by_subject(subject: str) -> dict[str, Any]:
    """Return what MONAI's transforms return."""
    return {"image": torch.from_numpy(IMAGES["abcd".index(subject)]), "path": subject}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for n, image in enumerate(IMAGES):
        np.save(tmp_path / f"{n}.npy", image)
    PEOPLE.to_csv(tmp_path / "people.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def build(folder: Path, loader: Any = f"{HERE}:load", **changes: Any) -> Cohort:
    options = {"subject": "who", "age": "years", "file": "image"} | changes
    return Cohort.from_loader(folder / "people.csv", folder / "cohort", loader=loader, **options)


def test_a_loader_is_called_with_the_cell_and_its_numbers_are_kept(folder: Path) -> None:
    cohort = build(folder)
    assert cohort.scans.index.tolist() == ["a", "b", "b#2", "c", "d"]
    assert cohort.scans["age"].tolist() == [41, 52, 53, 64, 75]
    assert cohort.scans["sex"].tolist() == ["F", "M", "M", "F", "M"]
    assert (cohort.shape, cohort.dtype, cohort.spacing) == (SHAPE, "float32", None)
    np.testing.assert_array_equal(cohort.read(list(cohort.scans.index)), IMAGES.astype(np.float32))
    assert cohort.source == f"table people.csv, images loaded by {HERE}:load"
    assert "image_voxel_mm3" not in cohort.covariates
    assert "image_sharpness" in cohort.covariates
    assert as_inputs(cohort, ["a", "c"]).shape == (2, 1, *SHAPE)
    assert build(folder).fingerprint == cohort.fingerprint


def test_without_a_column_it_gets_the_subject(folder: Path) -> None:
    PEOPLE.drop(index=2).to_csv(folder / "people.csv", index=False)
    cohort = build(folder, by_subject, file=None, covariates=["sex"])
    np.testing.assert_array_equal(cohort.read(["d"])[0], IMAGES[3].astype(np.float32))
    assert cohort.covariates[0] == "sex"


def test_what_cannot_be_used_is_excluded_with_the_reason(folder: Path) -> None:
    cohort = build(folder, broken)
    reasons = cohort.excluded.set_index("scan_id")["reason"]
    assert cohort.scans.index.tolist() == ["a"]
    assert reasons["b"] == "unreadable (RuntimeError: no such group in the HDF5 file)"
    assert reasons["b#2"] == "another shape: 7 x 8 x 10; the first have 7 x 8 x 9"
    assert reasons["c"].startswith("an array of shape 2 x 2; 3 axes, or 4 with the channels first")
    assert reasons["d"].startswith("an array of shape 1") or "type <U1" in reasons["d"]


def test_a_loader_that_is_random_is_refused(folder: Path) -> None:
    with pytest.raises(CohortError, match="another array when it is loaded again: turn off augmentation"):
        build(folder, random)


def test_a_loader_that_fails_when_it_is_called_again_is_no_crash(folder: Path) -> None:
    called: list[str] = []

    def once(name: str) -> np.ndarray:
        called.append(name)
        if called.count(name) > 1:
            raise OSError("the stream was read already")
        return load(name)

    with pytest.raises(CohortError, match="the stream was read already"):
        build(folder, once)


def test_a_loader_that_always_fails_is_refused_with_its_error(folder: Path) -> None:
    def fails(name: str) -> None:
        raise KeyError(name)

    with pytest.raises(CohortError, match=r"none of 5 images can be loaded \(a: KeyError: '0\.npy'\)"):
        build(folder, fails)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"loader": "no.such:load"}, BadInputError, "cannot import the loader 'no.such:load'"),
        ({"loader": f"{HERE}:PEOPLE"}, BadInputError, "is not a function"),
        ({"file": "path"}, BadInputError, "no column 'path'"),
        ({"age": "who"}, BadInputError, "named twice"),
        ({"covariates": ["sex", "sex"]}, BadInputError, "named twice"),
    ],
)
def test_bad_input_is_refused(
    folder: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(folder, **changes)
    assert not (folder / "cohort").exists()


def test_a_changed_image_or_loader_is_noticed(folder: Path) -> None:
    build(folder)
    np.save(folder / "2.npy", IMAGES[2] + 1)
    with pytest.raises(StaleError):
        build(folder)
    with pytest.raises(OutputConflictError):
        build(folder, broken)


def test_months_and_double_ids_are_refused(folder: Path) -> None:
    PEOPLE.assign(years=PEOPLE["years"] * 12).to_csv(folder / "people.csv", index=False)
    with pytest.raises(ParticipantsError, match="years"):
        build(folder)


class Scans(Dataset[dict[str, torch.Tensor]]):
    """A dataset as MONAI's: a dictionary with channels."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        return {"image": torch.from_numpy(np.stack([IMAGES[place], IMAGES[place] * 2]))}


@pytest.mark.parametrize(
    ("arrays", "channels"),
    [
        (IMAGES, 0),
        (list(IMAGES.astype(np.float16)), 0),
        (TensorDataset(torch.from_numpy(IMAGES), torch.zeros(5)), 0),
        (Scans(), 2),
    ],
    ids=["array", "list", "torch", "dictionaries with channels"],
)
def test_arrays_and_datasets(tmp_path: Path, arrays: Any, channels: int) -> None:
    options = {"subjects": list("abbcd"), "ages": [41, 52, 53, 64, 75]}
    cohort = Cohort.from_arrays(arrays, tmp_path / "c", **options, covariates=PEOPLE[["sex"]])
    assert cohort.shape == ((channels, *SHAPE) if channels else SHAPE)
    inputs = as_inputs(cohort, ["b#2"])
    assert inputs.shape == (1, channels or 1, *SHAPE)
    np.testing.assert_allclose(inputs[0, 0], IMAGES[2], rtol=1e-3, atol=1e-3)
    assert cohort.scans["sex"].tolist() == PEOPLE["sex"].tolist()
    assert Cohort.from_arrays(arrays, tmp_path / "c", **options, covariates=PEOPLE[["sex"]]).shape


def test_other_arrays_are_noticed_and_lengths_compared(tmp_path: Path) -> None:
    options = {"subjects": list("abcde"), "ages": [41.0, 52, 53, 64, 75]}
    Cohort.from_arrays(IMAGES, tmp_path / "c", **options)
    with pytest.raises(StaleError):
        Cohort.from_arrays(IMAGES + 1, tmp_path / "c", **options)
    with pytest.raises(BadInputError, match="4 arrays, 5 subjects, 5 ages; give one of each"):
        Cohort.from_arrays(IMAGES[:4], tmp_path / "d", **options)


def test_another_dataset_and_items_that_fail_are_noticed(tmp_path: Path) -> None:
    options = {"subjects": list("abcde"), "ages": [41.0, 52, 53, 64, 75]}

    class Moved(Scans):
        def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
            if place == 1:
                raise OSError("no such file")
            return {"image": super().__getitem__(place)["image"] + 1}

    Cohort.from_arrays(Scans(), tmp_path / "c", **options)
    with pytest.raises(StaleError):
        Cohort.from_arrays(Moved(), tmp_path / "c", **options)
    cohort = Cohort.from_arrays(Moved(), tmp_path / "d", **options)
    assert cohort.excluded["reason"].tolist() == ["unreadable (OSError: no such file)"]


def test_one_image_under_two_ids_is_excluded(tmp_path: Path) -> None:
    images = np.stack([*IMAGES, IMAGES[0]])
    ages = [50 + n for n in range(6)]
    cohort = Cohort.from_arrays(images, tmp_path / "c", subjects=list("abcdef"), ages=ages)
    assert cohort.excluded["scan_id"].tolist() == ["a", "f"]
