"""A frontier with a defence that changes answers: its errors and attacks are of the changed ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.cohort import Cohort
from memberscan.defences import DEFENCES
from memberscan.frontier.tasks import read_people
from memberscan.models.inputs import predict_scans
from memberscan.people import People
from memberscan.runs import Run

from .conftest import Make

TEXT = "round:step=10"


@pytest.mark.parametrize("access", ["outputs", "weights"])
def test_errors_are_those_of_changed_answers(
    access: str, make: Make, sixty: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DEFENCES, "round", "memberscan.defences.round:Round")
    (tmp_path / "points.tsv").write_text(f"name\tdefence\ncoarse\t{TEXT}\n")
    found = make(tmp_path / "out", str(tmp_path / "points.tsv"), seeds=1, access=access)
    assert [point.failed for point in found.points] == [None, None]
    plain, coarse = (tmp_path / "out" / "points" / f"point-00{k}" / "seed-1" for k in (1, 2))
    runs = [Run.open(each / "run") for each in (plain, coarse)]
    assert runs[0].weights_fingerprint == runs[1].weights_fingerprint
    raw = predict_scans(runs[1].load(), sixty, sixty.scans.index.tolist())[:, 0]
    people = People.of(sixty.scans["subject_id"])
    for folder, answers in ((plain, raw), (coarse, 10 * np.rint(raw / 10))):
        error = pd.Series(people.mean(np.abs(sixty.labels.to_numpy() - answers)), index=people.ids)
        written = read_people(folder)["error"]
        assert len(written) > 50
        np.testing.assert_allclose(written, error[written.index], atol=1e-4)
    scores = [read_people(folder)["error:zero-knowledge"].to_numpy() for folder in (plain, coarse)]
    assert (scores[0] == scores[1]).all() == (access == "weights")
