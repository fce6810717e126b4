from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from memberscan.cohort.conform import conform
from memberscan.cohort.headers import MOST_VOXELS, check_declared, world_affine
from memberscan.errors import UnusableScanError

from .conftest import centred_affine, sample, small_image

SHAPE = (34, 41, 33)
SPACING = 8.0


def head(scale: float = 1.0, units: str = "unknown") -> nib.Nifti1Image:
    """Return the head with all lengths multiplied, in the units named."""
    image = sample(centred_affine((4, 4, 4), SHAPE), SHAPE)
    scaled = nib.Nifti1Image(np.asarray(image.dataobj), np.diag([scale, scale, scale, 1]) @ image.affine)
    scaled.header.set_xyzt_units(units)
    return scaled


@pytest.mark.parametrize(("scale", "units"), [(1.0, "mm"), (0.001, "meter"), (1000.0, "micron")])
def test_metres_and_microns_become_millimetres(scale: float, units: str) -> None:
    found, expected = conform(head(scale, units), SPACING), conform(head(), SPACING)
    np.testing.assert_allclose(found.volume, expected.volume, atol=5e-3)
    assert found.statistics == pytest.approx(expected.statistics, rel=1e-4)


@pytest.mark.parametrize("units", ["unknown", "mm"])
def test_millimetres_are_left_to_the_bit(units: str) -> None:
    np.testing.assert_array_equal(world_affine(head(1.0, units)), head().affine)


@pytest.mark.parametrize(
    ("scale", "units"),
    [
        (0.1, "unknown"),  # centimetres, for which NIfTI has no code
        (0.1, "mm"),
        (0.001, "unknown"),
        (1.0, "micron"),
        (0.5, "mm"),
    ],
)
def test_a_head_at_a_fraction_of_its_size_is_refused(scale: float, units: str) -> None:
    with pytest.raises(UnusableScanError, match="too small for a head"):
        conform(head(scale, units), SPACING)


@pytest.mark.parametrize(("scale", "units"), [(1.0, "meter"), (10.0, "mm"), (1000.0, "unknown")])
def test_a_head_at_a_multiple_of_its_size_is_refused(scale: float, units: str) -> None:
    with pytest.raises(UnusableScanError, match="outside the grid"):
        conform(head(scale, units), SPACING)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slices", [1, 2, 8])
def test_a_slice_or_a_slab_is_no_head(axis: int, slices: int) -> None:
    image = head()
    data = np.take(np.asarray(image.dataobj), range(14, 14 + slices), axis=axis)
    with pytest.raises(UnusableScanError, match="too small for a head"):
        conform(nib.Nifti1Image(data, image.affine), SPACING)


def test_a_newborn_is_not_too_small() -> None:
    conform(head(0.72), SPACING)


@pytest.mark.parametrize("scale", [0.1, 0.5, 0.9, 1.2, 2.0])
@pytest.mark.parametrize("code", [1, 2])
def test_an_sform_that_contradicts_the_voxel_sizes_is_refused(scale: float, code: int) -> None:
    image = head()
    image.header["pixdim"][1:4] *= scale
    image.header["sform_code"] = code
    with pytest.raises(UnusableScanError, match=r"contradicts itself: voxels of 4 x 4 x 4 in its sform, but"):
        conform(image, SPACING)


def test_an_sform_into_a_template_may_scale_a_little() -> None:
    image = head()
    image.header["pixdim"][1:4] *= 0.8
    image.header["sform_code"] = 4
    np.testing.assert_array_equal(conform(image, SPACING).volume, conform(head(), SPACING).volume)
    image.header["pixdim"][1:4] *= 0.5
    with pytest.raises(UnusableScanError, match="contradicts itself"):
        conform(image, SPACING)


def test_rounded_voxel_sizes_are_no_contradiction() -> None:
    image = head()
    image.header["pixdim"][1:4] = [3.99, 4.01, 4.0]
    np.testing.assert_array_equal(conform(image, SPACING).volume, conform(head(), SPACING).volume)


