"""Which learner holds a person: from the models, and from nothing but the inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks.source_inference import _coarse, infer_from_inputs, infer_sources
from memberscan.cohort import Cohort
from memberscan.evidence.intervals import Interval
from memberscan.people import People
from memberscan.signals import View
from memberscan.signals.learner_updates import LOCAL_PREDICTIONS
from memberscan.threat import Attacker, ThreatModel

SIZES = (20, 14, 10)
HELD_OUT = 16
Drawn = tuple[View, Any]


def view_of(age: np.ndarray, subject: np.ndarray, local: np.ndarray) -> View:
    """Return a view of the learners' predictions; NaN where one took no part."""
    scans = pd.DataFrame(
        {"subject_id": [f"s {k:02d}" for k in subject], "label": age},
        index=[f"scan {n}" for n in range(len(age))],
    )
    learners = tuple(f"site {c}" for c in range(local.shape[2]))
    return View(scans, {LOCAL_PREDICTIONS: local}, learners, tuple(range(1, len(local) + 1)))


class Indistinct:
    """Stands for a cohort in which the inputs of all people are noise alike."""

    kind = "table"

    def read(self, scan_ids: list[str]) -> np.ndarray:
        return np.stack([np.random.default_rng(list(scan.encode())).normal(size=3) for scan in scan_ids])


def party_of(people: People, home: np.ndarray, known: np.ndarray, cohort: Cohort | Indistinct) -> Any:
    """Return what source inference asks of a server's place in a federation."""
    return SimpleNamespace(
        people=people,
        home=home,
        member=home >= 0,
        known_nonmembers=known,
        victims=tuple(f"site {c}" for c in range(home.max() + 1)),
        threat=ThreatModel(attacker=Attacker.SERVER),
        cohort=cohort,
    )


@pytest.fixture
def held() -> Callable[..., Drawn]:
    """Return a function that draws predictions, better by each learner for its own; two scans a subject."""

    def draw(
        rng: np.random.Generator,
        *,
        gain: float = 1.0,
        quality: tuple[float, ...] = (1.0, 1.0, 1.0),
        known: int = 8,
        absent: tuple[tuple[int, int], ...] = (),
    ) -> Drawn:
        home = np.repeat([0, 1, 2, -1], [*SIZES, HELD_OUT])
        subject = np.repeat(np.arange(len(home)), 2)
        age = rng.uniform(45, 80, len(subject))
        error = rng.normal(size=(4, len(subject), 3)) * np.array(quality)
        error *= np.where(home[subject][:, None] == np.arange(3), 1 / (1 + gain), 1)
        for t, c in absent:
            error[t, :, c] = np.nan
        is_known = np.zeros(len(home), dtype=bool)
        is_known[np.flatnonzero(home == -1)[:known]] = True
        view = view_of(age, subject, age[None, :, None] + error)
        return view, party_of(People.of(view.scans["subject_id"]), home, is_known, Indistinct())

    return draw


def took_part(view: View) -> np.ndarray:
    return ~np.isnan(view[LOCAL_PREDICTIONS]).any(axis=1)


def naive(view: View, party: Any) -> list[int]:
    """Return the learner named for each member, by loops."""
    age, local, present = view.label, view[LOCAL_PREDICTIONS], took_part(view)

    def error(s: int, c: int) -> float:
        rounds = [t for t in range(4) if present[t, c]]
        own = np.flatnonzero(party.people.of_scan == s)
        return float(np.mean([abs(age[n] - local[t, n, c]) for t in rounds for n in own]))

    scaled = {}
    for c in range(3):
        if present[:, c].any():
            scale = np.mean([error(s, c) for s in np.flatnonzero(party.known_nonmembers)])
            scaled[c] = [error(s, c) / scale for s in range(len(party.people))]
    return [min(scaled, key=lambda c: scaled[c][s]) for s in np.flatnonzero(party.member)]


@pytest.mark.parametrize("absent", [(), ((0, 1), (3, 2)), tuple((t, 1) for t in range(4))])
def test_it_names_who_errs_least_for_his_own_standard(absent, held):
    view, party = held(np.random.default_rng(0), absent=absent)
    named = np.array(naive(view, party))
    found = infer_sources(view, party)
    home = party.home[party.member]
    asked = took_part(view).any(axis=0)[home]
    assert found.accuracy.value == pytest.approx(np.mean(named[asked] == home[asked]))
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert found.chance == pytest.approx(20 / asked.sum())


def test_with_one_learner_that_took_part_there_is_nothing_to_choose_from(held):
    absent = tuple((t, c) for t in range(4) for c in (0, 2))
    assert infer_sources(*held(np.random.default_rng(0), absent=absent)) is None


def test_a_learner_with_good_models_is_not_named_for_everybody(held):
    view, party = held(np.random.default_rng(1), gain=2.0, quality=(1.0, 0.2, 3.0))
    assert infer_sources(view, party).accuracy.value > 0.75
    home = party.home[party.member]
    plain = np.abs(view.label[:, None] - view[LOCAL_PREDICTIONS].mean(axis=0))
    without = party.people.mean(plain.T).argmin(axis=0)[party.member]
    assert np.mean(without == home) < 0.6


