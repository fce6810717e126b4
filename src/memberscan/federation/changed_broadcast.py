"""Simulate an active server, which broadcasts a model that was made worse for chosen people.

A learner that trains on one of these people undoes the change; a learner without them undoes less of it.
This never happens in a live federation: the learners are those of a finished federation that was simulated on
this machine, they answer once more, and their answers are kept apart from the federation's transcript.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import flower_engines
from memberscan.files import fingerprint
from memberscan.models.footprint import batch_size
from memberscan.models.heads import head_of
from memberscan.models.inputs import as_inputs, batches, full_precision, outputs_of, resolve_device
from memberscan.output_directory import claim
from memberscan.runs import Run
from memberscan.runs.transcript import ROUNDS, Transcript
from memberscan.training.kept_seeds import DEFENCE_SEED, stored_seed

REACH = 1.0
"""Length of the ascent step, in multiples of the global model's change in the last round."""


def answers(run: Run, cohort: Cohort, group: Sequence[str], place: int, directory: Path) -> Transcript:
    """Simulate one broadcast that harms a group of scans, and return the learners' answers as a transcript.

    The broadcast begins from the last global model and is one step of gradient ascent on the mean loss
    of its group; its length is :data:`REACH` times that of the global model's last change, whatever the
    scale of the loss. Every learner then trains on it honestly for its local epochs, by the same code as in
    the federation. An interrupted call resumes.

    Source: Nasr, Shokri and Houmansadr, "Comprehensive privacy analysis of deep learning" (S&P 2019). The
    step length, and several groups instead of one, are additions of memberscan.

    Parameters
    ----------
    run, cohort
        A finished federation that was simulated here without encryption, with all learners' scans.
    group
        Scan ids for which the broadcast makes the model worse.
    place
        Number of the broadcast, which decides the random numbers of its answers.
    directory
        Directory for the answers; the run itself is only read.
    """
    federation = run.transcript
    honest = Settings.from_json(json.dumps(dict(federation.settings)))
    # With one seed, learners would answer every broadcast with the same order of scans and the same dropout.
    seed = seeds.integer(honest.training.seed, "ascent", place)
    training = dataclasses.replace(honest.training, seed=seed)
    settings = dataclasses.replace(honest, rounds=1, training=training)
    request = {
        "command": "simulated gradient ascent",
        "transcript": federation.fingerprint,
        "cohort": cohort.fingerprint,
        "roles": run.roles.fingerprint,
        "group": fingerprint(list(group)),
        "reach": REACH,
        **dataclasses.asdict(settings),
    }
    path = directory / ROUNDS
    with claim(directory, request, done=f"{ROUNDS}/{1:04d}") as finished:
        if not finished:
            engines, asked = flower_engines(), dataclasses.asdict(settings)
            begun = Transcript.begin(path, learners=federation.learners, secure="none", settings=asked)
            if not begun.begun:
                begun.record(0, ascended(run, cohort, group))
            # A learner's labels stay those of the federation; without its seed, others of the same law.
            kept = stored_seed(run.path, DEFENCE_SEED)
            own = seeds.integer(honest.training.seed, "defence") if kept is None else kept
            engines.simulate(cohort, run.roles, settings, path, defence_seed=own, code=run.code)
        return Transcript.open(path)


@full_precision()
def ascended(run: Run, cohort: Cohort, group: Sequence[str]) -> dict[str, Tensor]:
    """Return the last global model after one gradient ascent step on the mean loss of a group of scans.

    The step has :data:`REACH` times the length of the global model's change in the last round. If the
    gradient is zero, there is no step.
    """
    device = resolve_device("auto")
    last = len(run.transcript.rounds)
    model = run.model_with(run.transcript.global_model(last)).to(device)
    earlier = run.model_with(run.transcript.global_model(last - 1)).to(device)
    weights = list(model.parameters())
    up = _gradient(model, cohort, group)
    with torch.no_grad():
        change = [w - e for w, e in zip(weights, earlier.parameters(), strict=True)]
        step = REACH * _length(change) / _length(up).clamp_min(torch.finfo(torch.float32).tiny)
        for weight, direction in zip(weights, up, strict=True):
            weight.add_(step * direction)
    return {name: tensor.cpu() for name, tensor in model.state_dict().items()}


def _gradient(model: nn.Module, cohort: Cohort, group: Sequence[str]) -> list[Tensor]:
    """Return the gradient of the mean loss, in evaluation mode, for each of the parameters."""
    weights = list(model.parameters())
    device = weights[0].device
    size = batch_size(model, as_inputs(cohort, group[:1]).to(device), backward=True)
    total = [torch.zeros_like(weight) for weight in weights]
    for inputs, labels in batches(cohort, group, size):
        losses = head_of(model).loss(outputs_of(model, inputs.to(device)), labels.to(device))
        parts = torch.autograd.grad(losses.sum() / len(group), weights)
        for so_far, part in zip(total, parts, strict=True):
            so_far += part
    return total


def _length(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors]).square().sum().sqrt()
