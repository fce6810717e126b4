"""Find the scans of a BIDS dataset: which files are separate scans, and of which subjects."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from memberscan.cohort.ages import Age, age_problem
from memberscan.cohort.as_is import AsIs
from memberscan.cohort.build import ScanSource, build_volumes
from memberscan.cohort.conform import Conformed, Preparation
from memberscan.cohort.headers import in_template_space
from memberscan.cohort.images import load_image, named
from memberscan.cohort.matching import in_order
from memberscan.cohort.participant_labels import only_participants
from memberscan.cohort.participants import Participants
from memberscan.errors import AmbiguousScansError, BadInputError, CohortError

T1W = "T1w"
_DATATYPES = ("anat", "dwi", "perf", "pet", "fmap", "func", "swi")
_OWN_SPACES = ("", "scanner", "orig", "native", "individual", "subject", "anat", "t1w", "t2w", "flair")
"""Values of the entity ``space`` that name no template, in lower case; "" is an image without it."""
# The entities that identify an acquisition. Files that differ only in other entities (such as desc or space)
# are versions of the same scan.
ACQUISITION_ENTITIES = ("sub", "ses", "acq", "run")


@dataclass(frozen=True)
class ScanFile:
    """An image and the entities in its name, such as ``{"sub": "01", "desc": "brain"}``."""

    path: Path
    entities: dict[str, str]

    @property
    def scan_id(self) -> str:
        """The file's name without the entities that distinguish versions of one scan."""
        return "_".join(f"{k}-{self.entities[k]}" for k in ACQUISITION_ENTITIES if k in self.entities)

    @property
    def subject_id(self) -> str:
        """Such as "sub-01"."""
        return f"sub-{self.entities['sub']}"

    @property
    def session(self) -> str:
        """Such as "ses-2"; "" for a dataset without sessions."""
        return f"ses-{self.entities['ses']}" if "ses" in self.entities else ""


def build_from_bids(
    bids: Path,
    path: Path,
    *,
    select: Mapping[str, str],
    suffix: str = T1W,
    spacing: float | None,
    recentre: bool | None = None,
    participants: Sequence[str] = (),
    workers: int | None = None,
) -> None:
    """Build a cohort from every image of one kind in a dataset that matches the selection.

    Ages come from a subject's sessions.tsv where it has ages, else from participants.tsv, which may have a
    row for each session. If a subject has several sessions and only one age, that is the age at the first
    session, as the BIDS specification says; scans of later sessions are excluded, because the age at those is
    unknown. :func:`memberscan.cohort.covariates.select_covariates` chooses the covariates among all other
    columns of participants.tsv.

    Parameters
    ----------
    bids
        A BIDS dataset, raw or derivative.
    path
        The cohort directory.
    select
        Entities that a file must have; an empty value asks for files without that entity.
    suffix
        The kind of image, as the file's name ends, such as "T1w" or "FLAIR".
    spacing
        Edge of a voxel of the cohort's grid, mm; None takes the images as they are.
    recentre
        Whether to shift each head to the centre of the grid; by default, unless the images are registered to
        a template, as their headers or names (``space-MNI152NLin6Asym``) say.
    participants
        Labels of the people to take, with or without "sub-"; by default everybody.
    workers
        Number of threads; by default the number of cores.

    Raises
    ------
    CohortError
        If the dataset is missing or empty, the selection or a label matches nothing, or every scan is
        excluded.
    ParticipantsError
        If the tables are unreadable or give no ages.
    AmbiguousScansError
        If files of one session are versions of one scan.
    BadInputError
        If only some of the images are registered, and ``recentre`` does not say what to do.
    """
    # Before the images are looked at, since a wrong spacing is refused.
    resampled = None if spacing is None else Conformed(float(spacing))
    found = only_participants(find_images(bids, suffix), participants)
    scans = choose_scans(found, select)
    sessions = _sessions_on_disk(bids, found)
    people = Participants.read(bids, sessions)
    request: dict[str, Any] = {
        "command": "cohort bids",
        "bids": str(bids.resolve()),
        "select": dict(sorted(select.items())),
        "spacing": None if resampled is None else resampled.spacing,
    }
    if suffix != T1W:
        request["suffix"] = suffix
    if participants:
        request["participants"] = sorted({scan.subject_id for scan in found})
    sources = [_scan_source(scan, people, sessions[scan.subject_id]) for scan in scans]
    prepare, how = _preparation(scans, sources, resampled, recentre)
    if isinstance(prepare, Conformed) and not prepare.recentre:
        request["recentre"] = False
    selection = "".join(
        f", {key}-{value}" if value else f", no {key}" for key, value in sorted(select.items())
    )
    build_volumes(
        path,
        sources,
        people.covariates,
        request=request,
        prepare=prepare,
        source=f"BIDS dataset {bids.resolve().name}{selection}{how}",
        synthetic=False,
        workers=workers,
    )