def test_an_sform_and_a_qform_that_point_elsewhere_are_refused() -> None:
    image = head()
    mirrored = image.affine @ np.diag([-1, 1, 1, 1])
    image.set_sform(image.affine, 1)
    image.set_qform(mirrored, 1)
    with pytest.raises(UnusableScanError, match="axes point to RAS in its sform and to LAS in its qform"):
        conform(image, SPACING)
    image.header["qform_code"] = 0  # a qform that is not in use says nothing
    np.testing.assert_array_equal(conform(image, SPACING).volume, conform(head(), SPACING).volume)


def test_an_sform_and_a_qform_that_agree_are_believed() -> None:
    image = head()
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    np.testing.assert_array_equal(conform(image, SPACING).volume, conform(head(), SPACING).volume)


def test_a_qform_that_is_no_rotation_says_nothing() -> None:
    image = head()
    image.header["qform_code"] = 1
    for name in ("quatern_b", "quatern_c", "quatern_d"):
        image.header[name] = 0.9
    np.testing.assert_array_equal(conform(image, SPACING).volume, conform(head(), SPACING).volume)


def test_a_sheared_affine_is_refused_and_a_rounding_of_one_is_not() -> None:
    data = np.asarray(head().dataobj)
    for shear, fits in ((0.02, True), (0.6, False)):
        affine = head().affine.copy()
        affine[0, 1] = 4 * shear
        if fits:
            conform(nib.Nifti1Image(data, affine), SPACING)
        else:
            with pytest.raises(UnusableScanError, match="sheared"):
                conform(nib.Nifti1Image(data, affine), SPACING)


@pytest.mark.parametrize("entry", [0.0, np.nan, np.inf, -np.inf])
def test_an_affine_that_cannot_be_inverted_is_refused(entry: float) -> None:
    image = head()
    image.affine[0, 0] = entry
    with pytest.raises(UnusableScanError, match="cannot be inverted"):
        world_affine(image)


def test_images_of_other_formats_have_an_affine_in_mm() -> None:
    image = small_image(0)
    np.testing.assert_array_equal(
        world_affine(nib.MGHImage(np.asarray(image.dataobj), image.affine)), image.affine
    )


@pytest.mark.parametrize(
    ("shape", "dtype", "reason"),
    [
        ((512, 512, 512), np.float64, ""),
        ((512, 512, 513), np.uint8, "declares 512x512x513 voxels"),
        ((512, 512, 512), np.longdouble, "bytes are read"),
        ((2**40, 2**40, 2**40), np.uint8, "declares"),
        ((1, 1, MOST_VOXELS + 1), np.uint8, "declares"),
        ((-5, -5, 5), np.int16, "not a volume"),
        ((5, 5, 0), np.int16, "not a volume"),
        ((5, 5), np.int16, "not a volume"),
        ((), np.int16, "not a volume"),
        ((5, 5, 5, 3), np.int16, "4-D image of shape 5x5x5x3"),
        ((5, 5, 5), np.complex128, "complex128"),
        ((5, 5, 5), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]), "voxels of type"),
    ],
)
def test_what_is_declared_is_checked(shape: tuple[int, ...], dtype: object, reason: str) -> None:
    if not reason:
        check_declared(shape, np.dtype(dtype))
        return
    with pytest.raises(UnusableScanError, match=reason):
        check_declared(shape, np.dtype(dtype))


def turned(degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return affine


@pytest.mark.parametrize(("one", "other", "agree"), [(44, 46, True), (0, 20, True), (10, 80, False)])
def test_a_head_tilted_by_half_a_right_angle_contradicts_nothing(
    one: float, other: float, agree: bool
) -> None:
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), turned(one))
    image.header.set_qform(turned(other), 1)
    image.header.set_sform(turned(one), 1)
    if agree:
        np.testing.assert_allclose(world_affine(image), turned(one), atol=1e-6)
    else:
        with pytest.raises(UnusableScanError, match="contradicts itself: its axes point to"):
            world_affine(image)