def test_models_that_owe_nothing_to_their_people_name_nobody_s_home(held):
    right = [infer_sources(*held(np.random.default_rng(seed), gain=0.0)).accuracy.value for seed in range(40)]
    assert np.mean(right) == pytest.approx(1 / 3, abs=0.04)


def test_without_anybody_known_all_held_out_people_give_the_scale(held):
    view, party = held(np.random.default_rng(2), known=0)
    everyone = held(np.random.default_rng(2), known=HELD_OUT)[1]
    found, other = infer_sources(view, party), infer_sources(view, everyone)
    assert found == other


def test_the_inputs_alone_are_asked_about_the_same_people(held):
    view, party = held(np.random.default_rng(3), absent=tuple((t, 2) for t in range(4)))
    found = infer_sources(view, party)
    assert found.inputs == infer_from_inputs(party, view.scans.index.tolist(), np.array([0, 1]))
    assert found.inputs.low < 0.6


def test_without_the_learners_own_models_there_is_no_inference(held):
    view, party = held(np.random.default_rng(4))
    assert infer_sources(View(view.scans, {}, view.learners, view.rounds), party) is None
    party.threat = ThreatModel(attacker=Attacker.AGGREGATE)
    assert infer_sources(view, party) is None


def baseline(cohort: Cohort, home: np.ndarray, *learners: int) -> Interval | None:
    asked = np.array(learners or range(home.max() + 1))
    people = People.of(cohort.scans["subject_id"])
    party = party_of(people, home, np.zeros(len(home), dtype=bool), cohort)
    return infer_from_inputs(party, cohort.scans.index.tolist(), asked)


@pytest.fixture
def tables(tmp_path: Path) -> Callable[[np.ndarray, float], Cohort]:
    """Return a function that writes a table in which sites leave a signature of some strength."""

    def write(home: np.ndarray, signature: float) -> Cohort:
        rng = np.random.default_rng(3)
        measures = rng.normal(size=(len(home), 6))
        measures[:, 2] += signature * home
        table = pd.DataFrame(measures, columns=[f"m {n}" for n in range(6)])
        table.insert(0, "id", [f"p {n:03d}" for n in range(len(home))])
        table.insert(1, "age", rng.uniform(45, 80, len(home)).round(1))
        folder = tmp_path / str(signature)
        folder.mkdir()
        table.to_csv(folder / "t.csv", index=False)
        return Cohort.from_table(folder / "t.csv", folder / "cohort", subject="id", age="age")

    return write


def test_inputs_that_carry_a_signature_of_the_site_are_seen(tables):
    home = np.random.default_rng(4).permutation(np.repeat([0, 1, 2, -1], [30, 30, 30, 20]))
    marked, plain = tables(home, 6.0), tables(home, 0.0)
    seen = baseline(marked, home)
    assert seen is not None and seen.value > 0.9
    unseen = baseline(plain, home)
    assert unseen is not None and unseen.value < 0.5


def test_volumes_that_carry_a_signature_are_seen_too(cohort_maker, tmp_path: Path):
    rng = np.random.default_rng(5)
    home = rng.permutation(np.repeat([0, 1, -1], [16, 16, 8]))
    # These volumes' gradient of brightness follows the age: here it is the site's.
    ages = np.where(home == 1, 76.0, 50.0)
    cohort = cohort_maker(tmp_path / "cohort", ages.tolist(), [f"sub-{n:02d}" for n in range(40)])
    seen = baseline(cohort, home)
    assert seen is not None and seen.value > 0.9


def test_too_few_people_of_one_learner_are_not_judged(tables):
    home = np.repeat([0, 1, -1], [30, 4, 10])
    cohort = tables(home, 1.0)
    assert baseline(cohort, home) is None


def test_people_of_a_learner_that_never_took_part_are_not_asked_about(tables):
    home = np.repeat([0, 1, 2, -1], [30, 20, 4, 10])
    found = baseline(tables(home, 6.0), home, 0, 1)
    assert found is not None and found.value > 0.9 and found.low < 0.95


def test_volumes_are_summed_up_by_blocks_that_cover_them(volumes: Cohort):
    scan = volumes.scans.index[3]
    values = volumes.read([scan])[0].astype(float)
    cuts = [np.linspace(0, n, 7).astype(int) for n in values.shape]
    expected = [
        values[cuts[0][i] : cuts[0][i + 1], cuts[1][j] : cuts[1][j + 1], cuts[2][k] : cuts[2][k + 1]].mean()
        for i in range(6)
        for j in range(6)
        for k in range(6)
    ]
    np.testing.assert_allclose(_coarse(volumes, scan), expected, atol=1e-6)


def test_rows_of_a_table_are_taken_as_they_are(table: Cohort):
    scan = table.scans.index[5]
    np.testing.assert_array_equal(_coarse(table, scan), table.read([scan])[0].astype(float))
