from __future__ import annotations

import math

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from memberscan.cohort.conform import (
    UnusableScanError,
    _otsu_threshold,
    conform,
    foreground,
    grid_shape,
    image_statistics,
)

from .conftest import centred_affine, sample, small_image

SHAPE = (34, 41, 33)
SPACING = 8.0


def upright() -> nib.Nifti1Image:
    return sample(centred_affine((4, 4, 4), SHAPE), SHAPE)


def similarity(one: nib.Nifti1Image, other: nib.Nifti1Image) -> float:
    volumes = [conform(image, SPACING).volume.astype(float).ravel() for image in (one, other)]
    return float(np.corrcoef(*volumes)[0, 1])


@pytest.mark.parametrize(
    ("spacing", "shape"), [(2, (91, 109, 91)), (4, (46, 55, 46)), (6, (31, 37, 31)), (8, (23, 28, 23))]
)
def test_grid_shapes(spacing: float, shape: tuple[int, int, int]) -> None:
    assert grid_shape(spacing) == shape


@given(st.floats(1, 20))
def test_the_grid_covers_the_field_of_view_and_no_voxel_more(spacing: float) -> None:
    for count, extent in zip(grid_shape(spacing), (182, 218, 182), strict=True):
        assert count * spacing >= extent - 1e-4
        assert (count - 1) * spacing < extent


def test_conformed_volumes_have_mean_zero_and_deviation_one() -> None:
    volume = conform(upright(), SPACING).volume
    assert volume.dtype == np.float16
    assert volume.shape == grid_shape(SPACING)
    assert volume.mean(dtype=float) == pytest.approx(0, abs=1e-3)
    assert volume.std(dtype=float) == pytest.approx(1, abs=1e-3)


def test_right_anterior_and_superior_are_the_high_ends() -> None:
    volume = conform(upright(), 4.0).volume.astype(float)
    middle = np.array(grid_shape(4.0)) // 2
    for axis, offset in ((0, 10), (1, 13), (2, 10)):  # where the lopsided head has its spots of +3, +2 and +1
        high, low = middle.copy(), middle.copy()
        high[axis] += offset
        low[axis] -= offset
        assert volume[tuple(high)] > volume[tuple(low)] + 0.5


@settings(max_examples=20, deadline=None)
@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_storage_order_and_flips_change_nothing(axes: list[int], flips: tuple[int, int, int]) -> None:
    stored = upright().as_reoriented(
        np.array([[a, f] for a, f in zip(axes, flips, strict=True)], dtype=float)
    )
    expected = conform(upright(), SPACING)
    found = conform(stored, SPACING)
    np.testing.assert_allclose(found.volume, expected.volume, atol=5e-3)
    assert found.statistics == pytest.approx(expected.statistics, rel=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.tuples(*[st.floats(-500, 500)] * 3), st.floats(0.01, 1e4))
def test_neither_origin_nor_intensity_scale_matters(shift: tuple[float, float, float], scale: float) -> None:
    image = upright()
    affine = image.affine.copy()
    affine[:3, 3] += shift
    moved = nib.Nifti1Image((np.asarray(image.dataobj) * scale).astype(np.float32), affine)
    np.testing.assert_allclose(conform(moved, SPACING).volume, conform(image, SPACING).volume, atol=0.02)


@pytest.mark.parametrize("voxels", [(2, 2, 6), (6, 3, 2), (4, 5, 3)])
def test_anisotropic_voxels(voxels: tuple[float, float, float]) -> None:
    i, j, k = (math.ceil(160 / size) + 2 for size in voxels)
    shape = (i, j + 10, k)
    assert similarity(sample(centred_affine(voxels, shape), shape), upright()) > 0.985


@settings(max_examples=10, deadline=None)
@given(st.tuples(*[st.floats(-40, 40)] * 3))
def test_oblique_acquisitions_come_out_upright(angles: tuple[float, float, float]) -> None:
    shape = (47, 48, 49)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    oblique = sample(turn @ centred_affine((4, 4, 4), shape), shape)
    assert similarity(oblique, upright()) > 0.985


