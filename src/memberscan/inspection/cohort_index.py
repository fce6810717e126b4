"""A cohort as the inspection needs it: its ids, inputs and labels, ready to be searched for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError
from memberscan.inspection.content import ComparedCohort, Proof
from memberscan.inspection.exact_rows import ExactRows
from memberscan.inspection.id_search import IdSearch
from memberscan.inspection.row_matching import RowMatch, match_rows
from memberscan.received import read_limited

_ID_LIST_LIMIT = 64 << 20
_SCANS_AT_A_TIME = 64
_MOST_FLAT = 200_000
"""An array of one axis with more inputs than this is not searched for them."""
_MORE_COLUMNS = 8
"""Most columns that an array may have besides those of the inputs."""


@dataclass(frozen=True)
class CohortIndex:
    """What is searched for in every file; it is sent to the process that reads the files."""

    people: dict[str, int]
    """The number of each person, by id; scan ids lead to their person."""
    search: IdSearch
    """Finds these ids in texts."""
    members: frozenset[int] | None
    """The numbers of the members, if it is known who is."""
    of_scan: np.ndarray
    """The person of each scan."""
    labels: np.ndarray
    """The label of each scan."""
    stored: ExactRows
    """The inputs as the cohort stores them."""
    halves: ExactRows
    """The inputs rounded to 16 bits, as files of small models hold them."""
    shape: tuple[int, ...]
    """Shape of one input."""
    features: tuple[str, ...]
    """Names of the columns of a table."""
    inputs: np.ndarray | None
    """Scans x columns of a table; None for images."""
    compared: ComparedCohort | None
    """What the report says of the cohort."""

    def exact_rows(self, array: np.ndarray) -> RowMatch | None:
        """Return the rows of an array that are inputs of the cohort, number by number."""
        size = int(np.prod(self.shape)) if self.shape else 0
        # One input, or one along the first axis; other arrays with as many numbers hold no inputs.
        one = array.size == size
        if size < 2 or not (one or int(np.prod(array.shape[1:])) == size):
            return None
        rows = array.reshape(-1, size)
        found = (self.halves if array.dtype == np.float16 else self.stored).among(rows)
        if not found:
            return None
        places, scans = zip(*found, strict=True)
        return RowMatch(np.array(places), np.array(scans), 0.0, len(rows))

    def rows(self, array: np.ndarray, names: Sequence[str] = (), *, scaled: bool = True) -> RowMatch | None:
        """Return the rows of an array that are inputs of the cohort, exactly or after a scaling of columns.

        Parameters
        ----------
        array
            Numbers from a file, with one row for each scan.
        names
            Which of the cohort's columns its columns are; by default all, in their order.
        scaled
            Whether to look for scalings of columns, too.
        """
        if names and len(names) < len(self.features):
            places = [self.features.index(name) for name in names]
            if self.inputs is None:
                return None
            return match_rows(array, self.inputs[:, places], scaled=scaled)
        found = (self.exact_rows(form) for form in forms(array, self.shape))
        if (exact := next((each for each in found if each is not None), None)) is not None:
            return exact
        if self.inputs is None or not scaled:
            return None
        return match_rows(array, self.inputs) or match_rows(array.T, self.inputs)

    def proof(self, people: Iterable[int], exact: str) -> Proof:
        """Return what was found of the cohort."""
        found = set(people)
        return Proof(
            people=len(found),
            of=len(set(self.people.values())),
            members=None if self.members is None else len(found & self.members),
            members_of=None if self.members is None else len(self.members),
            exact=exact,
        )


def forms(array: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield an array in the ways in which its numbers may be rows of one input each.

    Parameters
    ----------
    array
        Numbers from a file.
    shape
        Shape of one input.
    """
    yield array
    size = int(np.prod(shape)) if shape else 0
    if size < 2:
        return
    if array.ndim == 1 and size < array.size <= _MOST_FLAT * size and array.size % size == 0:
        yield array.reshape(-1, size)
        yield array.reshape(size, -1).T
    elif array.ndim == 2 and array.shape[0] == size:
        yield array.T
    elif array.ndim == 2 and size < array.shape[1] <= size + _MORE_COLUMNS:
        # A column of ones, an id or a label may stand before or after the inputs.
        for start in range(array.shape[1] - size + 1):
            yield array[:, start : start + size]
    # R and MATLAB keep the axes of images in the opposite order.
    if len(shape) > 1 and array.shape[-len(shape) :] == shape[::-1]:
        first = range(array.ndim - len(shape))
        yield array.transpose(*first, *range(array.ndim - 1, array.ndim - len(shape) - 1, -1))


