"""Build a cohort from arrays that a user's own code loads: any format, preprocessing and channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from memberscan import files
from memberscan.cohort.ages import Age
from memberscan.cohort.build import ScanSource, build_volumes
from memberscan.cohort.conform import PreparedScan, foreground, image_statistics
from memberscan.cohort.covariates import typed
from memberscan.cohort.ids import is_nobody
from memberscan.cohort.manifest import MOST_VALUES, STATISTICS
from memberscan.cohort.people_table import describe_rows, read_people_table
from memberscan.errors import BadInputError, CohortError, UnusableScanError
from memberscan.user_code import named_function, source_digest

if TYPE_CHECKING:
    from jaxtyping import Float32

_IMAGE = "image"
"""Key of the image in a dictionary, as in MONAI's datasets."""
_TRIED = 3
"""Scans that are loaded first, to learn the shape that most of them have."""


class Indexed(Protocol):
    """Something with a length and an item for each number from 0: a list, an array, a torch dataset."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> Any: ...


@dataclass(frozen=True)
class AsLoaded:
    """Take arrays of one shape as they are, in float32.

    Parameters
    ----------
    shape
        (i, j, k), or (channels, i, j, k).
    """

    shape: tuple[int, ...]
    dtype: ClassVar = np.dtype(np.float32)
    spacing: ClassVar = None
    # The size of a voxel is not known.
    statistics: ClassVar = tuple(name for name in STATISTICS if name != "image_voxel_mm3")

    def __call__(self, image: Float32[np.ndarray, "*axes"]) -> PreparedScan:
        """Return an array and statistics of its intensities; of several channels, of the first.

        Raises
        ------
        UnusableScanError
            If it has another shape, values that are not finite, or one value only.
        """
        if image.shape != self.shape:
            raise UnusableScanError(
                f"another shape: {_written(image.shape)}; the first have {_written(self.shape)}"
            )
        if not np.isfinite(image).all():
            raise UnusableScanError("NaN or infinite values in the image")
        if image.min() == image.max():
            raise UnusableScanError("constant image")
        first = image if image.ndim == 3 else image[0]
        mask = foreground(first)
        if not mask.any():
            mask = np.ones_like(mask)
        measured = image_statistics(first, mask, np.ones(3))
        return PreparedScan(image, {name: measured[name] for name in self.statistics})


def build_from_loader(
    csv: Path,
    path: Path,
    *,
    loader: str | Callable[[str], Any],
    subject: str,
    age: str,
    file: str | None,
    covariates: tuple[str, ...],
) -> None:
    """Build a cohort from a table of people and a function that loads the image of a row.

    Parameters
    ----------
    csv
        CSV or TSV, one row per scan.
    path
        The cohort directory.
    loader
        The function, or its name as ``package.module:function``. It gets the cell of the column ``file``, and
        returns an array of 3 axes, or of 4 with the channels first: numpy, torch, or a dictionary or tuple in
        which it is ``image`` or the first. It is called by one thread.
    subject, age, file
        Columns with the subject's id, the age in years, and what the loader gets; by default the id.
    covariates
        Columns that describe the scan; none means all others that can.

    Raises
    ------
    BadInputError
        If the function cannot be found, or a column is missing or named twice.
    CohortError
        If every scan is excluded, or the function returns another array when it is called again.
    ParticipantsError
        If the table cannot be read.
    """
    called = named_function(loader, "loader", BadInputError) if isinstance(loader, str) else loader
    named = [*([file] if file else []), *covariates]
    table, scans = read_people_table(csv, subject, age, named)
    given = (table[file] if file else table[subject]).tolist()
    values = typed(table.drop(columns=[subject, age, *([file] if file else [])]), csv)
    # A loader that was changed may prepare images in another way.
    code = source_digest(called)
    sources = _sources(
        scans,
        [partial(_loaded, called, cell) for cell in given],
        [f"{code} {_stamp(cell)}" for cell in given],
        table[age].tolist(),
    )
    name = loader if isinstance(loader, str) else f"{called.__module__}:{called.__qualname__}"
    request: dict[str, Any] = {"command": "cohort from", "table": str(csv.resolve()), "loader": name}
    request |= {"subject": subject, "age": age, "file": file, "covariates": list(covariates)}
    people = (values[list(covariates)] if covariates else values).set_axis(scans["scan_id"])
    _build(path, sources, people, request=request, source=f"table {csv.name}, images loaded by {name}")


def build_from_arrays(
    arrays: Indexed,
    path: Path,
    *,
    subjects: Sequence[str],
    ages: Sequence[float],
    covariates: pd.DataFrame | None,
) -> None:
    """Build a cohort from arrays in memory, or from a torch or MONAI dataset.

    Parameters
    ----------
    arrays
        An image for each scan; see :func:`build_from_loader` for what an image can be.
    path
        The cohort directory.
    subjects, ages
        The subject's id and age (years) of each scan, in the order of ``arrays``.
    covariates
        What else is known of each scan, in the same order.

    Raises
    ------
    BadInputError
        If these differ in length.
    CohortError
        If every scan is excluded, or an item is another array when it is asked for again.
    """
    lengths = {"arrays": len(arrays), "subjects": len(subjects), "ages": len(ages)}
    if covariates is not None:
        lengths["covariates"] = len(covariates)
    if len(set(lengths.values())) > 1 or not len(arrays):
        said = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise BadInputError(f"there are {said}; give one of each for every scan")
    written = [str(age) for age in ages]
    scans = describe_rows(pd.Series([str(subject) for subject in subjects]), pd.Series(written))
    loads = [partial(_loaded, arrays.__getitem__, place) for place in range(len(arrays))]
    # Arrays in memory are compared with those of an earlier call. A dataset's items may take long to make, so
    # of these only the first is.
    known = isinstance(arrays, (np.ndarray, list, tuple))
    stamps = [_digest_of_array(load) if known or not place else "" for place, load in enumerate(loads)]
    people = pd.DataFrame(index=range(len(arrays))) if covariates is None else covariates
    _build(
        path,
        _sources(scans, loads, stamps, written),
        people.set_axis(scans["scan_id"]),
        request={"command": "cohort from arrays"},
        source="arrays" if known else "a dataset",
    )


def _sources(
    scans: pd.DataFrame, loads: Iterable[Callable[[], Any]], stamps: Iterable[str], written: Iterable[str]
) -> list[ScanSource]:
    nobody = is_nobody(scans["subject_id"])
    columns = (scans[name].tolist() for name in ("scan_id", "subject_id", "age", "age_note"))
    rows = zip(*columns, loads, stamps, written, nobody, strict=True)
    return [
        ScanSource(
            scan,
            person,
            "",
            Age(years, note),
            load,
            text,
            stamp,
            described_by=scan,
            problem="no subject id" if nameless else "",
        )
        for scan, person, years, note, load, stamp, text, nameless in rows
    ]


def _build(
    path: Path, sources: list[ScanSource], people: pd.DataFrame, *, request: dict[str, Any], source: str
) -> None:
    """Build the cohort; by one thread, since a user's code need not expect several."""
    prepare = AsLoaded(_shape_of_most(sources))
    build_volumes(
        path, sources, people, request=request, prepare=prepare, source=source, synthetic=False, workers=1
    )


