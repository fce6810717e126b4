"""Synthetic T1-like brains, so that every step from scans to verdict can be tried without real data."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial.transform import Rotation

from memberscan import seeds
from memberscan.cohort.ages import Age
from memberscan.cohort.build import ScanSource, build_volumes
from memberscan.cohort.conform import FWHM_PER_SIGMA, Conformed
from memberscan.errors import BadInputError

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int

YOUNGEST, OLDEST = 45.0, 80.0
BRAIN_AGE_GAP_SD = 5.0
TISSUE_VOXEL_MM = 2
REACH_MM = 10
MODES = 8
ANATOMY_SD_MM = 2.0
VENTRICLE_MM_PER_YEAR = 0.15
THINNING_PER_YEAR = 0.02
INTENSITY = 600.0
SEVERITY_YEARS, SEVERITY_SD = 12.0, 4.0
"""How much older the brains of patients are than those of controls, years."""
BEST_SCORE, POINTS_PER_YEAR, SCORE_SD = 29.0, 0.4, 1.0
"""Of the score: at no severity, what a year of it costs, and what a person varies by."""


@dataclass(frozen=True)
class Subject:
    """A synthetic subject.

    Parameters
    ----------
    age
        At the first scan, years.
    brain_age_gap
        Biological minus chronological age, years. It is independent of the age, so no model can predict the
        age exactly.
    sex, site
        Covariates; they change size and contrast a little, and are independent of the subject's role.
    size
        Scale along each axis.
    anatomy
        Coefficients of the smooth displacement field that gives the subject an individual anatomy, mm.
    severity
        Years by which a simulated disease ages the brain; 0 for a control.
    score
        A simulated cognition score from 0 to 30, as of an MMSE: it falls with the severity.
    """

    age: float
    brain_age_gap: float
    sex: str
    site: str
    size: Float[np.ndarray, " 3"]
    anatomy: Float[np.ndarray, "3 modes modes modes"]
    severity: float = 0.0
    score: float = BEST_SCORE


@dataclass(frozen=True)
class _Maps:
    """Shares of tissue in voxels of 2 mm, the ways from the ventricles, and the origin of the space."""

    origin: Float[np.ndarray, " 3"]
    grey: Float32[np.ndarray, "x y z"]
    white: Float32[np.ndarray, "x y z"]
    brain: Float32[np.ndarray, "x y z"]
    outward: Float32[np.ndarray, "3 x y z"]


@dataclass(frozen=True)
class _Template:
    """The tissue maps, and the points of the phantom's own grid where there can be brain."""

    affine: Float[np.ndarray, "4 4"]
    shape: tuple[int, int, int]
    inside: Int[np.ndarray, " points"]
    points: Float32[np.ndarray, "3 points"]
    outward: Float32[np.ndarray, "3 points"]
    waves: tuple[Float32[np.ndarray, "modes n"], ...]
    tissue_origin: Float32[np.ndarray, " 3"]
    grey: Float32[np.ndarray, "x y z"]
    white: Float32[np.ndarray, "x y z"]
    brain: Float32[np.ndarray, "x y z"]


_loading = threading.Lock()


def build_phantom(
    path: Path,
    *,
    subjects: int,
    spacing: float,
    scans_per_subject: int,
    seed: int,
    patients: float = 0.0,
    workers: int | None = None,
) -> None:
    """Build a cohort of phantoms: MNI152 tissue maps, deformed and aged; it has no scan of any person.

    Age widens the ventricles and thins the grey matter, according to a biological age that differs from the
    chronological age by N(0, 5 years). Every subject has its own smooth anatomy; every scan has its own
    contrast, bias field, noise and head position. Repeat scans are one to three years apart. Numbers from
    phantoms show how the tools behave. They say nothing about the leakage of a model of real brains.

    Parameters
    ----------
    path
        The cohort directory.
    subjects, scans_per_subject
        Number of people, and of scans per person.
    spacing
        Edge of a voxel of the cohort's grid, mm.
    seed
        Root of all randomness.
    patients
        Share of the people with a simulated disease, which makes a brain look years older. If there are any,
        the covariates ``diagnosis`` and ``mmse`` say who has it, and how well a person scores.
    workers
        Number of threads; by default the number of cores that this process may use.

    Raises
    ------
    BadInputError
        If a number is out of range.
    """
    for name, value, most in (("subjects", subjects, 99_999), ("scans_per_subject", scans_per_subject, 9)):
        if not 1 <= value <= most:
            raise BadInputError(f"{name} is {value}; choose from 1 to {most}")
    if seed < 0:
        raise BadInputError(f"seed is {seed}; choose a number that is at least 0")
    if not 0 <= patients <= 1:
        raise BadInputError(f"patients is {patients}; it is a share of the people, from 0 to 1")
    prepare = Conformed(float(spacing))
    request = {
        "command": "cohort phantom",
        "subjects": subjects,
        "spacing": prepare.spacing,
        "scans_per_subject": scans_per_subject,
        "seed": seed,
    }
    if patients:
        request["patients"] = patients
    people = [draw_subject(seed, number, patients) for number in range(subjects)]
    names = [f"sub-{number + 1:05d}" for number in range(subjects)]
    sources = [
        _scan_source(names[number], people[number], seed, number, scan, spacing, scans_per_subject)
        for number in range(subjects)
        for scan in range(scans_per_subject)
    ]
    table = pd.DataFrame({"sex": [p.sex for p in people], "site": [p.site for p in people]}, index=names)
    if patients:
        table["diagnosis"] = ["patient" if p.severity else "control" for p in people]
        table["mmse"] = [p.score for p in people]
    build_volumes(
        path, sources, table,
        request=request, prepare=prepare, source="phantoms", synthetic=True, workers=workers,
    )  # fmt: skip


