"""Bring scans from any scanner to one grid, one orientation and one intensity scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import nibabel as nib
import numpy as np
from scipy import ndimage

from memberscan.cohort.headers import check_declared, world_affine
from memberscan.cohort.manifest import STATISTICS
from memberscan.errors import BadInputError, UnusableScanError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float16, Float32, Shaped

FIELD_OF_VIEW_MM = (182.0, 218.0, 182.0)
TEMPLATE_CENTRE_MM = np.array([-0.5, -17.5, 18.5])
MAXIMUM_OUTSIDE = 0.1
SKULL_STRIPPED_ZEROS = 0.4
TALLEST_HEAD_MM = 280.0
SHORTEST_HEAD_MM = (50.0, 90.0)
"""Smallest accepted size of the foreground, mm, along its shortest and its longest axis, without the outer
0.5% at each end. A newborn's brain is larger; a smaller image is a slab, or its header has a wrong size."""
TOP_MARGIN_MM = 4.0
FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))
_SAMPLED_VOXELS = 500_000


@dataclass(frozen=True)
class PreparedScan:
    """A scan as the cohort stores it, and statistics of the intensities that it had in its file."""

    volume: Shaped[np.ndarray, "i j k"]
    statistics: dict[str, float]


class Preparation(Protocol):
    """How an image becomes a volume of a cohort."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a volume, voxels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type in which volumes are stored."""

    @property
    def spacing(self) -> float | None:
        """Edge of a voxel, mm; None on the images' own grid."""

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of the statistics of a prepared scan."""

    def __call__(self, image: Any) -> PreparedScan:
        """Prepare a nibabel image; UnusableScanError says why it cannot be used."""


@dataclass(frozen=True)
class Conformed:
    """Bring images to the grid of :func:`conform`, whose parameters these are; 1 to 20 mm are accepted."""

    spacing: float
    recentre: bool = True
    statistics: tuple[str, ...] = STATISTICS

    def __post_init__(self) -> None:
        """Check the spacing."""
        if not (math.isfinite(self.spacing) and 1 <= self.spacing <= 20):
            raise BadInputError(f"spacing is {self.spacing}; give the edge of a voxel from 1 to 20 mm")

    @property
    def shape(self) -> tuple[int, int, int]:
        """See :class:`Preparation`."""
        return grid_shape(self.spacing)

    @property
    def dtype(self) -> np.dtype[Any]:
        """See :class:`Preparation`; half precision is finer than the noise of a scan."""
        return np.dtype(np.float16)

    def __call__(self, image: Any) -> PreparedScan:
        """See :class:`Preparation`."""
        return conform(image, self.spacing, recentre=self.recentre)


def grid_shape(spacing: float) -> tuple[int, int, int]:
    """Return the shape of the cohort grid: 182 x 218 x 182 mm in voxels of ``spacing`` mm, rounded up."""
    i, j, k = (math.ceil(extent / spacing - 1e-6) for extent in FIELD_OF_VIEW_MM)
    return i, j, k


def conform(image: Any, spacing: float, *, recentre: bool = True) -> PreparedScan:
    """Reorient to RAS+, resample to the cohort grid, and z-score over the whole volume.

    Scans are not registered to a template here. A scan from a scanner is shifted so that the centre of its
    foreground is the centre of the grid, and it is rotated and scaled only as its own header says. If a model
    needs registered or brain-extracted images, do that before building the cohort.

    Parameters
    ----------
    image
        A nibabel image, 3-D (trailing axes of length 1 are dropped), with any affine that
        :func:`~memberscan.cohort.headers.world_affine` accepts.
    spacing
        Edge of a grid voxel, mm.
    recentre
        Whether to shift the scan so. A scan that was registered to a template should stay where it is: by
        its own foreground each would be shifted differently, and the registration would be lost. The grid
        then covers the box of MNI152.

    Returns
    -------
    PreparedScan
        ``volume``, float16, mean 0 and standard deviation 1 over all voxels, background included;
        ``statistics`` of the native intensities (see :func:`image_statistics`).

    Raises
    ------
    UnusableScanError
        If the image is not 3-D, is too large to read, has values that are not finite, is constant, does not
        fit the grid, or is too small for a head, or if its header contradicts itself.
    """
    data, affine = _load_canonical(image)
    mask = foreground(data)
    background = float(np.median(_thin(data)[~_thin(mask)])) if not _thin(mask).all() else 0.0
    centre = _grid_centre(mask, affine, spacing, recentre=recentre)
    sizes = nib.affines.voxel_sizes(affine)  # type: ignore[no-untyped-call]
    # Blur with a Gaussian from the native resolution to the resolution of the grid: detail that is too fine
    # for the grid would otherwise alias.
    sigmas = np.sqrt(np.clip(spacing**2 - sizes**2, 0, None)) / FWHM_PER_SIGMA / sizes
    smooth = ndimage.gaussian_filter(data, sigmas, mode="constant", cval=background)
    to_native = np.linalg.inv(affine) @ _grid_affine(centre, spacing)
    resampled = ndimage.affine_transform(
        smooth, to_native[:3, :3], to_native[:3, 3], grid_shape(spacing),
        order=1, mode="grid-constant", cval=background,
    )  # fmt: skip
    return PreparedScan(_zscore(resampled), image_statistics(data, mask, sizes))


def foreground(data: Float32[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Return the voxels that are not air: by Otsu's threshold, or, if skull-stripped, those that are not 0.

    An image with many exact zeros counts as skull-stripped.
    """
    nonzero: np.ndarray = data != 0
    if nonzero.mean() <= 1 - SKULL_STRIPPED_ZEROS:
        return nonzero
    above: np.ndarray = data > _otsu_threshold(_thin(data))
    return above