def test_detail_too_fine_for_the_grid_does_not_alias() -> None:
    data = np.asarray(upright().dataobj).copy()
    stripes = np.where(np.indices(SHAPE).sum(axis=0) % 2, 1.5, 0.5)
    fine = nib.Nifti1Image((data * stripes).astype(np.float32), upright().affine)
    assert similarity(fine, upright()) > 0.99


def test_an_axis_of_length_one_is_dropped() -> None:
    image = upright()
    longer = nib.Nifti1Image(np.asarray(image.dataobj)[..., None, None], image.affine)
    np.testing.assert_array_equal(conform(longer, SPACING).volume, conform(image, SPACING).volume)


def _with(value: float) -> nib.Nifti1Image:
    data = np.asarray(upright().dataobj).copy()
    data[0, 0, 0] = value
    return nib.Nifti1Image(data, np.eye(4))


def _broken_affine(entry: float) -> nib.Nifti1Image:
    image = upright()
    image.affine[0, 0] = entry
    return image


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (nib.Nifti1Image(np.ones((7, 8, 9, 2), np.float32), np.eye(4)), "4-D image of shape 7x8x9x2"),
        (nib.Nifti1Image(np.full((7, 8, 9), 5, np.int16), np.eye(4)), "constant image"),
        (nib.Nifti1Image(np.zeros((7, 8, 9), np.float32), np.eye(4)), "constant image"),
        (nib.Nifti1Image(np.ones((7, 8), np.float32), np.eye(4)), "not a volume"),
        (nib.Nifti1Image(np.ones((7, 8, 9), np.complex64), np.eye(4)), "complex64"),
        (_with(np.nan), "NaN"),
        (_with(np.inf), "NaN"),
        (_broken_affine(0.0), "cannot be inverted"),
        (_broken_affine(np.nan), "cannot be inverted"),
    ],
)
def test_unusable_images_say_why(image: nib.Nifti1Image, reason: str) -> None:
    with pytest.raises(UnusableScanError, match=reason):
        conform(image, SPACING)


