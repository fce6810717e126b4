"""The files of memberscan's own directories that are for their owner only."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from memberscan.inspection.content import InspectionFinding
from memberscan.inspection.detectors.base import FileContext
from memberscan.report import words

_MOST_SHOWN = 8
"""Names of files that the finding lists."""
_MADE_HERE = frozenset({"run.json", "audit.json", "cohort.json", "frontier.json", "reproduction.json"})
"""A directory with one of these was probably made by memberscan."""
_OWNER_ONLY = frozenset({
    "request.json", "roles.tsv", "roles.salt", "salt.txt", "pseudonyms.tsv", "scores.tsv", "matched.tsv",
    "history.jsonl", "canaries.json", "checkpoint.safetensors", "secret.ckks", "people.tsv",
    "volumes.npy", "features.npy", "scans.tsv", "excluded.tsv", "ledger.jsonl",
})  # fmt: skip
"""They hold scans, or say who is a member, how members were drawn, or what attackers would have to work for:
see "What each file gives away" in the documentation."""
_FOLDERS = frozenset({"signals", "rounds", "checkpoints", "checkpoint-teachers"})
"""What attacks read of each scan, models of every round or of some epochs, and teachers without a defence."""


def owner_only(names: Collection[str]) -> list[str]:
    """Return which of these files memberscan keeps for their owner, in the order given.

    Parameters
    ----------
    names
        Paths within the release; ``!`` stands between an archive and a file in it.
    """
    made_here = {_folder(name) for name in names if _last(name) in _MADE_HERE}
    return [
        name
        for name in names
        if (_last(name) in _OWNER_ONLY and _folder(name) in made_here)
        or any(name.startswith(f"{folder}{inner}/") for folder in made_here for inner in _FOLDERS)
    ]


def findings(names: Collection[str]) -> Iterator[InspectionFinding]:
    """Yield one finding for all of them."""
    if found := owner_only(names):
        kinds = sorted({_last(name) for name in found})
        shown = words.listed(kinds[:_MOST_SHOWN]) + (" and others" if len(kinds) > _MOST_SHOWN else "")
        yield FileContext(found[0]).finding(
            "memberscan's own secrets",
            "leaks",
            "",
            f"{words.people(len(found), 'file')} that memberscan writes for their owner only: "
            f"{shown}. They hold scans or unfinished models, or say who is a member or how members were "
            "drawn.",
            "Of a run, give away run.json and the weights; of an audit, audit.json and audit.html.",
        )


def _last(name: str) -> str:
    return PurePosixPath(name.rpartition("!")[2]).name


def _folder(name: str) -> str:
    return name[: len(name) - len(_last(name))]
