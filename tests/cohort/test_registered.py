"""Images that are registered to a template keep their place on the cohort's grid."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort import Cohort
from memberscan.cohort.conform import conform, grid_shape, template_centre
from memberscan.errors import BadInputError, OutputConflictError, UnusableScanError

from .conftest import BidsMaker, people

MNI = (0.0, -18.0, 18.0)


def brain(
    middle: tuple[float, float, float] = MNI, *, code: int = 4, ways: str = "RAS", seed: int = 0
) -> nib.Nifti1Image:
    """Return an ellipsoid with that middle (mm), on the lattice of MNI152."""
    shape = grid_shape(8)
    affine = np.diag([8, 8, 8, 1.0])
    affine[:3, 3] = template_centre(8) - 8 * (np.array(shape) - 1) / 2
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    inside = (((world - middle) / (50, 70, 50)) ** 2).sum(axis=-1) < 1
    texture = np.random.default_rng(seed).uniform(90, 110, shape)
    data = inside * (texture + world[..., 0])
    image = nib.Nifti1Image(data.astype(np.float32), affine)
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(ways)
    )
    image = image.as_reoriented(turn)
    image.set_sform(image.affine, code)
    image.set_qform(image.affine, code)
    return image


def middle(volume: np.ndarray) -> np.ndarray:
    """Return the mean place of bright voxels, in voxels."""
    return np.argwhere(volume > 1).mean(axis=0)


@pytest.mark.parametrize(("spacing", "first"), [(1, (-91, -126, -72)), (2, (-90, -126, -72))])
def test_the_grid_is_that_of_the_template(spacing: float, first: tuple[int, int, int]) -> None:
    steps = (np.array(grid_shape(spacing)) - 1) / 2
    np.testing.assert_allclose(template_centre(spacing) - spacing * steps, first)


@given(st.floats(1, 20))
def test_the_template_s_origin_is_in_the_middle_of_a_voxel(spacing: float) -> None:
    voxels = (template_centre(spacing) - spacing * (np.array(grid_shape(spacing)) - 1) / 2) / spacing
    np.testing.assert_allclose(voxels, np.round(voxels), atol=1e-9)
    assert np.abs(template_centre(spacing) - (-0.5, -17.5, 18.5)).max() <= spacing / 2 + 1e-9


@pytest.mark.parametrize("ways", ["RAS", "LPI", "SRA"])
def test_an_image_on_the_template_s_lattice_is_not_interpolated(ways: str) -> None:
    found = conform(brain(ways=ways), 8, recentre=False).volume
    values = brain().get_fdata()
    np.testing.assert_array_equal(found, ((values - values.mean()) / values.std()).astype(np.float16))


def test_a_cropped_image_lies_where_the_whole_one_does() -> None:
    whole = brain()
    np.testing.assert_array_equal(
        conform(whole.slicer[2:-3, 1:-2, 3:-4], 8, recentre=False).volume,
        conform(whole, 8, recentre=False).volume,
    )


@pytest.mark.parametrize(("x", "y", "z"), [(-3, 2, 1), (0, -1, 3)])
def test_where_a_brain_is_in_the_template_is_kept_and_lost_by_centring(x: int, y: int, z: int) -> None:
    moved = brain((MNI[0] + 8 * x, MNI[1] + 8 * y, MNI[2] + 8 * z))
    first, second = (conform(image, 8, recentre=False).volume for image in (brain(), moved))
    np.testing.assert_allclose(middle(second) - middle(first), (x, y, z), atol=0.6)
    centred = middle(conform(moved, 8).volume) - middle(conform(brain(), 8).volume)
    np.testing.assert_allclose(centred, 0, atol=0.6)


def test_a_brain_that_is_elsewhere_is_refused() -> None:
    with pytest.raises(UnusableScanError, match="box of MNI152, and --recentre"):
        conform(nib.Nifti1Image(brain().get_fdata(), np.diag([8, 8, 8, 1.0])), 8, recentre=False)


def dataset(bids: BidsMaker, *, codes: str = "444", space: str = "") -> Path:
    name = f"_space-{space}" if space else ""
    places = ((0.0, -18.0, 18.0), (8.0, -18.0, 18.0), (0.0, -2.0, 18.0))
    return bids(
        {
            f"sub-{n}{name}_T1w.nii.gz": brain(place, code=int(code), seed=n)
            for n, (code, place) in enumerate(zip(codes, places, strict=True))
        },
        {"participants.tsv": people({f"sub-{n}": 40 + n for n in range(3)})},
    )


def shifts(cohort: Cohort) -> np.ndarray:
    first, *others = cohort.read(list(cohort.scans.index))
    return np.array([middle(other) - middle(first) for other in others])


@pytest.mark.parametrize(
    ("codes", "space", "recentre", "kept"),
    [
        ("444", "", None, True),
        ("353", "", None, True),
        ("111", "", None, False),
        ("212", "T1w", None, False),
        ("111", "MNI152NLin6Asym", None, True),
        ("111", "", False, True),
        ("444", "", True, False),
        ("414", "", True, False),
        ("414", "", False, True),
    ],
)
def test_registered_images_are_moved_only_if_asked(
    bids: BidsMaker, tmp_path: Path, codes: str, space: str, recentre: bool | None, kept: bool
) -> None:
    root = dataset(bids, codes=codes, space=space)
    cohort = Cohort.from_bids(root, tmp_path / "c", spacing=8, recentre=recentre)
    expected = [(1, 0, 0), (0, 2, 0)] if kept else np.zeros((2, 3))
    np.testing.assert_allclose(shifts(cohort), expected, atol=0.6)
    assert ("in the space of their template" in cohort.source) == kept


def test_a_mixture_of_both_asks_what_to_do(bids: BidsMaker, tmp_path: Path) -> None:
    root = dataset(bids, codes="414")
    with pytest.raises(BadInputError, match=r"2 of 3 images are registered.*sub-0.*1 are not, such as sub-1"):
        Cohort.from_bids(root, tmp_path / "c", spacing=8)
    assert not (tmp_path / "c").exists()


def test_a_cohort_that_keeps_places_is_not_continued_as_one_that_does_not(
    bids: BidsMaker, tmp_path: Path
) -> None:
    root = dataset(bids)
    Cohort.from_bids(root, tmp_path / "c", spacing=8)
    assert len(Cohort.from_bids(root, tmp_path / "c", spacing=8, recentre=False)) == 3
    with pytest.raises(OutputConflictError, match="recentre"):
        Cohort.from_bids(root, tmp_path / "c", spacing=8, recentre=True)
