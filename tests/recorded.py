"""Federations that never trained: random steps, so that only what is made of them is tested."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from memberscan.cohort import Cohort
from memberscan.models import AgeRegressor, ModelSpec, build
from memberscan.runs import Role, Roles, Run, Transcript
from memberscan.runs.run import ROLES, WEIGHTS
from memberscan.runs.transcript import ROUNDS, Participation

LEARNERS = ("site-1", "site-2", "site-10")
LEFT_OUT = (2, "site-2")
"""Which learner is left out, and of which round."""


def write_vectors(folder: Path, subjects: int = 12, scans: int = 2) -> Cohort:
    """Write a table of six measures, as the awkward models take them; every subject has as many scans."""
    rng, count = np.random.default_rng(3), subjects * scans
    table = pd.DataFrame(rng.normal(size=(count, 6)), columns=[f"m {n}" for n in range(6)])
    table.insert(0, "id", [f"v {n // scans:02d}" for n in range(count)])
    table.insert(1, "age", rng.uniform(45, 80, count).round(1))
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "table.csv", index=False)
    return Cohort.from_table(folder / "table.csv", folder / "cohort", subject="id", age="age")


def deal_out(cohort: Cohort, held_out: int, learners: Collection[str] = LEARNERS) -> Roles:
    """Hold out the last subjects, and deal out the others to the learners in turn."""
    inside, outside = cohort.subjects[:-held_out], cohort.subjects[-held_out:]
    of = dict.fromkeys(inside, Role.MEMBER) | dict.fromkeys(outside, Role.NONMEMBER)
    names = list(learners)
    return Roles(of, {s: names[n % len(names)] for n, s in enumerate(inside)})


def record(
    path: Path,
    cohort: Cohort,
    model: str = "mlp",
    *,
    rounds: int = 3,
    seed: int = 0,
    roles: Roles | None = None,
    left_out: Collection[tuple[int, str]] = (LEFT_OUT,),
    secure: str = "none",
    environment: str | None = None,
) -> Run:
    """Write a finished federation of a model whose learners step at random."""
    spec = ModelSpec(model, cohort.shape, {"width": 4} if ":" not in model else {})
    roles = Roles({}) if roles is None else roles
    facts = {"rounds": rounds, "environment": environment, "local_epochs": None, "secure": secure}
    run = Run(path, spec, roles, False, cohort.path, cohort.fingerprint, {}, facts, code=model)
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
    transcript = Transcript.begin(path / ROUNDS, learners=LEARNERS, secure=secure, settings={})
    transcript = transcript.record(0, state)
    for number in range(1, rounds + 1):
        present = [name for name in LEARNERS if (number, name) not in left_out]
        ends = {
            name: {k: v + 0.03 * torch.randn(v.shape, generator=generator) for k, v in state.items()}
            for name in present
        }
        state = {k: torch.stack([end[k] for end in ends.values()]).mean(0) for k in state}
        absent = {name: "was too late" for name in LEARNERS if name not in present}
        took_part = {name: Participation(8, 1, 25.0) for name in present}
        transcript = transcript.record(number, state, ends, took_part, absent)
    # Networks may share a weight between layers, which the format does not; here each gets a copy.
    save_file({name: value.clone() for name, value in state.items()}, path / WEIGHTS)
    roles.write(path / ROLES)
    return run.finish()