def _shape_of_most(sources: Sequence[ScanSource]) -> tuple[int, ...]:
    """Return the shape that most of the first arrays have, after loading one of them twice."""
    shapes: list[tuple[int, ...]] = []
    first = ""
    for source in sources:
        try:
            found = source.load()
            again = found if shapes else source.load()
        except Exception as error:  # a user's code may fail in any way, and the build says of each scan how
            first = first or f"{source.scan_id}: {type(error).__name__}: {error}"
            continue
        if not np.array_equal(found, again, equal_nan=True):
            raise CohortError(
                f"the image of {source.scan_id!r} is another array when it is loaded again: turn off "
                "augmentation and everything else that is random in the loader"
            )
        shapes.append(found.shape)
        if len(shapes) == _TRIED:
            break
    if not shapes:
        raise CohortError(f"none of {len(sources)} images can be loaded ({first})")
    return max(shapes, key=shapes.count)


def _loaded(load: Callable[[Any], Any], given: Any) -> Float32[np.ndarray, "*axes"]:
    """Call a user's loader, and return the array in what it returns."""
    found = load(given)
    if isinstance(found, Mapping):
        if _IMAGE not in found:
            raise UnusableScanError(f"no key {_IMAGE!r} (it has {', '.join(map(str, found))[:100]})")
        found = found[_IMAGE]
    elif isinstance(found, (tuple, list)):
        found = found[0]
    array = np.asarray(found)
    if array.dtype.kind not in "iufb":
        raise UnusableScanError(f"the loader returned a {type(found).__name__} of type {array.dtype}")
    if array.ndim not in (3, 4) or not 0 < array.size <= MOST_VALUES:
        raise UnusableScanError(
            f"an array of shape {_written(array.shape)}; 3 axes, or 4 with the channels first, and at most "
            f"{MOST_VALUES:,} values are read"
        )
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _digest_of_array(load: Callable[[], Any]) -> str:
    try:
        return files.fingerprint(load().tobytes())
    except Exception:  # a user's code may fail in any way, and the build says of each scan how
        return ""


def _stamp(cell: str) -> str:
    """Return size and modification time of the file that a cell names; "" if it names none."""
    try:
        about = Path(cell).stat()
    except (OSError, ValueError):
        return ""
    return f"{about.st_size}:{about.st_mtime_ns}"


def _written(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "no axes"
