"""The active server, simulated: what it broadcasts is changed, and the learners' answers are kept apart."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from memberscan.cohort import Cohort
from memberscan.federation.engines import simulate
from memberscan.federation.settings import Settings
from memberscan.files import begin
from memberscan.models.inputs import batches, predict, resolve_device
from memberscan.runs import Run
from memberscan.runs.transcript import ROUNDS, Transcript

if TYPE_CHECKING:
    from torch import Tensor

REACH = 1.0
"""Length of the ascent, in lengths of the last round's change of the global model."""
STEPS = 4


def active_round(
    run: Run, cohort: Cohort, scan_ids: Sequence[str], directory: Path, reach=REACH, steps=STEPS, power=1
) -> Transcript:
    transcript = run.transcript
    settings = dataclasses.replace(Settings.from_json(json.dumps(dict(transcript.settings))), rounds=1)
    begin(directory, {"r": reach}, done="never")
    path = directory / ROUNDS
    answers = Transcript.begin(path, learners=transcript.learners, secure="none", settings=settings.to_dict())
    if not answers.begun:
        answers.record(0, ascended(run, transcript, cohort, scan_ids, reach, steps, power))
    simulate(cohort, run.roles, settings, path)
    return Transcript.open(path)


def ascended(run, transcript, cohort, scan_ids, reach, steps, power) -> dict[str, Tensor]:
    device = resolve_device("auto")
    last = len(transcript.rounds)
    model = run.model_with(transcript.global_model(last)).to(device)
    earlier = run.model_with(transcript.global_model(last - 1)).to(device)
    weights = list(model.parameters())
    with torch.no_grad():
        length = torch.stack([(a - b).norm() for a, b in zip(weights, earlier.parameters())]).norm()
    for _ in range(steps):
        gradient = _gradient(model, cohort, scan_ids, device, power)
        norm = torch.stack([g.norm() for g in gradient]).norm()
        with torch.no_grad():
            for w, g in zip(weights, gradient):
                w += reach * length / steps * g / norm
    return {k: v.detach().cpu() for k, v in model.state_dict().items()}


def _gradient(model, cohort, scan_ids, device, power):
    weights = list(model.parameters())
    total = [torch.zeros_like(w) for w in weights]
    for inputs, ages in batches(cohort, scan_ids, 8):
        r = (ages.to(device) - predict(model, inputs.to(device))).abs()
        for t, g in zip(total, torch.autograd.grad((r**power).sum(), weights)):
            t += g
    return total
