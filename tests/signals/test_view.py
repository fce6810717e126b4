"""What an attacker sees: rows go by scan id, on whichever axis a signal has the scans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.errors import MisalignedError, NonFiniteError
from memberscan.signals import PREDICTION, Signal, View
from memberscan.signals.layer_gradients import gradient
from memberscan.signals.learner_updates import JACOBIAN_SKETCHES, LOCAL_PREDICTIONS, TOOK_PART
from memberscan.signals.view import ByRound

SIDEWAYS = Signal("of a later kind", ("reference", "scan"))


def make(ids: list[str], changes: dict[Signal, Any] | None = None) -> View:
    n = len(ids)
    scans = pd.DataFrame(
        {"subject_id": ids, "label": np.linspace(50, 70, n)}, index=pd.Index(ids, name="scan_id")
    )
    values = {
        PREDICTION: np.arange(n, dtype=float),
        gradient("conv1"): np.arange(3.0 * n).reshape(n, 3),
        LOCAL_PREDICTIONS: np.arange(2 * n * 3.0).reshape(2, n, 3),
        TOOK_PART: np.ones((2, 3), dtype=bool),
        SIDEWAYS: np.arange(5.0 * n).reshape(5, n),
    }
    return View(scans, values | (changes or {}), ("a", "b", "c"), (1, 2))


def test_residuals_are_age_minus_prediction_with_their_sign() -> None:
    view = make(["a", "b", "c"], {PREDICTION: np.array([40.0, 60.0, 80.0])})
    np.testing.assert_array_equal(view.residual, [10, 0, -10])
    np.testing.assert_array_equal(view.label, [50, 60, 70])


@given(st.permutations(["a 1", "b/2", "é", "d"]), st.integers(0, 4))
def test_rows_follow_the_ids_asked_for(order: list[str], count: int) -> None:
    whole = make(["a 1", "b/2", "é", "d"])
    part = whole.at(order[:count])
    assert part.scans.index.tolist() == order[:count]
    assert (part.learners, part.rounds) == (whole.learners, whole.rounds)
    places = [whole.scans.index.get_loc(i) for i in order[:count]]
    for signal, values in part.values.items():
        if signal is TOOK_PART:
            np.testing.assert_array_equal(values, whole[signal])
            continue
        axis = signal.dimensions.index("scan")
        assert values.shape[axis] == count
        for row, place in enumerate(places):
            np.testing.assert_array_equal(
                np.take(values, row, axis), np.take(np.asarray(whole[signal]), place, axis)
            )


@given(st.lists(st.booleans(), min_size=4, max_size=4))
def test_some_of_the_scans_are_those_asked_for_in_their_order(chosen: list[bool]) -> None:
    whole = make(["a 1", "b/2", "é", "d"])
    part = whole.of(np.array(chosen))
    other = whole.at([i for i, kept in zip(whole.scans.index, chosen, strict=True) if kept])
    assert part.scans.equals(other.scans)
    for signal in whole.values:
        np.testing.assert_array_equal(part[signal], other[signal])


def test_rows_of_files_are_read_only_when_a_round_is_looked_at(tmp_path: Path) -> None:
    stored = [np.arange(12.0).reshape(4, 3) + 100 * t for t in range(3)]
    for t, values in enumerate(stored):
        np.save(tmp_path / f"{t}.npy", values)
    by_round = ByRound([tmp_path / f"{t}.npy" for t in range(3)])
    view = make(["a", "b", "c", "d"], {JACOBIAN_SKETCHES: by_round})
    part = view.at(["d", "b", "a"]).at(["a", "d"])[JACOBIAN_SKETCHES]
    (tmp_path / "1.npy").unlink()
    assert len(part) == 3 and len(part[1:]) == 2
    for t in (0, 2):
        np.testing.assert_array_equal(part[t], stored[t][[0, 3]])
        np.testing.assert_array_equal(by_round[t], stored[t])
    np.testing.assert_array_equal(part[2:][0], stored[2][[0, 3]])
    with pytest.raises(FileNotFoundError):
        part[1]


def test_an_id_that_is_not_there_is_named() -> None:
    with pytest.raises(MisalignedError, match="'x' is not among the signals"):
        make(["a", "b"]).at(["a", "x"])


@pytest.mark.parametrize(
    ("signal", "shape", "name"),
    [
        (gradient("conv1"), (3, 4), "gradient:conv1"),
        (LOCAL_PREDICTIONS, (2, 3, 3), "local-predictions"),
        (SIDEWAYS, (5, 3), "of a later kind"),
    ],
)
def test_an_array_of_another_number_of_scans_is_an_error(
    signal: Signal, shape: tuple[int, ...], name: str
) -> None:
    with pytest.raises(MisalignedError, match=rf"{name} has 3 rows for 2 scans"):
        make(["a", "b"], {signal: np.zeros(shape)})


def test_repeated_ids_are_an_error() -> None:
    with pytest.raises(MisalignedError, match="'b' appears twice"):
        make(["a", "b", "b"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_no_numbers_are_counted_and_refused(bad: float) -> None:
    with pytest.raises(NonFiniteError, match="2 of 3 predictions"):
        make(["a", "b", "c"], {PREDICTION: np.array([60.0, bad, bad])})


def test_a_signal_that_is_not_shown_is_not_there() -> None:
    scans = pd.DataFrame({"subject_id": ["a"], "label": [50.0]}, index=["a"])
    with pytest.raises(KeyError):
        View(scans, {PREDICTION: np.array([50.0])})[gradient("conv1")]