def find_images(bids: Path, suffix: str = T1W) -> list[ScanFile]:
    """Return all images of one kind, such as "T1w", in a dataset, sorted by name.

    Raises
    ------
    CohortError
        If the directory does not exist or has no such image.
    BadInputError
        If the suffix is not one of BIDS.
    """
    if not suffix.isalnum():
        raise BadInputError(f"--suffix {suffix!r} is not a BIDS suffix; write for example T1w or FLAIR")
    if not bids.is_dir():
        raise CohortError(f"{bids} is not a directory; give the root of a BIDS dataset")
    # Structural images are in anat, maps of diffusion or perfusion in folders of their own.
    folders = ("anat",) if suffix == T1W else _DATATYPES
    places = (f"{where}/{folder}" for where in ("sub-*", "sub-*/ses-*") for folder in folders)
    paths = sorted(p for place in places for p in bids.glob(f"{place}/*_{suffix}.nii*"))
    found = [ScanFile(p, parse_entities(p.name)) for p in paths if p.name.endswith((".nii", ".nii.gz"))]
    scans = [scan for scan in found if "sub" in scan.entities]
    if not scans:
        raise CohortError(
            f"{bids} has no {suffix} image; expected files such as sub-01/[ses-1/]anat/sub-01_{suffix}.nii.gz"
        )
    return scans


def parse_entities(name: str) -> dict[str, str]:
    """Return the key-value pairs of a BIDS file name, in the order of the name; other parts are ignored."""
    pairs = (part.split("-", 1) for part in name.split(".")[0].split("_")[:-1] if "-" in part)
    return {key: value for key, value in pairs if key and value}


def choose_scans(scans: Sequence[ScanFile], select: Mapping[str, str]) -> list[ScanFile]:
    """Return the files that match a selection, which must leave exactly one file per acquisition.

    Raises
    ------
    CohortError
        If no file matches.
    AmbiguousScansError
        If two files are versions of one scan; the message says what to select.
    BadInputError
        If the selection names a key that cannot be a BIDS entity.
    """
    for key in select:
        if not key.isalnum():
            raise BadInputError(
                f"--select {key}={select[key]}: {key!r} is not a BIDS entity; write for example desc=brain"
            )
    chosen = [s for s in scans if all(s.entities.get(key, "") == value for key, value in select.items())]
    if not chosen:
        wanted = " ".join(f"{key}={value}" for key, value in select.items())
        offers = "; ".join(
            f"{key}: {', '.join(sorted({s.entities.get(key, '(none)') for s in scans})[:10])}"
            for key in select
        )
        raise CohortError(f"none of the {len(scans)} images matches --select {wanted}; they have {offers}")
    by_id: dict[str, list[ScanFile]] = {}
    for scan in chosen:
        by_id.setdefault(scan.scan_id, []).append(scan)
    versions = [group for group in by_id.values() if len(group) > 1]
    if versions:
        raise AmbiguousScansError(_what_to_select(versions))
    return chosen


def _what_to_select(versions: Sequence[Sequence[ScanFile]]) -> str:
    first = versions[0]
    count = f"{len(versions)} scan{'s have' if len(versions) > 1 else ' has'} several versions"
    message = f"{count}, such as {', '.join(scan.path.name for scan in first)}; "
    keys = [
        k
        for k in {k: 0 for scan in first for k in scan.entities}
        if len({s.entities.get(k) for s in first}) > 1
    ]
    if not keys:
        return message + "these names differ only in their ending: delete all but one"
    options = [
        " or ".join(
            f"--select {key}={value}" for value in sorted({scan.entities.get(key, "") for scan in first})
        )
        for key in keys
    ]
    return message + "choose one: " + "; ".join(options)


