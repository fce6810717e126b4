"""Which volumes of a cohort are finished, while it is being built; a kill loses only the scans in hand."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from memberscan import files
from memberscan.rows import RowFile


class Ledger:
    """What is finished: one line a scan, added after its volume is in the store.

    A line counts only if it names the scan, its row and the state of its source file, and the row's bytes
    still have the digest it gives. So neither a torn line, nor a changed file, nor a store that lost its last
    writes is ever trusted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries: dict[str, dict[str, Any]] = {}
        text = path.read_bytes().decode(errors="replace") if path.exists() else ""
        for line in text.split("\n"):
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            self._entries[entry["scan_id"]] = entry
        self._torn = bool(text) and not text.endswith("\n")

    def find(self, scan_id: str, row: int, stamp: str, store: RowFile) -> dict[str, Any] | None:
        """Return the entry of a scan that is finished, or None if it is to be done."""
        entry = self._entries.get(scan_id)
        if (
            entry is None
            or (entry["row"], entry["stamp"]) != (row, stamp)
            or entry["digest"] != store.digest(row)
        ):
            return None
        return entry

    def add(self, entry: dict[str, Any]) -> None:
        """Append an entry, whole or torn but never mixed with another."""
        line = ("\n" if self._torn else "") + _line(entry)
        with self._lock:
            files.append_line(self._path, line, mode=0o600)
            self._torn = False

    def settle(self, entries: list[dict[str, Any]]) -> None:
        """Write the ledger anew in the order of the rows, so that equal builds end in equal bytes."""
        files.write_text(self._path, "".join(f"{_line(entry)}\n" for entry in entries), mode=0o600)


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False)
