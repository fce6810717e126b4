"""Record which volumes of a cohort are finished, and check that a volume has not changed since."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memberscan import files, received
from memberscan.errors import BadInputError, StaleError
from memberscan.rows import RowFile


class Ledger:
    """The finished scans: one line per scan, added after its volume is in the store.

    A line counts only if it names the scan, its row and the present state of its source file, and if the
    row's bytes have the recorded digest. An incomplete line, a changed source file, or a store that lost its
    last writes is therefore noticed, and the scan is done again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        text = (
            received.read_limited(path, files.TABLE_LIMIT).decode(errors="replace") if path.exists() else ""
        )
        self._entries = {entry["scan_id"]: entry for entry in _entries(text)}
        self._torn = bool(text) and not text.endswith("\n")

    def find(self, scan_id: str, row: int, stamp: str, store: RowFile) -> dict[str, Any] | None:
        """Return the entry of a finished scan, or None if the scan has to be done."""
        entry = self._entries.get(scan_id)
        if (
            entry is None
            or (entry["row"], entry["stamp"]) != (row, stamp)
            or entry["digest"] != store.digest(row)
        ):
            return None
        return entry

    def add(self, entry: dict[str, Any]) -> None:
        """Append an entry; if interrupted, it may be incomplete but is never mixed with another."""
        line = ("\n" if self._torn else "") + _line(entry)
        with self._lock:
            files.append_line(self._path, line, mode=files.OWNER_ONLY)
            self._torn = False

    def settle(self, entries: list[dict[str, Any]]) -> None:
        """Rewrite the ledger in the order of the rows, so that equal builds end in equal bytes."""
        files.write_text(self._path, "".join(f"{_line(entry)}\n" for entry in entries), mode=files.OWNER_ONLY)


class Recorded:
    """The digests of a finished cohort's volumes; each volume is checked when it is first read.

    Parameters
    ----------
    store
        The file that holds the volumes, to name it in errors.
    digests
        The digest of each volume; :meth:`compare` refers to volumes by their position in this sequence.
    """

    def __init__(self, store: Path, digests: Sequence[str]) -> None:
        self._store = store
        self._left = dict(enumerate(digests))

    def compare(self, places: Sequence[int], volumes: np.ndarray) -> None:
        """Compare volumes that were just read; each volume is compared once.

        Raises
        ------
        StaleError
            If a volume has changed since the cohort was built.
        """
        for place, volume in zip(places, volumes, strict=True):
            digest = self._left.get(place)
            if digest is None:
                continue
            if files.fingerprint(volume.tobytes()) != digest:
                raise changed(self._store)
            self._left.pop(place, None)


def changed(path: Path) -> StaleError:
    """Return the error that a file of a cohort was changed after the cohort was built."""
    return StaleError(
        f"{path} was changed after the cohort was built; delete {path.parent} and build the cohort again"
    )


def recorded_digests(ledger: Path, scans: Mapping[str, int]) -> list[str]:
    """Return the digest of each scan's volume, or "" if the ledger has none.

    Parameters
    ----------
    ledger
        The ledger of a finished cohort.
    scans
        The row of each scan in the store, by scan id.
    """
    text = received.read_limited(ledger, files.TABLE_LIMIT).decode(errors="replace")
    found = {(entry["scan_id"], entry["row"]): entry["digest"] for entry in _entries(text)}
    return [found.get(scan, "") for scan in scans.items()]


def _entries(text: str) -> Iterator[dict[str, Any]]:
    """Yield the complete lines of a ledger; an incomplete or unknown line is ignored."""
    for line in text.split("\n"):
        try:
            entry = received.parse_json(line, "a line of the ledger")
        except BadInputError:
            continue
        if isinstance(entry, dict) and _is_whole(entry):
            yield entry


def _is_whole(entry: dict[str, Any]) -> bool:
    statistics = entry.get("statistics", {})
    return (
        all(isinstance(entry.get(name), str) for name in ("scan_id", "stamp", "digest"))
        and type(entry.get("row")) is int
        and isinstance(statistics, dict)
        and all(isinstance(value, (int, float)) for value in statistics.values())
    )


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False)