def index_of(cohort: Cohort | None, members: Path | None) -> CohortIndex | None:
    """Return what to search for.

    Parameters
    ----------
    cohort
        The cohort, or None.
    members
        A text file with the id of one member per line, or None. With a cohort, they must be its subjects.

    Raises
    ------
    BadInputError
        If the list is empty, or none of its ids is in the cohort.
    """
    listed = ids_of(members) if members is not None else None
    if cohort is None and listed is None:
        return None
    if cohort is None:
        return _of_ids(listed or [])
    number = {subject: k for k, subject in enumerate(cohort.subjects)}
    of_scan = cohort.scans["subject_id"].map(number).to_numpy()
    people = {str(scan): int(k) for scan, k in zip(cohort.scans.index, of_scan, strict=True)} | number
    chosen = _members(listed, people, members)
    stored, halves, inputs = _inputs(cohort)
    return CohortIndex(
        people=people,
        search=IdSearch(people),
        members=chosen,
        of_scan=of_scan,
        labels=cohort.labels.to_numpy(dtype=float),
        stored=stored,
        halves=halves,
        shape=cohort.shape,
        features=cohort.features,
        inputs=inputs,
        compared=_compared(cohort, chosen),
    )


def _members(listed: list[str] | None, people: dict[str, int], path: Path | None) -> frozenset[int] | None:
    """Return the numbers of the members on a list; None without one."""
    if listed is None:
        return None
    if chosen := frozenset(people[each] for each in listed if each in people):
        return chosen
    raise BadInputError(f"none of the {len(listed)} ids in {path} is in the cohort; give ids of its subjects")


def _compared(cohort: Cohort, members: frozenset[int] | None) -> ComparedCohort:
    return ComparedCohort(
        people=len(cohort.subjects),
        scans=len(cohort),
        members=None if members is None else len(members),
        sha256=hashlib.sha256(cohort.fingerprint.encode()).hexdigest(),
    )


def _of_ids(listed: Sequence[str]) -> CohortIndex:
    """Return an index of ids alone, all of them members."""
    people = {each: k for k, each in enumerate(listed)}
    nothing = np.zeros(0)
    return CohortIndex(
        people=people,
        search=IdSearch(people),
        members=frozenset(people.values()),
        of_scan=nothing.astype(int),
        labels=nothing,
        stored=ExactRows("float32"),
        halves=ExactRows("float16"),
        shape=(),
        features=(),
        inputs=None,
        compared=None,
    )


def _inputs(cohort: Cohort) -> tuple[ExactRows, ExactRows, np.ndarray | None]:
    """Return all inputs as they are searched for, whole and rounded, and those of a table as numbers.

    Images are read a few at a time.
    """
    stored, halves = ExactRows(cohort.dtype), ExactRows("float16")
    kept = []
    scans = cohort.scans.index.tolist()
    for start in range(0, len(scans), _SCANS_AT_A_TIME):
        block = cohort.read(scans[start : start + _SCANS_AT_A_TIME])
        stored.add(block)
        halves.add(block)
        if cohort.kind == "table":
            kept.append(block)
    return stored, halves, np.concatenate(kept) if kept else None


def ids_of(path: Path) -> list[str]:
    """Return the ids in a text file: the first column of each line, without a heading.

    Raises
    ------
    BadInputError
        If there are none, or the file cannot be read as text.
    """
    try:
        lines = read_limited(path, _ID_LIST_LIMIT).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path} is not UTF-8 text; give one id per line") from error
    except FileNotFoundError as error:
        raise BadInputError(f"{path} does not exist; give a text file with one id per line") from error
    ids = [first for line in lines if (first := line.replace(",", "\t").split("\t")[0].strip().strip('"'))]
    heading = {"participant_id", "subject_id", "id", "subject"}
    found = list(dict.fromkeys(each for each in ids if each.lower() not in heading))
    if not found:
        raise BadInputError(f"{path} holds no ids; give one id per line")
    return found