def draw_subject(seed: int, number: int, patients: float = 0.0) -> Subject:
    """Draw one subject; the result depends only on the seed, the number and the share of patients."""
    rng = seeds.generator(seed, "phantom", "subject", number)
    sex = str(rng.choice(["F", "M"]))
    wavelength = np.indices((MODES,) * 3).sum(axis=0)
    anatomy = rng.standard_normal((3, MODES, MODES, MODES)) / (1 + wavelength) ** 1.5
    # A product of three cosines has variance 1/8 over the grid. The lowest mode is a constant, a shift of the
    # whole brain; it is scaled like the others.
    anatomy *= ANATOMY_SD_MM / np.sqrt((1 / (1 + wavelength) ** 3).sum() / 8)
    # From another branch of the seed, so that the same people without a disease look the same.
    health = seeds.generator(seed, "phantom", "disease", number)
    ill = health.random() < patients
    severity = max(1.0, float(health.normal(SEVERITY_YEARS, SEVERITY_SD))) if ill else 0.0
    score = BEST_SCORE - POINTS_PER_YEAR * severity + health.normal(0, SCORE_SD)
    return Subject(
        age=round(float(rng.uniform(YOUNGEST, OLDEST)), 2),
        brain_age_gap=float(rng.normal(0, BRAIN_AGE_GAP_SD)),
        sex=sex,
        site=str(rng.choice(["A", "B"])),
        size=rng.normal(1.02 if sex == "M" else 0.98, 0.03) * rng.normal(1, 0.02, 3),
        anatomy=anatomy,
        severity=severity,
        score=float(np.clip(score, 0, 30).round()),
    )


def scan_age(subject: Subject, seed: int, number: int, scan: int) -> float:
    """Return the age at the subject's n-th scan: one to three years after the one before it."""
    waits = [seeds.generator(seed, "phantom", "wait", number, k).uniform(1, 3) for k in range(1, scan + 1)]
    return round(subject.age + sum(waits), 2)


def make_scan(subject: Subject, age: float, spacing: float, rng: np.random.Generator) -> nib.Nifti1Image:
    """Make one brain-extracted T1-like image of a subject.

    Parameters
    ----------
    subject
        The subject whose anatomy the image shows.
    age
        Chronological age at this scan, years.
    spacing
        Voxel edge of the cohort that the image is made for, mm. The image's own voxels have two thirds of
        that, and at least 2 mm.
    rng
        Draws what differs between two scans of one brain: contrast, bias field, noise and head position.

    Returns
    -------
    Nifti1Image
        Background exactly 0; the head's position is in the affine, which is oblique.
    """
    template = _template(max(2.0, spacing * 2 / 3))
    older = age + subject.brain_age_gap + subject.severity - YOUNGEST
    where = template.points / subject.size[:, None].astype(np.float32)
    where += _smooth_field(subject.anatomy, template)
    where -= VENTRICLE_MM_PER_YEAR * older * template.outward
    voxels = (where - template.tissue_origin[:, None]) / TISSUE_VOXEL_MM
    grey, white, brain = (
        np.clip(ndimage.map_coordinates(m, voxels, order=1), 0, 1)
        for m in (template.grey, template.white, template.brain)
    )
    # A power above 1 keeps voxels of pure grey matter (1) and lowers partial volumes: the cortex thins.
    grey **= np.exp(THINNING_PER_YEAR * older)
    fluid = np.clip(brain - grey - white, 0, 1)
    other_site = subject.site == "B"
    grey_level = rng.normal(0.70 if other_site else 0.67, 0.015)
    fluid_level = rng.normal(0.25, 0.02)
    bias = np.exp(_smooth_field(rng.normal(0, 0.04, (1, 3, 3, 3)), template)[0])
    signal = (white + grey_level * grey + fluid_level * fluid) * bias
    noise = (0.04 if other_site else 0.03) * rng.standard_normal(signal.size, dtype=np.float32)
    image = np.zeros(template.shape, dtype=np.float32)
    image.flat[template.inside] = np.where(brain > 0.5, INTENSITY * np.abs(signal + noise), 0)
    return nib.Nifti1Image(image, _head_position(rng) @ template.affine)  # type: ignore[no-untyped-call]


