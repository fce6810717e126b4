"""Secret seeds, kept in a run's request for its owner, so that a resumed run draws the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memberscan import seeds
from memberscan.defences import own_code
from memberscan.errors import BadInputError
from memberscan.output_directory import REQUEST
from memberscan.received import load_json
from memberscan.training.config import TrainingConfig

MEMBERSHIP_SEED = "membership_seed"
DEFENCE_SEED = "defence_seed"
DEFENCE_CODE = "defence_code"
CANARY_SEED = "canary_seed"


def defence_request(path: Path, config: TrainingConfig, given: int | None) -> dict[str, Any]:
    """Return the part of a request about the defence; empty without one.

    It holds the seed of the defence's random numbers and, for classes of the user's own, digests of their
    files.
    """
    if config.defence is None:
        return {}
    own = None if given is None else seeds.integer(given, "defence")
    code = own_code(config.defence)
    return {DEFENCE_SEED: kept_seed(path, DEFENCE_SEED, own), **({DEFENCE_CODE: code} if code else {})}


def canary_request(path: Path, count: int, given: int | None) -> dict[str, Any]:
    """Return the part of a request about canaries: how many, and the seed of their coins; empty without."""
    if not count:
        return {}
    own = None if given is None else seeds.integer(given, "canaries")
    return {"canaries": count, CANARY_SEED: kept_seed(path, CANARY_SEED, own)}


def kept_seed(path: Path, name: str, given: int | None) -> int:
    """Return a seed: the one given, the one in the request of the run at ``path``, or a secret one.

    Raises
    ------
    BadInputError
        If the seed is negative.
    """
    if given is not None:
        if given < 0:
            raise BadInputError(f"seed is {given}; give a whole number that is at least 0")
        return given
    earlier = stored_seed(path, name)
    return seeds.secret() if earlier is None else earlier


def stored_seed(path: Path, name: str) -> int | None:
    """Return the seed in the request of the run at ``path``; None if it holds none."""
    stored = load_json(path / REQUEST) if (path / REQUEST).is_file() else None
    earlier = stored.get(name) if isinstance(stored, dict) else None
    return earlier if type(earlier) is int and earlier >= 0 else None
