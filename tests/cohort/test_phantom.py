from __future__ import annotations

import dataclasses
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.cohort.conform import conform
from memberscan.cohort.phantom import BRAIN_AGE_GAP_SD, Subject, draw_subject, make_scan, scan_age
from memberscan.errors import BadInputError

SPACING = 12.0


def volume(subject: Subject, age: float, seed: int, spacing: float = SPACING) -> np.ndarray:
    return conform(make_scan(subject, age, spacing, np.random.default_rng(seed)), spacing).volume.astype(
        float
    )


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    path = tmp_path_factory.mktemp("phantom") / "c"
    return Cohort.phantom(path, subjects=220, spacing=SPACING, seed=1)


def test_it_says_that_it_is_synthetic(cohort: Cohort) -> None:
    assert cohort.synthetic
    assert "synthetic" in repr(cohort)
    assert len(cohort) == 220
    assert cohort.excluded.empty
    assert cohort.shape == (16, 19, 16)
    assert cohort.covariates[:2] == ("sex", "site")
    assert set(cohort.scans["sex"]) == {"F", "M"}
    assert set(cohort.scans["site"]) == {"A", "B"}
    assert cohort.scans["age"].between(45, 80).all()


def test_age_can_be_learnt_but_not_perfectly(cohort: Cohort) -> None:
    volumes = cohort.read(list(cohort.scans.index)).reshape(len(cohort), -1)
    ages = cohort.scans["age"].to_numpy()
    train, test = slice(0, 160), slice(160, None)
    model = RidgeCV(np.logspace(1, 4, 4)).fit(volumes[train], ages[train])
    error = np.abs(model.predict(volumes[test]) - ages[test]).mean()
    by_mean = np.abs(ages[train].mean() - ages[test]).mean()
    assert error < 0.8 * by_mean
    assert error > 0.5 * BRAIN_AGE_GAP_SD


def test_any_scan_can_be_made_alone(cohort: Cohort) -> None:
    number = 137
    subject = draw_subject(1, number)
    image = make_scan(subject, subject.age, SPACING, seeds.generator(1, "phantom", "scan", number, 0))
    np.testing.assert_array_equal(cohort.read([f"sub-{number + 1:05d}"])[0], conform(image, SPACING).volume)


def test_the_number_of_subjects_and_threads_changes_nobody(tmp_path: Path) -> None:
    few = Cohort.phantom(tmp_path / "a", subjects=2, spacing=SPACING, scans_per_subject=2, workers=1)
    more = Cohort.phantom(tmp_path / "b", subjects=4, spacing=SPACING, scans_per_subject=2, workers=3)
    ids = list(few.scans.index)
    assert ids == ["sub-00001_ses-1", "sub-00001_ses-2", "sub-00002_ses-1", "sub-00002_ses-2"]
    np.testing.assert_array_equal(few.read(ids), more.read(ids))
    other = Cohort.phantom(tmp_path / "c", subjects=2, spacing=SPACING, scans_per_subject=2, seed=1)
    assert not (other.read(ids) == few.read(ids)).all()
    assert len({few.fingerprint, more.fingerprint, other.fingerprint}) == 3


def test_repeat_scans_show_one_brain_that_is_older_each_time() -> None:
    subjects = [draw_subject(0, n) for n in range(6)]
    ages = [[scan_age(s, 0, n, k) for k in range(3)] for n, s in enumerate(subjects)]
    assert all(1 <= gap <= 3 for gap in np.diff(ages, axis=1).ravel())
    first = [volume(s, a[0], 10 + n).ravel() for n, (s, a) in enumerate(zip(subjects, ages, strict=True))]
    later = [volume(s, a[1], 90 + n).ravel() for n, (s, a) in enumerate(zip(subjects, ages, strict=True))]
    similar = np.corrcoef(first, later)[:6, 6:]
    assert (similar.argmax(axis=1) == np.arange(6)).all()
    assert (first[0] != later[0]).any()


def test_ageing_takes_tissue_and_leaves_fluid() -> None:
    for number in range(3):
        subject = draw_subject(3, number)
        dark = []
        for age in (45, 60, 80):
            data = np.asarray(make_scan(subject, age, 4.5, np.random.default_rng(0)).dataobj)
            brain = data[data > 0]
            dark.append((brain < 0.5 * np.percentile(brain, 95)).mean())
        assert dark[0] < dark[1] < dark[2]


def test_brains_are_brain_extracted_oblique_and_of_a_brains_size() -> None:
    image = make_scan(draw_subject(0, 0), 60, 6.0, np.random.default_rng(0))
    data = np.asarray(image.dataobj)
    litres = (data > 0).sum() * np.prod(nib.affines.voxel_sizes(image.affine)) / 1e6
    assert 1.2 < litres < 2.6
    assert (data[[0, -1]] == 0).all()
    assert np.abs(image.affine[0, 1]) > 1e-4


def test_brain_age_gaps_and_covariates_are_drawn_as_documented() -> None:
    people = [draw_subject(0, n) for n in range(400)]
    gaps = np.array([p.brain_age_gap for p in people])
    ages = np.array([p.age for p in people])
    assert gaps.std() == pytest.approx(BRAIN_AGE_GAP_SD, rel=0.12)
    assert abs(gaps.mean()) < 0.8
    assert abs(np.corrcoef(gaps, ages)[0, 1]) < 0.15
    for side in ([p.sex == "F" for p in people], [p.site == "A" for p in people]):
        assert 0.4 < np.mean(side) < 0.6
        assert abs(ages[side].mean() - ages[~np.array(side)].mean()) < 3.5


@pytest.mark.parametrize(
    "options",
    [
        {"subjects": 0},
        {"scans_per_subject": 0},
        {"seed": -1},
        {"spacing": 0.1},
        {"subjects": 10**6},
        {"patients": 1.5},
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(BadInputError, match=next(iter(options))):
        Cohort.phantom(tmp_path / "c", **options)
    assert not (tmp_path / "c").exists()


def test_a_disease_ages_the_brains_of_patients_and_lowers_their_score(tmp_path: Path) -> None:
    plain = Cohort.phantom(tmp_path / "plain", subjects=40, spacing=SPACING, seed=2)
    some = Cohort.phantom(tmp_path / "some", subjects=40, spacing=SPACING, seed=2, patients=0.5)
    assert "diagnosis" not in plain.covariates and {"diagnosis", "mmse"} <= {*some.covariates}
    ill = (some.scans["diagnosis"] == "patient").to_numpy()
    assert 10 < ill.sum() < 30
    ids = some.scans.index
    same = (some.read(ids.tolist()) == plain.read(ids.tolist())).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(same, ~ill)
    assert some.scans["age"].tolist() == plain.scans["age"].tolist()
    score = some.scans["mmse"]
    assert score.between(0, 30).all() and score[~ill].mean() > score[ill].mean() + 3
    person = next(n for n in range(40) if ill[n])
    found = draw_subject(2, person, 0.5)
    healthy = dataclasses.replace(found, severity=0.0)
    older = volume(dataclasses.replace(healthy, brain_age_gap=found.brain_age_gap + found.severity), 60.0, 1)
    np.testing.assert_array_equal(volume(found, 60.0, 1), older)
    assert some.with_target("diagnosis").target.classes == ("control", "patient")
