from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.cohort import Cohort
from memberscan.cohort.as_is import AsIs, Grid
from memberscan.errors import BadInputError, CohortError, UnusableScanError

from .conftest import SHARED_DATA, BidsMaker, people

SHAPE = (7, 8, 9)
AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])


def image(
    seed: int, dtype: str = "u1", *, shape: tuple[int, ...] = SHAPE, affine: np.ndarray = AFFINE
) -> nib.Nifti1Image:
    values = np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)
    return nib.Nifti1Image(values, affine, dtype=np.dtype(dtype))


def as_is(bids: BidsMaker, path: Path, images: dict[int, nib.Nifti1Image], *, suffix: str = "T1w") -> Cohort:
    root = bids(
        {f"sub-{n}_{suffix}.nii.gz": made for n, made in images.items()},
        {"participants.tsv": people({f"sub-{n}": 40 + n for n in images})},
    )
    return Cohort.from_bids(root, path, suffix=suffix, spacing=None)


@pytest.mark.parametrize(
    ("dtypes", "stored"),
    [
        ("u1 u1 u1", "uint8"),
        ("i2 u1 i2", "int16"),
        ("u2 i2 u2", "float32"),
        ("i4 u1 u1", "float32"),
        ("f4 u1 i2", "float32"),
        (">i2 i2 i2", "int16"),
        ("f8 f8 f8", "float32"),
    ],
)
def test_the_numbers_are_those_of_the_files(
    bids: BidsMaker, tmp_path: Path, dtypes: str, stored: str
) -> None:
    images = {n: image(n, dtype) for n, dtype in enumerate(dtypes.split(), 1)}
    cohort = as_is(bids, tmp_path / "c", images)
    assert (cohort.dtype, cohort.shape, cohort.spacing) == (stored, SHAPE, None)
    assert "7x8x9 voxels" in repr(cohort)
    assert cohort.source == "BIDS dataset bids, images as they are"
    found = cohort.read(list(cohort.scans.index))
    assert found.dtype == np.float32
    for values, made in zip(found, images.values(), strict=True):
        np.testing.assert_array_equal(values, made.get_fdata().astype(np.float32))
    assert cohort.scans["image_voxel_mm3"].tolist() == [8.0, 8.0, 8.0]


def test_a_scale_in_the_header_is_applied(bids: BidsMaker, tmp_path: Path) -> None:
    made = nib.Nifti1Image(np.random.default_rng(0).normal(size=SHAPE), AFFINE)
    # nibabel finds slope and intercept for floats in small integers.
    made.set_data_dtype(np.int16)
    cohort = as_is(bids, tmp_path / "c", {1: made})
    path = next((tmp_path / "bids").rglob("*.nii.gz"))
    expected = nib.load(path).get_fdata()
    assert len(np.unique(expected)) > 100
    np.testing.assert_array_equal(cohort.read(list(cohort.scans.index))[0], expected.astype(np.float32))
    assert cohort.dtype == "float32"


def test_images_of_another_grid_are_excluded_with_both_grids(bids: BidsMaker, tmp_path: Path) -> None:
    turned = np.diag([2.0, 2.0, 2.0, 1.0])
    moved = AFFINE + np.array([[0, 0, 0, 5.0]] * 3 + [[0] * 4])
    images = {
        1: image(1),
        2: image(2, shape=(7, 8, 10)),
        3: image(3, affine=moved),
        4: image(4, affine=turned),
        5: image(5, affine=np.diag([-1.0, 1, 1, 1])),
        6: image(6),
    }
    cohort = as_is(bids, tmp_path / "c", images)
    # Where the head lay in the scanner is no part of what a network sees.
    assert cohort.scans.index.tolist() == ["sub-1", "sub-3", "sub-6"]
    reasons = cohort.excluded.set_index("scan_id")["reason"]
    most = "most images have 7 x 8 x 9 voxels of 2 x 2 x 2 mm, axes LAS"
    assert reasons["sub-2"] == f"another grid: 7 x 8 x 10 voxels of 2 x 2 x 2 mm, axes LAS; {most}"
    assert reasons["sub-4"] == f"another grid: 7 x 8 x 9 voxels of 2 x 2 x 2 mm, axes RAS; {most}"
    assert reasons["sub-5"] == f"another grid: 7 x 8 x 9 voxels of 1 x 1 x 1 mm, axes LAS; {most}"


def test_unusable_images_are_excluded(bids: BidsMaker, tmp_path: Path) -> None:
    broken = image(1, "f4").get_fdata()
    broken[0, 0, 0] = np.nan
    huge = image(1, "f8").get_fdata() * 1e300
    images = {
        1: image(1, "f4"),
        2: nib.Nifti1Image(broken, AFFINE),
        3: nib.Nifti1Image(np.full(SHAPE, 7, np.uint8), AFFINE),
        4: nib.Nifti1Image(huge, AFFINE),
        5: image(1, "f4"),
    }
    cohort = as_is(bids, tmp_path / "c", {n: images[n] for n in (1, 2, 3, 4)})
    assert cohort.excluded["reason"].tolist() == [
        "NaN or infinite values in the image",
        "constant image",
        "NaN or infinite values in the image",
    ]


