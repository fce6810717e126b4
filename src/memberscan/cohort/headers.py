"""Check the size and position in an image's header before anything relies on them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from memberscan.errors import UnusableScanError

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_VOXELS = 512**3
"""Largest image that is read, in voxels. The largest T1w images in use have 512 x 512 x 400 voxels of 0.5 mm.
Conforming an image takes up to 20 bytes of memory per voxel: 2.7 GB for the largest image."""
MOST_BYTES = 8 * MOST_VOXELS
"""Largest image that is read, in stored bytes: the largest number of voxels as float64."""

SAME_SIZE = 1.05
"""Voxel sizes in two parts of a header may differ by this factor, because of rounding."""
TEMPLATE_SIZE = 1.5
"""The same, if the sform maps to a template's space, where brains are scaled to the template's size."""
MOST_TURN = 30.0
"""Largest angle, degrees, between the same axis in the sform and in the qform, where they name the axes
differently. Registration turns a head by less; a head tilted by about 45 degrees may have either name."""
MOST_SHEAR = 0.2
"""Largest cosine between two axes of the voxel grid; a scanner's axes are at right angles, with cosine 0."""

_MM = {1: 1000.0, 3: 0.001}
"""Millimetres per unit of length, by NIfTI code, for metres and microns. All other codes count as mm, also
code 0 ("unknown"), which many programs write that mean millimetres."""
_UNIT_BITS = 0b111
_FIRST_TEMPLATE_CODE = 3


def check_declared(shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Check the shape and type that a header declares, before any voxel is read.

    Raises
    ------
    UnusableScanError
        If the image is not a single volume of real numbers, or is larger than :data:`MOST_VOXELS` or
        :data:`MOST_BYTES`.
    """
    written = "x".join(map(str, shape))
    if dtype.kind not in "iufb":
        raise UnusableScanError(f"unreadable (voxels of type {dtype})")
    if len(shape) < 3 or min(shape) < 1:
        raise UnusableScanError(f"unreadable (not a volume: shape {written})")
    if math.prod(shape[3:]) != 1:
        raise UnusableScanError(f"4-D image of shape {written}")
    voxels = math.prod(shape)
    if voxels > MOST_VOXELS or voxels * dtype.itemsize > MOST_BYTES:
        raise UnusableScanError(
            f"unreadable (declares {written} voxels of {dtype}; at most {MOST_VOXELS:,} and "
            f"{MOST_BYTES:,} bytes are read)"
        )


def world_affine(image: Any) -> Float[np.ndarray, "4 4"]:
    """Return the affine from voxels to mm, after checking it against the rest of the header.

    A NIfTI header states size and position up to three times: in the voxel sizes (pixdim), in the qform and
    in the sform. The affine is the sform if there is one, else the qform, else it comes from the voxel sizes
    alone, as in nibabel. Lengths in metres or microns (``xyzt_units``) become mm.

    Parameters
    ----------
    image
        A nibabel image of at least three axes.

    Raises
    ------
    UnusableScanError
        If the affine cannot be inverted or is sheared, or if the parts of a NIfTI header disagree on the size
        of a voxel or on the directions of the axes: there is no way to know then which part is correct.
    """
    affine = np.asarray(image.affine, dtype=float).copy()
    header = image.header if isinstance(image.header, nib.Nifti1Header) else None
    if header is not None:
        affine[:3] *= _MM.get(int(header["xyzt_units"]) & _UNIT_BITS, 1.0)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise UnusableScanError("unreadable (its affine cannot be inverted)")
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.abs(axes.T @ axes - np.eye(3)).max() > MOST_SHEAR:
        raise UnusableScanError(
            "unreadable (its affine is sheared: the axes of its voxels are not at right angles)"
        )
    if header is not None:
        _check_sizes(header, np.asarray(image.affine, dtype=float))
        _check_orientations(header, np.asarray(image.affine, dtype=float))
    return affine


def in_template_space(image: Any) -> bool:
    """Return whether a NIfTI header says that the image was registered to a template.

    The code beside the affine says so: 3 for Talairach's space, 4 for MNI152, 5 for another template. As in
    nibabel, the sform counts if there is one, else the qform.
    """
    header = image.header if isinstance(image.header, nib.Nifti1Header) else None
    if header is None:
        return False
    code = int(header["sform_code"]) or int(header["qform_code"])
    return code >= _FIRST_TEMPLATE_CODE


def _check_sizes(header: Any, affine: Float[np.ndarray, "4 4"]) -> None:
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    declared = np.abs(np.array(header.get_zooms()[:3], dtype=np.float64))
    template = int(header["sform_code"]) >= _FIRST_TEMPLATE_CODE
    limit = TEMPLATE_SIZE if template else SAME_SIZE
    with np.errstate(divide="ignore", invalid="ignore"):
        agree = (sizes <= declared * limit) & (declared <= sizes * limit)
    if not agree.all():
        raise UnusableScanError(
            f"its header contradicts itself: voxels of {_size(sizes)} in its {_affine_name(header)}, but "
            f"{_size(declared)} in its voxel sizes (pixdim)"
        )


def _check_orientations(header: Any, affine: Float[np.ndarray, "4 4"]) -> None:
    if min(int(header["sform_code"]), int(header["qform_code"])) <= 0:
        return
    # A qform that is not a rotation carries no information; nibabel raises, and the sform is used alone.
    with contextlib.suppress(ValueError, nib.spatialimages.HeaderDataError):
        qform = header.get_qform()
        sform_ways, qform_ways = (_ways(each) for each in (affine, qform))
        if sform_ways != qform_ways and _between(affine, qform) > MOST_TURN:
            raise UnusableScanError(
                f"its header contradicts itself: its axes point to {sform_ways} in its sform and "
                f"to {qform_ways} in its qform"
            )


def _between(one: Float[np.ndarray, "4 4"], other: Float[np.ndarray, "4 4"]) -> float:
    """Return the largest angle between the same axis in two affines, degrees."""
    axes = [each[:3, :3] / np.linalg.norm(each[:3, :3], axis=0) for each in (one, other)]
    cosines = np.sum(axes[0] * axes[1], axis=0)
    return float(np.degrees(np.arccos(np.clip(cosines.min(), -1, 1))))


def _ways(affine: Float[np.ndarray, "4 4"]) -> str:
    return "".join(map(str, nib.aff2axcodes(affine)))  # type: ignore[no-untyped-call]


def _affine_name(header: Any) -> str:
    return "sform" if int(header["sform_code"]) > 0 else "qform"


def _size(sizes: Float[np.ndarray, " 3"]) -> str:
    return " x ".join(f"{size:.3g}" for size in sizes)
