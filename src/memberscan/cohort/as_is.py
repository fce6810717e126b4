"""Store images as a model saw them: on their own grid, with their own intensities, without loss."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import nibabel as nib
import numpy as np

from memberscan.cohort.conform import PreparedScan, foreground, image_statistics
from memberscan.cohort.headers import check_declared
from memberscan.cohort.manifest import STATISTICS, STORED
from memberscan.errors import UnusableScanError

if TYPE_CHECKING:
    from jaxtyping import Shaped

_DECIMALS = 2
"""Voxel sizes that are equal to a hundredth of a millimetre are equal; programs round them differently."""


class Grid(NamedTuple):
    """The voxels of an image: how many, their size in mm, and where their axes point, such as "RAS"."""

    shape: tuple[int, ...]
    sizes: tuple[float, ...]
    axes: str

    @classmethod
    def of(cls, image: Any) -> Grid:
        """Return the grid of a nibabel image; the position of the head in the scanner is no part of it."""
        sizes = nib.affines.voxel_sizes(image.affine)  # type: ignore[no-untyped-call]
        axes = nib.aff2axcodes(image.affine)  # type: ignore[no-untyped-call]
        return cls(
            tuple(map(int, image.shape[:3])), tuple(sizes.round(_DECIMALS).tolist()), "".join(map(str, axes))
        )

    def __str__(self) -> str:
        shape, sizes = (" x ".join(f"{n:g}" for n in numbers) for numbers in (self.shape, self.sizes))
        return f"{shape} voxels of {sizes} mm, axes {self.axes}"


@dataclass(frozen=True)
class AsIs:
    """Take images of one grid as they are: neither moved, resampled, turned nor rescaled.

    A network that was trained on these files gets from the cohort the numbers that it got then, in float32:
    those of ``nibabel.load(path).get_fdata()``. What its training script did with them, such as dividing by
    their largest, must be done by the network that is imported.

    Parameters
    ----------
    grid
        The grid of the cohort; images of another grid are unusable.
    dtype
        Type in which all of their voxels are stored without loss.
    """

    grid: Grid
    dtype: np.dtype[Any]
    spacing: None = None
    statistics: tuple[str, ...] = STATISTICS

    @classmethod
    def of(cls, images: Iterable[Any]) -> AsIs:
        """Return what takes the largest group of images that have one grid; only headers are read."""
        types: dict[Grid, set[np.dtype[Any]]] = {}
        count: Counter[Grid] = Counter()
        for image in images:
            grid = Grid.of(image)
            count[grid] += 1
            types.setdefault(grid, set()).add(_lossless(image))
        grid = count.most_common(1)[0][0]
        common = np.result_type(*types[grid])
        return cls(grid, common if common in STORED else np.dtype(np.float32))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a volume, voxels."""
        return self.grid.shape

    def __call__(self, image: Any) -> PreparedScan:
        """Return a nibabel image's voxels in the order of the file, and statistics of its intensities.

        Raises
        ------
        UnusableScanError
            If it has another grid, values that are not finite as float32, or one value only.
        """
        check_declared(image.shape, image.get_data_dtype())
        if (grid := Grid.of(image)) != self.grid:
            raise UnusableScanError(f"another grid: {grid}; most images have {self.grid}")
        with np.errstate(over="ignore"):
            data = np.asarray(image.dataobj).reshape(self.shape)
            volume: Shaped[np.ndarray, "i j k"] = data.astype(self.dtype)
            values = volume.astype(np.float32)
        if not np.isfinite(values).all():
            raise UnusableScanError("NaN or infinite values in the image")
        if values.min() == values.max():
            raise UnusableScanError("constant image")
        mask = foreground(values)
        if not mask.any():
            mask = np.ones_like(mask)
        return PreparedScan(volume, image_statistics(values, mask, np.array(self.grid.sizes)))


def _lossless(image: Any) -> np.dtype[Any]:
    """Return the smallest stored type that holds an image's voxels as exactly as float32 does."""
    stored = image.get_data_dtype().newbyteorder("=")
    slope, offset = (getattr(image.dataobj, name, default) for name, default in (("slope", 1), ("inter", 0)))
    scaled = not (math.isclose(slope, 1, rel_tol=0) and offset == 0)
    return stored if stored in STORED and not scaled else np.dtype(np.float32)
