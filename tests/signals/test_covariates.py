"""Covariates as a signal: columns of what is known of people, without membership and its copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memberscan.signals import see
from memberscan.signals.covariates import COVARIATES, COVARIATES_OF_SCANS
from memberscan.targets import PredictionsTable
from memberscan.threat import ThreatModel


def table(path: Path, columns: dict[str, list[str]], ages: np.ndarray) -> PredictionsTable:
    lines = ["\t".join(["subject_id", "age", "prediction", "member", *columns])]
    for n, age in enumerate(ages):
        rest = [values[n] for values in columns.values()]
        lines.append("\t".join([f"s{n:02d}", f"{age}", f"{age + 1}", str(n % 2), *rest]))
    (path / "p.tsv").write_text("\n".join(lines), "utf-8")
    return PredictionsTable.read(path / "p.tsv", ThreatModel())


@pytest.fixture
def sites() -> list[str]:
    return ["a", "b", "c", "a"] * 10


def test_they_are_curves_of_numbers_and_levels_of_text(tmp_path: Path, sites: list[str]):
    target = table(tmp_path, {"site": sites}, 50.0 + np.arange(40))
    columns = see(target, [COVARIATES], tmp_path)[COVARIATES]
    assert len(columns) == 40 and np.isfinite(columns).all()
    one = np.column_stack([np.ones(40), columns])
    # They explain any level, and a curve of age, without rest.
    for wanted in (np.array(sites) == "b", np.array(sites) == "c"):
        rest = np.linalg.lstsq(one, wanted.astype(float), rcond=None)[1]
        assert rest.size == 0 or rest[0] < 1e-9
    bent = (np.arange(40) - 20.0) ** 2
    fit = one @ np.linalg.lstsq(one, bent, rcond=None)[0]
    assert np.corrcoef(fit, bent)[0, 1] > 0.99


def test_a_copy_of_membership_is_not_among_them(tmp_path: Path, sites: list[str]):
    ages = 50.0 + np.arange(40)
    plain = see(table(tmp_path, {"site": sites}, ages), [COVARIATES], tmp_path)[COVARIATES]
    copy = ["train", "test"] * 20
    with_copy = see(
        table(tmp_path, {"site": sites, "split": copy[1:] + copy[:1]}, ages), [COVARIATES], tmp_path
    )
    np.testing.assert_array_equal(with_copy[COVARIATES], plain)


def test_people_who_are_all_alike_have_none(tmp_path: Path):
    target = table(tmp_path, {"sex": ["F"] * 24}, np.full(24, 60.0))
    reason = COVARIATES_OF_SCANS.absent([COVARIATES], target)
    assert reason == "needs a covariate that differs between people, such as age"
