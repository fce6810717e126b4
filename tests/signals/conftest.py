"""Transcripts of federations that never trained: random steps, so that only the arithmetic is tested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from memberscan.cohort import Cohort
from memberscan.models import AgeRegressor, ModelSpec, build
from memberscan.runs import Roles, Run, Transcript
from memberscan.runs.transcript import Participation

LEARNERS = ("site-1", "site-2", "site-10")
LEFT_OUT = (2, "site-2")
"""Which learner is left out, and of which round."""
Federate = Callable[..., tuple[Run, Transcript]]


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A table of six measures, as the awkward models take them."""
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("vectors")
    table = pd.DataFrame(rng.normal(size=(24, 6)), columns=[f"m {n}" for n in range(6)])
    table.insert(0, "id", [f"v {n // 2}" for n in range(24)])
    table.insert(1, "age", rng.uniform(45, 80, 24).round(1))
    table.to_csv(folder / "table.csv", index=False)
    return Cohort.from_table(folder / "table.csv", folder / "cohort", subject="id", age="age")


@pytest.fixture
def federation(tmp_path: Path) -> Federate:
    """Return a function that records rounds of a model whose learners step at random."""

    def record(
        cohort: Cohort, model: str, *, rounds: int = 3, seed: int = 0, width: int | None = 4
    ) -> tuple[Run, Transcript]:
        path = tmp_path / f"{model.replace(':', '-')} {seed} {rounds}"
        spec = ModelSpec(model, cohort.shape, {"width": width} if ":" not in model else {})
        run = Run(path, spec, Roles({}), False, cohort.path, cohort.fingerprint, {}, {}, code=model)
        generator = torch.Generator().manual_seed(seed)
        network = build(spec, code=model)
        if isinstance(network, AgeRegressor):
            network.calibrate(network.moments(torch.tensor([50.0, 60.0, 75.0])), 3)
        state = {
            name: value + 0.1 * torch.randn(value.shape, generator=generator)
            if name in dict(network.named_parameters())
            else value
            for name, value in network.state_dict().items()
        }
        transcript = Transcript.begin(path, learners=LEARNERS, secure="none", settings={})
        transcript = transcript.record(0, state)
        for number in range(1, rounds + 1):
            present = [name for name in LEARNERS if (number, name) != LEFT_OUT]
            ends = {
                name: {k: v + 0.03 * torch.randn(v.shape, generator=generator) for k, v in state.items()}
                for name in present
            }
            state = {k: torch.stack([end[k] for end in ends.values()]).mean(0) for k in state}
            left_out = {} if len(present) == len(LEARNERS) else {LEFT_OUT[1]: "was too late"}
            took_part = {name: Participation(8, 1, 25.0) for name in present}
            transcript = transcript.record(number, state, ends, took_part, left_out)
        return run, transcript

    return record
