"""A frontier of a few tiny points, in this process, with defences of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from pydantic import Field
from torch import Tensor

from memberscan import report
from memberscan.cohort import Cohort
from memberscan.configuration import configuration
from memberscan.defences import DEFENCES
from memberscan.defences.defence import Defence, Guarantee, Step, TrainingSize
from memberscan.frontier import FrontierContent, frontier, making
from memberscan.task_pool import within_a_task
from memberscan.training import TrainingConfig

Make = Callable[..., FrontierContent]


@configuration
class Noise(Defence):
    """Adds Gaussian noise to the gradient of every step."""

    strengths = ("scale=0.1", "scale=3")
    scale: Annotated[float, Field(gt=0)] = 0.1

    def gradients(self, step: Step) -> Tensor:
        loss = super().gradients(step)
        for p in step.model.parameters():
            assert p.grad is not None
            p.grad += self.scale * torch.randn(p.shape, generator=step.generator, device=p.device)
        return loss

    def guarantee(self, size: TrainingSize) -> Guarantee | None:
        return Guarantee(f"Noise of {self.scale} for {size.people} people.", "whoever trains")


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
        monkeypatch.setitem(DEFENCES, name, f"{__name__}:{kind.__name__}")


def in_this_process(function: Callable[[Any], Any], tasks: Sequence[Any], **_: Any) -> Iterator[Any]:
    """Carry out tasks one after the other, as a worker does."""
    for task in tasks:
        yield task, within_a_task(function, task)


@pytest.fixture
def make(sixty: Cohort, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that makes a tiny frontier in this process."""
    monkeypatch.setattr(making, "carry_out", in_this_process)
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