def _scan_source(
    name: str, subject: Subject, seed: int, number: int, scan: int, spacing: float, scans_per_subject: int
) -> ScanSource:
    session = f"ses-{scan + 1}" if scans_per_subject > 1 else ""
    age = scan_age(subject, seed, number, scan)

    def load() -> nib.Nifti1Image:
        return make_scan(subject, age, spacing, seeds.generator(seed, "phantom", "scan", number, scan))

    return ScanSource("_".join(filter(None, (name, session))), name, session, Age(age), load)


def _head_position(rng: np.random.Generator) -> Float[np.ndarray, "4 4"]:
    position = np.eye(4)
    position[:3, :3] = Rotation.from_euler("xyz", rng.normal(0, 2, 3), degrees=True).as_matrix()
    position[:3, 3] = rng.normal(0, 8, 3)
    return position


def _smooth_field(
    coefficients: Float[np.ndarray, "c modes modes modes"], template: _Template
) -> Float32[np.ndarray, "c points"]:
    """Evaluate sums of low-frequency cosines at the points.

    Plain einsum without BLAS gives the same bits with any number of threads.
    """
    modes = coefficients.shape[-1]
    waves = [wave[:modes] for wave in template.waves]
    field = np.einsum("cabd,dz->cabz", coefficients.astype(np.float32), waves[2])
    field = np.einsum("cabz,by->cayz", field, waves[1])
    field = np.einsum("cayz,ax->cxyz", field, waves[0])
    values: np.ndarray = field.reshape(len(field), -1)[:, template.inside]
    return values


def _template(voxel: float) -> _Template:
    with _loading:
        return _load_template(voxel)


@lru_cache(maxsize=2)
def _load_template(voxel: float) -> _Template:
    """Prepare a grid of ``voxel`` mm on the tissue maps."""
    maps = _load_maps()
    grey, white, brain, outward = maps.grey, maps.white, maps.brain, maps.outward
    reach = ndimage.binary_dilation(brain > 0.5, iterations=REACH_MM // TISSUE_VOXEL_MM)
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = maps.origin
    i, j, k = (math.ceil(n * TISSUE_VOXEL_MM / voxel) for n in brain.shape)
    voxels = np.indices((i, j, k)).reshape(3, -1) * (voxel / TISSUE_VOXEL_MM)
    inside = np.flatnonzero(ndimage.map_coordinates(reach.astype(np.float32), voxels, order=0))
    voxels = voxels[:, inside]
    origin = affine[:3, 3].astype(np.float32)
    blur = math.sqrt(max(voxel**2 - TISSUE_VOXEL_MM**2, 0)) / FWHM_PER_SIGMA / TISSUE_VOXEL_MM
    return _Template(
        affine=affine,
        shape=(i, j, k),
        inside=inside,
        points=(origin[:, None] + voxels * TISSUE_VOXEL_MM).astype(np.float32),
        outward=np.stack([ndimage.map_coordinates(component, voxels, order=1) for component in outward]),
        waves=tuple(
            np.cos(np.pi * np.arange(MODES)[:, None] * (np.arange(n) + 0.5) / n).astype(np.float32)
            for n in (i, j, k)
        ),
        tissue_origin=origin,
        grey=ndimage.gaussian_filter(grey, blur),
        white=ndimage.gaussian_filter(white, blur),
        brain=ndimage.gaussian_filter(brain, blur),
    )


@lru_cache(maxsize=1)
def _load_maps() -> _Maps:
    """Load the maps that nilearn ships (ICBM152 2009a nonlinear); resampling them takes seconds."""
    from nilearn import datasets

    images = [
        datasets.load_mni152_gm_template(resolution=TISSUE_VOXEL_MM),
        datasets.load_mni152_wm_template(resolution=TISSUE_VOXEL_MM),
        datasets.load_mni152_brain_mask(resolution=TISSUE_VOXEL_MM),
    ]
    grey, white, brain = (np.asarray(image.dataobj, dtype=np.float32) for image in images)
    return _Maps(images[0].affine[:3, 3], grey, white, brain, _outward_from_ventricles(grey, white, brain))


def _outward_from_ventricles(
    grey: Float32[np.ndarray, "x y z"],
    white: Float32[np.ndarray, "x y z"],
    brain: Float32[np.ndarray, "x y z"],
) -> Float32[np.ndarray, "3 x y z"]:
    """Return vectors away from the ventricles, of length at most 1, that fade within about 1 cm."""
    deep = ndimage.distance_transform_edt(brain > 0.5, sampling=2.0) > 22
    ventricles = np.clip(brain - grey - white, 0, 1) * deep
    slope = -np.array(np.gradient(ndimage.gaussian_filter(ventricles, 3.0)))
    outward: np.ndarray = (slope / np.sqrt((slope**2).sum(axis=0)).max()).astype(np.float32)
    return outward