def image_statistics(
    data: Float32[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"],
    voxel_sizes: Float[np.ndarray, " 3"],
) -> dict[str, float]:
    """Describe a native image by six numbers that do not depend on anatomy or on any model.

    Returns
    -------
    dict
        ``image_foreground`` (share of the voxels), ``image_p05``, ``image_p50``, ``image_p95`` (intensities
        of the foreground, native units), ``image_sharpness`` (mean absolute difference of neighbours within
        the foreground per mm, over p95 - p05; 0 if they are equal) and ``image_voxel_mm3`` (native voxel
        volume).
    """
    low, middle, high = np.percentile(data[mask], [5, 50, 95]).tolist()
    slopes = []
    for axis, size in enumerate(voxel_sizes):
        first, second = np.delete(mask, -1, axis), np.delete(mask, 0, axis)
        steps = np.abs(np.diff(data, axis=axis)[first & second])
        slopes.append(float(steps.mean(dtype=float)) / size if steps.size else 0.0)
    return {
        "image_foreground": float(mask.mean()),
        "image_p05": low,
        "image_p50": middle,
        "image_p95": high,
        "image_sharpness": float(np.mean(slopes)) / (high - low) if high > low else 0.0,
        "image_voxel_mm3": float(np.prod(voxel_sizes)),
    }


def _load_canonical(image: Any) -> tuple[Float32[np.ndarray, "x y z"], Float[np.ndarray, "4 4"]]:
    check_declared(image.shape, image.get_data_dtype())
    affine = world_affine(image)
    with np.errstate(over="ignore"):
        data = np.asarray(image.dataobj, dtype=np.float32).reshape(image.shape[:3])
    if not np.isfinite(data).all():
        raise UnusableScanError("NaN or infinite values in the image")
    if data.min() == data.max():
        raise UnusableScanError("constant image")
    canonical = nib.as_closest_canonical(nib.Nifti1Image(data, affine))  # type: ignore[no-untyped-call]
    return np.asarray(canonical.dataobj, dtype=np.float32), np.asarray(canonical.affine, dtype=float)


def _grid_centre(
    mask: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"], spacing: float, *, recentre: bool
) -> Float[np.ndarray, " 3"]:
    """Return the world point (mm) that becomes the centre of the grid.

    Without ``recentre``, this is the centre of the template's box. With it, this is the middle of the
    foreground's extent from the 0.5th to the 99.5th percentile along each axis. A centre of mass would move
    with the length of neck in the image and with atrophy; a plain bounding box would move with a single
    bright voxel. A foreground taller than the grid is a head with a neck: the grid then starts at the top of
    the head, and foreground below the grid is not counted as lost.
    """
    stride = _stride(mask)
    voxels = np.argwhere(mask[::stride, ::stride, ::stride]) * stride
    if not len(voxels):
        voxels = np.argwhere(mask)
    # Plain einsum without BLAS: scans are already processed in parallel threads, and BLAS would start its own
    # threads within each of them.
    world = np.einsum("nj,ij->ni", voxels, affine[:3, :3]) + affine[:3, 3]
    half = np.array(grid_shape(spacing)) * spacing / 2
    low, high = np.percentile(world, [0.5, 99.5], axis=0)
    _check_not_small(high - low)
    centre: np.ndarray = (low + high) / 2 if recentre else template_centre(spacing)
    has_neck = recentre and 2 * half[2] < high[2] - low[2] <= TALLEST_HEAD_MM
    if has_neck:
        centre[2] = high[2] + TOP_MARGIN_MM - half[2]
    lost = np.abs(world - centre) > half
    if has_neck:
        lost[:, 2] &= world[:, 2] > centre[2]
    share = float(lost.any(axis=1).mean())
    if share > MAXIMUM_OUTSIDE:
        where = "" if recentre else "; it covers the box of MNI152, and --recentre moves it to the head"
        raise UnusableScanError(
            f"{share:.0%} of the foreground outside the grid (over {MAXIMUM_OUTSIDE:.0%}){where}"
        )
    return centre


def template_centre(spacing: float) -> Float[np.ndarray, " 3"]:
    """Return the centre of the grid in the space of MNI152, mm.

    The box of MNI152 as FSL distributes it (182 x 218 x 182 voxels of 1 mm, the first at -91, -126, -72 mm)
    has its centre at (-0.5, -17.5, 18.5) mm. The grid is moved by less than a voxel so that the template's
    origin is in the middle of a voxel, as in the templates of 1 and 2 mm: an image on their lattice is then
    only cropped or padded, and not interpolated.
    """
    steps = (np.array(grid_shape(spacing)) - 1) / 2
    first = np.round((TEMPLATE_CENTRE_MM - spacing * steps) / spacing) * spacing
    centre: np.ndarray = first + spacing * steps
    return centre


def _check_not_small(extent: Float[np.ndarray, " 3"]) -> None:
    shortest, longest = SHORTEST_HEAD_MM
    if extent.min() < shortest or extent.max() < longest:
        size = " x ".join(f"{side:.3g}" for side in extent)
        raise UnusableScanError(
            f"the foreground measures {size} mm, which is too small for a head (at least {shortest:g} mm, "
            f"and {longest:g} mm along its longest axis)"
        )


def _grid_affine(centre: Float[np.ndarray, " 3"], spacing: float) -> Float[np.ndarray, "4 4"]:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = centre - spacing * (np.array(grid_shape(spacing)) - 1) / 2
    return affine


def _zscore(volume: Float32[np.ndarray, "i j k"]) -> Float16[np.ndarray, "i j k"]:
    deviation = volume.std(dtype=float)
    if deviation == 0:
        raise UnusableScanError("constant image after resampling")
    normal: np.ndarray = ((volume - volume.mean(dtype=float)) / deviation).astype(np.float16)
    return normal


def _otsu_threshold(data: Float32[np.ndarray, "x y z"]) -> float:
    """Return the threshold that best splits the histogram in two (Otsu 1979), without its top 0.1%."""
    counts, edges = np.histogram(data, bins=256, range=(data.min(), np.percentile(data, 99.9)))
    middles = (edges[:-1] + edges[1:]) / 2
    weight = np.cumsum(counts)
    first = np.cumsum(counts * middles)
    below = first / np.maximum(weight, 1)
    above = (first[-1] - first) / np.maximum(weight[-1] - weight, 1)
    between = weight * (weight[-1] - weight) * (below - above) ** 2.0
    return float(edges[1:][np.argmax(between)])


def _stride(data: np.ndarray) -> int:
    return max(1, math.ceil(math.cbrt(data.size / _SAMPLED_VOXELS)))


def _thin(data: np.ndarray) -> np.ndarray:
    """Return every n-th voxel along each axis: enough for a histogram, and fast for a scan of any size."""
    step = _stride(data)
    return data[::step, ::step, ::step]
