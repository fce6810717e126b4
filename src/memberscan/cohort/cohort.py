"""A cohort: one row per scan, with what is known about it, and the model's input by scan id."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from memberscan import files
from memberscan.cohort import manifest
from memberscan.cohort.store import Recorded, changed, recorded_digests
from memberscan.errors import CohortError, MisalignedError
from memberscan.shown import plain
from memberscan.target_variable import AGE, TargetVariable

if TYPE_CHECKING:
    from jaxtyping import Float32

    from memberscan.cohort.arrays import Indexed


@dataclass(frozen=True, eq=False, repr=False)
class Cohort:
    """Scans of people with known ages, in a directory that is built once and only read afterwards.

    Parameters
    ----------
    path
        The directory.
    kind
        "volumes" (images on one grid) or "table" (one row of measures per scan).
    scans
        Indexed by scan id: ``row`` (position in the store), ``subject_id``, ``session``, ``age`` (years),
        ``age_note`` ("" or, for example, "written 89+": the age is a lower limit), then the covariates.
    excluded
        Excluded scans: scan_id, subject_id, reason.
    covariates
        Columns of ``scans`` that a blind baseline may use besides age and number of scans.
    ignored
        Columns of the user's table that were not used, for instance text with many levels or row numbers.
    shape
        Shape of one input: voxels (i, j, k), with channels (c, i, j, k), or (features,).
    spacing
        Edge of a voxel, mm; None for a table, and for images on their own grid.
    features
        Names of a table's features; empty for volumes.
    synthetic
        Whether these are phantoms. Say so wherever a number from them appears.
    dtype
        Type of the stored inputs, such as "float16"; they are read as float32.
    source
        Where it came from, in words.
    content
        Digest of the inputs. Inputs are checked against it when they are read: a table when the cohort is
        opened, a volume when it is first read.
    fingerprint
        Digest of ids, ages, covariates and inputs: equal only for equal cohorts.
    target
        What models of this cohort predict: the age, unless :meth:`with_target` chose another column.
    """

    path: Path
    kind: str
    scans: pd.DataFrame
    excluded: pd.DataFrame
    covariates: tuple[str, ...]
    ignored: tuple[str, ...]
    shape: tuple[int, ...]
    spacing: float | None
    features: tuple[str, ...]
    synthetic: bool
    dtype: str
    source: str
    content: str
    fingerprint: str
    target: TargetVariable = field(default=AGE, kw_only=True)

    @classmethod
    def open(cls, path: Path | str) -> Cohort:
        """Open a finished cohort.

        Raises
        ------
        CohortError
            If there is no cohort, it is unfinished, or its store is damaged.
        StaleError
            If its table of scans or its table of features has changed since it was built.
        """
        path = Path(path)
        stated = manifest.read(path)
        cohort = cls(
            path=path,
            kind=stated.kind,
            scans=manifest.read_scans(path, stated.covariates),
            excluded=manifest.read_excluded(path),
            covariates=stated.covariates,
            ignored=stated.ignored,
            shape=stated.shape,
            spacing=stated.spacing,
            features=stated.features,
            synthetic=stated.synthetic,
            dtype=stated.dtype,
            source=stated.source,
            content=stated.content,
            fingerprint=stated.fingerprint,
        )
        store = cohort._store
        if store.shape[1:] != cohort.shape or len(store) <= cohort.scans["row"].max():
            raise CohortError(
                f"the store of {path} does not fit its {manifest.MANIFEST}; build the cohort again"
            )
        if cohort.kind == "table":
            cohort._compare_whole_store()
        return cohort

    @classmethod
    def from_bids(
        cls,
        bids: Path | str,
        path: Path | str,
        *,
        select: Mapping[str, str] | None = None,
        suffix: str = "T1w",
        spacing: float | None = 4.0,
        recentre: bool | None = None,
        participants: Sequence[str] = (),
        workers: int | None = None,
    ) -> Cohort:
        """Build a cohort from the images of a BIDS dataset; see :mod:`memberscan.cohort.bids`.

        Parameters
        ----------
        bids
            The dataset, raw or derivative; it is only read.
        path
            The cohort's directory. The same call resumes an unfinished cohort, and opens a finished one.
        select
            Entities that a file must have, such as ``{"desc": "brain"}``; ``{"desc": ""}`` selects files
            without that entity.
        suffix
            The kind of image, as the file's name ends, such as "T1w" or "FLAIR".
        spacing
            Edge of a voxel of the cohort's grid, mm. None takes the images as they are, on their own grid:
            the way to audit a model that was trained on these files.
        recentre
            Whether to shift each head to the centre of the grid; by default, unless the images are registered
            to a template, as their headers or names say.
        participants
            Labels of the people to take, with or without "sub-"; by default everybody.
        workers
            Number of scans processed at a time; by default the number of cores.
        """
        from memberscan.cohort.bids import build_from_bids

        build_from_bids(
            Path(bids), Path(path), select=dict(select or {}), suffix=suffix, spacing=spacing,
            recentre=recentre, participants=tuple(participants), workers=workers,
        )  # fmt: skip
        return cls.open(path)

    @classmethod
    def from_table(
        cls,
        csv: Path | str,
        path: Path | str,
        *,
        subject: str,
        age: str,
        covariates: Sequence[str] = (),
        features: Sequence[str] = (),
    ) -> Cohort:
        """Build a cohort from a CSV or TSV of regional measures; see :mod:`memberscan.cohort.table`.

        Parameters
        ----------
        csv
            The table, one row per scan.
        path
            The cohort's directory.
        subject, age
            Columns with the subject's id (repeated for repeat scans) and the age in years.
        covariates
            Columns that are not features but describe the scan.
        features
            Columns that are features; by default all other numeric columns.
        """
        from memberscan.cohort.table import build_from_table

        build_from_table(
            Path(csv), Path(path), subject=subject, age=age, covariates=tuple(covariates),
            features=tuple(features),
        )  # fmt: skip
        return cls.open(path)

    @classmethod
    def from_loader(
        cls,
        csv: Path | str,
        path: Path | str,
        *,
        loader: str | Callable[[str], Any],
        subject: str,
        age: str,
        file: str | None = None,
        covariates: Sequence[str] = (),
    ) -> Cohort:
        """Build a cohort from a table and your own function that loads an image.

        Parameters and errors are those of :func:`memberscan.cohort.arrays.build_from_loader`.
        """
        from memberscan.cohort.arrays import build_from_loader

        build_from_loader(
            Path(csv), Path(path), loader=loader, subject=subject, age=age, file=file,
            covariates=tuple(covariates),
        )  # fmt: skip
        return cls.open(path)

    @classmethod
    def from_arrays(
        cls,
        arrays: Indexed,
        path: Path | str,
        *,
        subjects: Sequence[str],
        ages: Sequence[float],
        covariates: pd.DataFrame | None = None,
    ) -> Cohort:
        """Build a cohort from arrays in memory, or from a torch or MONAI dataset.

        Parameters and errors are those of :func:`memberscan.cohort.arrays.build_from_arrays`.
        """
        from memberscan.cohort.arrays import build_from_arrays

        build_from_arrays(arrays, Path(path), subjects=subjects, ages=ages, covariates=covariates)
        return cls.open(path)

    @classmethod
    def phantom(
        cls,
        path: Path | str,
        *,
        subjects: int = 200,
        spacing: float = 6.0,
        scans_per_subject: int = 1,
        seed: int = 0,
        patients: float = 0.0,
        workers: int | None = None,
    ) -> Cohort:
        """Build a cohort of synthetic, T1-like brains; see :mod:`memberscan.cohort.phantom`.

        Parameters
        ----------
        path
            The cohort's directory.
        subjects, scans_per_subject
            Number of people, and of scans per person.
        spacing
            Edge of a voxel of the cohort's grid, mm.
        seed
            Everything about a scan follows from the seed, the subject's number and the scan's number.
        patients
            Share of the people with a simulated disease: the covariates ``diagnosis`` and ``mmse`` say more.
        workers
            Number of scans made at a time; by default the number of cores.
        """
        from memberscan.cohort.phantom import build_phantom

        build_phantom(
            Path(path), subjects=subjects, spacing=spacing, scans_per_subject=scans_per_subject, seed=seed,
            patients=patients, workers=workers,
        )  # fmt: skip
        return cls.open(path)

    def __len__(self) -> int:
        return len(self.scans)

    def __repr__(self) -> str:
        unit = "features" if self.kind == "table" else "voxels"
        size = "x".join(map(str, self.shape)) + (f" at {self.spacing:g} mm" if self.spacing else f" {unit}")
        ages = f"{self.scans['age'].min():.0f}-{self.scans['age'].max():.0f} years"
        phantom = ", synthetic" if self.synthetic else ""
        return (
            f"Cohort({plain(self.source)}: {len(self)} scans of {len(self.subjects)} subjects, {ages}, "
            f"{size}, {len(self.excluded)} excluded{phantom})"
        )

    @property
    def subjects(self) -> list[str]:
        """Ids of the subjects, each once, in the order of their first scan."""
        return self.scans["subject_id"].drop_duplicates().tolist()

    @cached_property
    def labels(self) -> pd.Series:
        """True value of the target of each scan, in its unit; of classes, the position of the class."""
        from memberscan.cohort.target_column import labels_of

        return labels_of(self.scans[self.target.name], self.target)

    def with_target(
        self, target: str | TargetVariable, *, unit: str | None = None, classes: Sequence[str] = ()
    ) -> Cohort:
        """Return this cohort with another column as the target of models; its files stay as they are.

        Parameters
        ----------
        target
            The column: one of the covariates, or "age"; or a target variable, which says all.
        unit
            Unit of a number, such as "points"; without one the values are classes.
        classes
            Names of the classes, in the order of a model's outputs; by default those in the column, sorted.

        Raises
        ------
        BadInputError
            If the column cannot be the target: see :mod:`memberscan.cohort.target_column`.
        """
        from memberscan.cohort.target_column import as_target, with_target

        if isinstance(target, TargetVariable):
            return as_target(self, target)
        return with_target(self, target, unit, classes)

    def read(self, scan_ids: Sequence[str]) -> Float32[np.ndarray, "scans ..."]:
        """Return the inputs of some scans, in the order asked for; only these are read from the disk.

        Raises
        ------
        MisalignedError
            If an id is not in this cohort.
        StaleError
            If an input has changed since the cohort was built.
        """
        # A batch is a few scans, of which pandas would make an index each time.
        rows = [self._places.get(scan, -1) for scan in scan_ids]
        if -1 in rows:
            unknown = [scan for scan, row in zip(scan_ids, rows, strict=True) if row < 0]
            raise MisalignedError(
                f"{len(unknown)} scan ids are not in {self.path}: {', '.join(unknown[:3])}; "
                "give ids of its scans"
            )
        stored: np.ndarray = self._store[self.scans["row"].to_numpy()[rows]]
        self._recorded.compare(rows, stored)
        return stored.astype(np.float32)

    @cached_property
    def _places(self) -> dict[str, int]:
        """The place of each scan in :attr:`scans`."""
        return {str(scan): place for place, scan in enumerate(self.scans.index)}

    @cached_property
    def _store(self) -> np.ndarray:
        path = self._store_path
        if not path.is_file():
            raise CohortError(f"{path} is damaged (not a regular file); build the cohort again")
        try:
            store: np.ndarray = np.lib.format.open_memmap(path, mode="r")
        except Exception as error:  # a damaged or malicious header can raise any exception
            raise CohortError(f"{path} is damaged ({error}); build the cohort again") from error
        if store.dtype != np.dtype(self.dtype):
            raise CohortError(f"{path} is damaged (numbers of type {store.dtype}); build the cohort again")
        return store

    @property
    def _store_path(self) -> Path:
        return self.path / (manifest.VOLUMES if self.kind == "volumes" else manifest.FEATURES)

    @cached_property
    def _recorded(self) -> Recorded:
        """Return the digests to check inputs against; a store without a ledger is checked as a whole."""
        ledger = self.path / manifest.LEDGER
        if self.kind == "table":
            return Recorded(self._store_path, [])
        if not ledger.exists():
            self._compare_whole_store()
            return Recorded(self._store_path, [])
        # The digest is of all scans that were built; a cohort with another target may lack some of them.
        built = manifest.read_scans(self.path, manifest.read(self.path).covariates)
        digests = dict(zip(built.index, recorded_digests(ledger, dict(built["row"])), strict=True))
        if files.fingerprint(list(digests.items())) != self.content:
            raise changed(ledger)
        return Recorded(self._store_path, [digests[scan] for scan in self.scans.index])

    def _compare_whole_store(self) -> None:
        with self._store_path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest[:32] != self.content:  # files.fingerprint of all bytes, without holding them
            raise changed(self._store_path)