def test_negative_images_are_kept(bids: BidsMaker, tmp_path: Path) -> None:
    made = nib.Nifti1Image(-image(3, "f4").get_fdata().astype(np.float32) - 1, AFFINE)
    cohort = as_is(bids, tmp_path / "c", {1: made})
    assert np.isfinite(cohort.scans["image_p50"]).all()


def test_other_kinds_of_images(bids: BidsMaker, tmp_path: Path) -> None:
    cohort = as_is(bids, tmp_path / "c", {1: image(1), 2: image(2)}, suffix="FLAIR")
    assert len(cohort) == 2
    with pytest.raises(CohortError, match="no T1w image"):
        Cohort.from_bids(tmp_path / "bids", tmp_path / "d", spacing=None)
    with pytest.raises(BadInputError, match=r"--suffix '\.\./T1w' is not a BIDS suffix"):
        Cohort.from_bids(tmp_path / "bids", tmp_path / "d", suffix="../T1w")


def test_a_killed_build_continues_and_the_same_call_opens_it(bids: BidsMaker, tmp_path: Path) -> None:
    images = {n: image(n) for n in (1, 2, 3)}
    as_is(bids, tmp_path / "c", images)
    whole = {p.name: p.read_bytes() for p in (tmp_path / "c").iterdir() if p.name != "timings.jsonl"}
    for name in ("cohort.json", "scans.tsv"):
        (tmp_path / "c" / name).unlink()
    Cohort.from_bids(tmp_path / "bids", tmp_path / "c", spacing=None)
    again = {p.name: p.read_bytes() for p in (tmp_path / "c").iterdir() if p.name != "timings.jsonl"}
    assert again == whole
    assert Cohort.from_bids(tmp_path / "bids", tmp_path / "c", spacing=None).shape == SHAPE


def test_no_readable_image(bids: BidsMaker, tmp_path: Path) -> None:
    root = bids({"sub-1_T1w.nii.gz": b"\x1f\x8b torn"}, {"participants.tsv": people({"sub-1": 50})})
    with pytest.raises(CohortError, match="none of the 1 images can be read"):
        Cohort.from_bids(root, tmp_path / "c", spacing=None)


@given(st.lists(st.sampled_from(["u1", "i1", "u2", "i2", "f2", "f4"]), min_size=1, max_size=4))
def test_the_stored_type_holds_what_float32_holds(dtypes: list[str]) -> None:
    images = [nib.Nifti1Image(extremes(dtype), AFFINE) for dtype in dtypes if dtype != "f2"]
    if not images:
        return
    prepare = AsIs.of(images)
    for made in images:
        stored = prepare(made).volume
        assert stored.dtype == prepare.dtype
        np.testing.assert_array_equal(stored.astype(np.float32), made.get_fdata().astype(np.float32))


def extremes(dtype: str) -> np.ndarray:
    kind = np.dtype(dtype)
    low, high = (
        (np.iinfo(kind).min, np.iinfo(kind).max) if kind.kind in "iu" else (-1 / 3, np.finfo(kind).max)
    )
    values = np.zeros(SHAPE, kind)
    values[0, 0, :4] = low, high, 1, 0
    return values


def test_a_grid_is_compared_to_a_hundredth_of_a_millimetre() -> None:
    nearly = image(2, affine=AFFINE * (1 + 1e-5))
    assert Grid.of(nearly) == Grid.of(image(1))
    with pytest.raises(UnusableScanError, match="another grid"):
        AsIs.of([image(1)])(image(2, affine=AFFINE * 1.02))


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="no real data beside the checkout")
def test_brains_of_ixi_keep_their_bytes(tmp_path: Path) -> None:
    root = tmp_path / "ixi"
    root.mkdir()
    for name in ("participants.tsv", "participants.json"):
        (root / name).symlink_to(SHARED_DATA / "ixi" / name)
    for folder in sorted((SHARED_DATA / "ixi").glob("sub-*"))[:3]:
        (root / folder.name).symlink_to(folder)
    cohort = Cohort.from_bids(root, tmp_path / "c", spacing=None)
    assert (cohort.dtype, cohort.shape) == ("uint8", (80, 96, 80))
    files = sorted(root.glob("sub-*/anat/*.nii.gz"))
    for values, path in zip(cohort.read(list(cohort.scans.index)), files, strict=True):
        np.testing.assert_array_equal(values, nib.load(path).get_fdata(dtype=np.float32))