def _box(extent: tuple[int, int, int], *, noise: bool = False) -> nib.Nifti1Image:
    """Return a box of this extent in mm, at 8 mm, on exact zeros or on noisy air."""
    rng = np.random.default_rng(0)
    size = [e // 8 for e in extent]
    data = rng.uniform(90, 110, size).astype(np.float32)
    padded = np.pad(data, 4)
    air = rng.uniform(1, 5, padded.shape) if noise else np.zeros(padded.shape)
    return nib.Nifti1Image(np.where(padded > 0, padded, air).astype(np.float32), np.diag([8, 8, 8, 1.0]))


@pytest.mark.parametrize(
    ("extent", "fits"),
    [
        ((176, 216, 176), True),
        ((192, 224, 176), True),
        ((240, 160, 160), False),
        ((160, 280, 160), False),
        ((160, 160, 320), False),
        ((280, 280, 280), False),
    ],
)
def test_a_tenth_of_the_foreground_may_lie_outside(extent: tuple[int, int, int], fits: bool) -> None:
    if fits:
        conform(_box(extent), SPACING)
    else:
        with pytest.raises(UnusableScanError, match="of the foreground outside the grid"):
            conform(_box(extent), SPACING)


def test_the_grid_hangs_from_the_top_of_a_head_with_a_neck() -> None:
    head = np.zeros((24, 30, 32), dtype=np.float32)
    head[4:20, 5:25, 15:31] = 100  # 128 x 160 x 128 mm of head
    head[8:16, 10:20, 1:15] = 100  # 112 mm of neck
    head += np.random.default_rng(0).uniform(1, 5, head.shape).astype(np.float32)
    volume = conform(nib.Nifti1Image(head, np.diag([8, 8, 8, 1.0])), SPACING).volume
    bright = np.flatnonzero((volume > 0.5).sum(axis=(0, 1)) > 200)
    assert bright[-1] in (grid_shape(SPACING)[2] - 1, grid_shape(SPACING)[2] - 2)
    assert len(bright) >= 15


def test_foreground_of_a_skull_stripped_brain_is_what_is_not_zero() -> None:
    data = np.asarray(small_image(0).dataobj)
    np.testing.assert_array_equal(foreground(data), data != 0)
    np.testing.assert_array_equal(foreground(-data), data != 0)


def test_foreground_of_a_head_in_noisy_air_is_the_head() -> None:
    image = _box((96, 104, 88), noise=True)
    data = np.asarray(image.dataobj)
    np.testing.assert_array_equal(foreground(data), data > 50)


@given(st.integers(0, 1000), st.floats(0.1, 0.9))
def test_otsu_against_a_search_over_all_thresholds(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    data = np.where(
        rng.random((7, 8, 9)) < share, rng.normal(100, 10, (7, 8, 9)), rng.normal(20, 10, (7, 8, 9))
    )
    data = data.astype(np.float32)

    def between(threshold: float) -> float:
        low, high = data[data <= threshold], data[data > threshold]
        return low.size * high.size * (low.mean() - high.mean()) ** 2 if low.size and high.size else 0.0

    best = max(between(t) for t in np.linspace(data.min(), data.max(), 300))
    assert between(_otsu_threshold(data)) >= 0.97 * best


def test_image_statistics_against_plain_loops() -> None:
    rng = np.random.default_rng(3)
    data = rng.normal(100, 20, (7, 8, 9)).astype(np.float32)
    mask = rng.random((7, 8, 9)) < 0.7
    sizes = np.array([1.0, 2.0, 3.0])
    found = image_statistics(data, mask, sizes)
    per_axis = []
    for axis in range(3):
        steps = []
        for voxel in np.ndindex(7, 8, 9):
            neighbour = tuple(v + (a == axis) for a, v in enumerate(voxel))
            if neighbour[axis] < data.shape[axis] and mask[voxel] and mask[neighbour]:
                steps.append(abs(float(data[voxel]) - float(data[neighbour])))
        per_axis.append(np.mean(steps) / sizes[axis])
    low, middle, high = np.percentile(data[mask], [5, 50, 95])
    assert found == pytest.approx(
        {
            "image_foreground": mask.mean(),
            "image_p05": low,
            "image_p50": middle,
            "image_p95": high,
            "image_sharpness": np.mean(per_axis) / (high - low),
            "image_voxel_mm3": 6.0,
        },
        rel=1e-5,
    )


def _specks(value: float) -> nib.Nifti1Image:
    """Return single voxels at the corners of a box of 94 mm, where no sparse sample looks."""
    data = np.zeros((101, 103, 105), dtype=np.float32)
    data[np.ix_([3, 97], [5, 99], [7, 101])] = value
    return nib.Nifti1Image(data, np.eye(4))


def test_specks_are_found_and_centred() -> None:
    volume = conform(_specks(7), SPACING).volume
    centre = [axis.mean() for axis in np.nonzero(volume > volume.max() / 2)]
    assert centre == pytest.approx((np.array(volume.shape) - 1) / 2, abs=0.6)


def test_specks_that_vanish_are_unusable() -> None:
    with pytest.raises(UnusableScanError, match="constant image after resampling"):
        conform(_specks(1e-45), SPACING)


def test_statistics_of_a_binary_mask_are_finite() -> None:
    data = (np.asarray(small_image(0).dataobj) != 0).astype(np.uint8)
    statistics = conform(nib.Nifti1Image(data, np.diag([8, 8, 8, 1.0])), SPACING).statistics
    assert all(math.isfinite(value) for value in statistics.values())
    assert statistics["image_sharpness"] == 0


def test_blurring_lowers_sharpness() -> None:
    from scipy import ndimage

    image = small_image(1)
    data = np.asarray(image.dataobj)
    blurred = nib.Nifti1Image(np.where(data > 0, ndimage.gaussian_filter(data, 1), 0), image.affine)
    assert (
        conform(blurred, SPACING).statistics["image_sharpness"]
        < conform(image, SPACING).statistics["image_sharpness"]
    )
