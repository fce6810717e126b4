"""Copies of images and of rows of measures against their definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.cohort.beside import with_covariates
from memberscan.models.copies import Copies
from memberscan.models.inputs import as_inputs


def test_images_are_mirrored_or_moved_and_repeat_the_border(volumes: Cohort):
    volume = torch.arange(24.0).reshape(1, 1, 2, 3, 4)
    mirrored, *moved = (copy.squeeze().numpy() for copy in Copies.of(volumes)(volume))
    whole = volume.squeeze().numpy()
    np.testing.assert_array_equal(mirrored, whole[::-1])
    forward, backward, up, down = moved
    np.testing.assert_array_equal(forward, whole[:, [0, 0, 1]])
    np.testing.assert_array_equal(backward, whole[:, [1, 2, 2]])
    np.testing.assert_array_equal(up, whole[:, :, [0, 0, 1, 2]])
    np.testing.assert_array_equal(down, whole[:, :, [1, 2, 3, 3]])


def test_everybodys_measures_are_moved_by_the_same_steps_there_and_back(table: Cohort):
    scans = table.scans.index.tolist()
    inputs = as_inputs(table, scans)
    copies = torch.stack(list(Copies.of(table)(inputs))).double().numpy()
    steps = copies - inputs.double().numpy()
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1], steps.shape), atol=1e-4)
    np.testing.assert_allclose(copies.mean(axis=0), inputs.numpy(), atol=1e-4)
    # A step is typically .3 standard deviations of the measure.
    spread = inputs.double().numpy().std(axis=0)
    in_spreads = (steps[:, 0] / np.where(spread, spread, 1))[:, spread > 0]
    assert np.sqrt((in_spreads**2).mean()) == pytest.approx(0.3, rel=0.35)
    # Batches get the same copies, whoever is in them.
    few = torch.stack(list(Copies.of(table)(inputs[3:5])))
    np.testing.assert_array_equal(few.numpy(), copies.astype(np.float32)[:, 3:5])


def test_a_step_has_the_size_of_each_measure_and_a_constant_stays():
    rows = np.random.default_rng(0).normal(size=(40, 400)) * np.geomspace(1e-3, 1e3, 400) + 5
    rows[:, 7] = 0.1
    steps = Copies.of_rows(rows).steps
    assert steps is not None and steps.shape == (20, 400) and np.abs(steps[:, 7]).max() < 1e-12
    moving = np.arange(400) != 7
    in_spreads = steps[:, moving] / rows.std(axis=0)[moving]
    assert np.sqrt((in_spreads**2).mean()) == pytest.approx(0.3, rel=0.05)
    np.testing.assert_array_equal(steps[10:], -steps[:10])


def test_covariates_beside_measures_stay_as_they_are(table: Cohort):
    beside = with_covariates(table, ["sex"], {"sex": {"F": 0.0, "M": 1.0}})
    inputs = as_inputs(beside, table.scans.index[:4].tolist())
    for copy, own in zip(
        Copies.of(beside)(inputs), Copies.of(table)(inputs[:, : table.shape[0]]), strict=True
    ):
        np.testing.assert_array_equal(copy[:, -1], inputs[:, -1])
        np.testing.assert_array_equal(copy[:, :-1], own)
