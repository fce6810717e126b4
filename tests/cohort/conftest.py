"""Small images and BIDS datasets, made on the fly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"

ImageMaker = Callable[..., nib.Nifti1Image]
BidsMaker = Callable[..., Path]


def lopsided_head(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Intensity at world points (mm) of a head that no rotation or reflection maps to itself."""
    inside = (x / 65) ** 2 + (y / 80) ** 2 + (z / 60) ** 2 < 1
    spots = ((40, 0, 0, 3.0), (0, 55, 0, 2.0), (0, 0, 40, 1.0), (-30, -30, 20, -0.6))
    blobs = sum(h * np.exp(-((x - i) ** 2 + (y - j) ** 2 + (z - k) ** 2) / 300) for i, j, k, h in spots)
    return np.where(inside, 100 * (1 + blobs), 0)


def sample(affine: np.ndarray, shape: tuple[int, int, int]) -> nib.Nifti1Image:
    """Return the lopsided head as seen on any voxel grid."""
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    return nib.Nifti1Image(lopsided_head(*np.moveaxis(world, -1, 0)).astype(np.float32), affine)


def centred_affine(voxels: tuple[float, float, float], shape: tuple[int, int, int]) -> np.ndarray:
    """Return a RAS affine whose world origin is the middle of the grid."""
    affine = np.diag([*voxels, 1.0])
    affine[:3, 3] = -np.array(voxels) * (np.array(shape) - 1) / 2
    return affine


def small_image(seed: int) -> nib.Nifti1Image:
    """Return a coarse head with a texture of its own."""
    shape = (19, 23, 18)
    image = sample(centred_affine((8, 8, 8), shape), shape)
    data = np.asarray(image.dataobj)
    texture = np.random.default_rng(seed).uniform(0.8, 1.2, shape)
    return nib.Nifti1Image((data * texture).astype(np.float32), image.affine)


@pytest.fixture
def bids(tmp_path: Path) -> BidsMaker:
    """Return a function that writes a BIDS dataset from images by relative path and tables by name."""

    def make(
        images: Mapping[str, nib.Nifti1Image | bytes],
        tables: Mapping[str, str] | None = None,
        sidecars: Mapping[str, object] | None = None,
    ) -> Path:
        root = tmp_path / "bids"
        root.mkdir(exist_ok=True)
        for name, image in images.items():
            stem = name.split("_")
            folder = root.joinpath(*[part for part in stem if part.startswith(("sub-", "ses-"))], "anat")
            folder.mkdir(parents=True, exist_ok=True)
            if isinstance(image, bytes):
                (folder / name).write_bytes(image)
            else:
                nib.save(image, folder / name)
        for name, text in (tables or {}).items():
            (root / name).write_text(text)
        for name, value in (sidecars or {}).items():
            (root / name).write_text(json.dumps(value))
        return root

    return make


def people(ages: Mapping[str, object]) -> str:
    """Return a participants.tsv with these ages."""
    return "participant_id\tage\n" + "".join(f"{name}\t{age}\n" for name, age in ages.items())