def _sessions_on_disk(bids: Path, scans: Sequence[ScanFile]) -> dict[str, set[str]]:
    """Return the sessions of every subject that has a folder; empty sets in a dataset without sessions."""
    sessions: dict[str, set[str]] = {folder.name: set() for folder in bids.glob("sub-*") if folder.is_dir()}
    for folder in bids.glob("sub-*/ses-*"):
        sessions[folder.parent.name].add(folder.name)
    for scan in scans:
        sessions.setdefault(scan.subject_id, set()).update({scan.session} - {""})
    return sessions


def _scan_source(scan: ScanFile, participants: Participants, sessions: Collection[str]) -> ScanSource:
    written, age = participants.age(scan.subject_id, scan.session)
    problem = _session_problem(scan, participants, sessions)
    return ScanSource(
        scan.scan_id,
        scan.subject_id,
        scan.session,
        Age(math.nan) if problem else age,
        partial(_load, scan.path),
        written,
        _stamp(scan.path),
        participants.row(scan.subject_id, scan.session),
        problem,
    )


def _session_problem(scan: ScanFile, participants: Participants, sessions: Collection[str]) -> str:
    """Return why the known age of a subject is not the age at this session, or "" if it is."""
    if (scan.subject_id, scan.session) in participants.by_session:
        return ""
    if participants.per_session:
        return f"no age at {scan.session or 'the only session'} (participants.tsv has a row for each session)"
    first = next(iter(in_order(sessions)), "")
    written, age = participants.age(scan.subject_id, scan.session)
    if age_problem(written, age) or scan.session in ("", first):
        return ""
    return (
        f"no age at {scan.session} (participants.tsv gives one, at {first}; give that at each session in "
        f"{scan.subject_id}_sessions.tsv)"
    )


def _preparation(
    scans: Sequence[ScanFile],
    sources: Sequence[ScanSource],
    resampled: Conformed | None,
    recentre: bool | None,
) -> tuple[Preparation, str]:
    """Return how the images become volumes, and the same in words where it is not the usual way."""
    if resampled is None:
        return AsIs.of(_readable(sources)), ", images as they are"
    if recentre is None:
        recentre = not _are_registered(scans)
    return replace(resampled, recentre=recentre), "" if recentre else ", in the space of their template"


def _are_registered(scans: Sequence[ScanFile]) -> bool:
    """Return whether all images, or none, are in the space of a template; unreadable ones do not count.

    Raises
    ------
    BadInputError
        If only some of them are: they would be placed by two rules, and models can tell such images apart.
    """
    groups: dict[bool, list[ScanFile]] = {True: [], False: []}
    for scan in scans:
        with contextlib.suppress(Exception):
            named_so = scan.entities.get("space", "").lower() not in _OWN_SPACES
            groups[in_template_space(_load(scan.path)) or named_so].append(scan)
    if groups[True] and groups[False]:
        raise BadInputError(
            f"{len(groups[True])} of {len(scans)} images are registered to a template, such as "
            f"{groups[True][0].path.name}, and {len(groups[False])} are not, such as "
            f"{groups[False][0].path.name}; select images of one kind with --select, or say what to do with "
            "all of them: --recentre shifts each head to the centre of the grid, and --keep-position none"
        )
    return bool(groups[True])


def _readable(sources: Sequence[ScanSource]) -> list[Any]:
    """Return the images that can be read; the build says what is wrong with the others.

    Raises
    ------
    CohortError
        If no image can be read.
    """
    images = []
    for source in sources:
        if not source.problem:
            with contextlib.suppress(Exception):
                images.append(source.load())
    if not images:
        raise CohortError(f"none of the {len(sources)} images can be read; build without --as-is to see why")
    return images


def _load(path: Path) -> Any:
    with named(path):
        return load_image(path)


def _stamp(path: Path) -> str:
    """Return size and modification time, to notice a changed file; "missing" for a broken link.

    DataLad datasets whose files were not fetched yet have broken links.
    """
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return f"{status.st_size}:{status.st_mtime_ns}"
