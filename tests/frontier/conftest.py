"""A frontier of a few tiny points, in this process, with defences of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from memberscan import report
from memberscan.cohort import Cohort
from memberscan.configuration import configuration
from memberscan.defences import DEFENCES
from memberscan.defences.defence import Defence, Step
from memberscan.frontier import FrontierContent, frontier
from memberscan.training import TrainingConfig

from ..defences.lab import Noise

Make = Callable[..., FrontierContent]


@configuration
class Broken(Defence):
    """Fails, and names a person."""

    def gradients(self, step: Step) -> Tensor:
        raise RuntimeError("division by zero at scan 'v 03'")


class Still(Defence):
    """Changes nothing."""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the test's defences alone."""
    for name in tuple(DEFENCES):
        monkeypatch.delitem(DEFENCES, name)
    for name, kind in {"noise": Noise, "broken": Broken, "still": Still}.items():
        monkeypatch.setitem(DEFENCES, name, f"{kind.__module__}:{kind.__name__}")


@pytest.fixture
def make(sixty: Cohort, here: None, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that makes a tiny frontier in this process."""
    # The pages of single audits take half of the time, and have tests of their own.
    monkeypatch.setattr(report, "render_html", lambda _: "")

    def run(path: Path, *defences: str, **changes: Any) -> FrontierContent:
        arguments: dict[str, Any] = {
            "model": "mlp",
            "defences": defences,
            "references": 2,
            "seeds": 2,
            "attacks": ("stacking", "error:zero-knowledge"),
            "options": {"width": 4},
            "config": TrainingConfig(epochs=3, device="cpu"),
            "seed": 5,
            **changes,
        }
        return frontier(sixty, path, **arguments)

    return run
