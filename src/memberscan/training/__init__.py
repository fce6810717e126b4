"""One training loop for every regime, resumable at any moment."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memberscan.training.central import train
    from memberscan.training.config import TrainingConfig
    from memberscan.training.imports import import_run
    from memberscan.training.loop import fit

# Commands read the configuration and must not load torch for that, so the other names are imported lazily.
_HOME = {"TrainingConfig": "config", "fit": "loop", "import_run": "imports", "train": "central"}

__all__ = ["TrainingConfig", "fit", "import_run", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
