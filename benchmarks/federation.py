"""What a federation costs beside a bare loop, and inner products with updates beside forward mode."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, jvp

from benchmarks.gradients import batch, target
from benchmarks.harness import (
    Figure,
    alternate,
    arguments,
    peak_bytes,
    ratio,
    reset_peak,
    resident_bytes,
    show,
    timed,
)
from memberscan import seeds
from memberscan.cohort import Cohort
from memberscan.defences.defence import Defence
from memberscan.federation.client import regressor
from memberscan.federation.settings import Settings
from memberscan.federation.simulated_run import federate
from memberscan.models import AgeRegressor
from memberscan.models.gradients import capture, parameter_layers
from memberscan.models.inputs import as_inputs
from memberscan.runs import Run
from memberscan.signals.passes.updates import inner_products
from memberscan.training import TrainingConfig
from memberscan.training.loop import moments_of
from memberscan.training.optimizers import new_optimizer

LEARNERS, SUBJECTS, ROUNDS, EPOCHS = 8, 60, 1, 4
GRID = (46, 55, 46)
DIRECTIONS, SCANS = 8, 4
FEW, MANY = 3, 12


def how(rounds: int) -> Settings:
    """Return the settings of the federation that is timed: the paper's network and local epochs."""
    return Settings("cnn3d", {}, TrainingConfig(epochs=EPOCHS, device="cpu"), rounds=rounds)


def bare_fedavg(run: Run, cohort: Cohort, data: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Do what the run did in plain PyTorch, with all scans in memory and nothing recorded."""
    settings = how(ROUNDS)
    model = regressor(settings, cohort.shape)
    everyone = [scan for name in data for scan in _scans(run, cohort, name)]
    model.calibrate(moments_of(model, cohort, everyone, Defence()), len(everyone))
    state = copy.deepcopy(model.state_dict())
    for number in range(ROUNDS):
        states = []
        for name, (inputs, ages) in data.items():
            model.load_state_dict(state)
            optimizer = new_optimizer(settings.training, model)
            for epoch in range(number * EPOCHS, (number + 1) * EPOCHS):
                _local_epoch(model, optimizer, inputs, ages, name, epoch, settings.training)
            states.append(copy.deepcopy(model.state_dict()))
        sizes = torch.tensor([len(ages) for _, ages in data.values()], dtype=torch.float64)
        shares = sizes / sizes.sum()
        state = {
            key: sum(share * each[key].double() for share, each in zip(shares, states, strict=True)).float()  # type: ignore[union-attr]
            for key in state
        }
    return state


def _local_epoch(
    model: AgeRegressor,
    optimizer: torch.optim.Optimizer,
    inputs: Tensor,
    ages: Tensor,
    name: str,
    epoch: int,
    config: TrainingConfig,
) -> None:
    order = seeds.generator(seeds.integer(config.seed, "learner", name), "order", epoch).permutation(
        len(ages)
    )
    model.train()
    for start in range(0, len(order), config.batch_size):
        taken = order[start : start + config.batch_size]
        wanted = (ages[taken] - model.age_mean) / model.age_spread
        loss = model.head.loss(model.standard_outputs(inputs[taken]), wanted).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _scans(run: Run, cohort: Cohort, learner: str) -> list[str]:
    its = cohort.scans["subject_id"].isin(run.roles.members_of(learner))
    return [str(scan) for scan in cohort.scans.index[its]]


def engine(folder: Path, repetitions: int) -> Figure:
    """Compare the engine with its recording against the bare loop; stop if they train different models."""
    cohort = Cohort.phantom(folder / "cohort", subjects=SUBJECTS, spacing=4.0)
    count = iter(range(1000))

    def ours() -> Run:
        return federate(
            cohort, folder / f"run-{next(count)}", settings=how(ROUNDS), learners=LEARNERS, seed=0
        )

    run = ours()
    data = {}
    for name in run.transcript.learners:
        ids = _scans(run, cohort, name)
        ages = torch.from_numpy(cohort.scans.loc[ids, "age"].to_numpy(np.float32, copy=True))
        data[name] = as_inputs(cohort, ids), ages
    bare: Callable[[], object] = partial(bare_fedavg, run, cohort, data)
    for key, value in bare_fedavg(run, cohort, data).items():
        if not torch.allclose(value, run.transcript.global_model(ROUNDS)[key], rtol=1e-3, atol=1e-4):
            raise SystemExit(f"the engine and the bare loop train different models ({key}); no timing counts")
    samples = alternate({"ours": timed(ours), "bare": timed(bare)}, repetitions)
    name = f"local engine and recording / bare FedAvg, {LEARNERS} learners"
    return ratio(name, samples, "ours", "bare", limit=1.1)


def products(directions: int, repetitions: int) -> Figure:
    """Compare inner products of scans with updates against forward-mode passes, one a direction."""
    model, (inputs, _) = target(GRID), batch(SCANS, GRID)
    layers = parameter_layers(model)
    random = torch.Generator().manual_seed(0)
    updates = [
        {name: 1e-3 * torch.randn(p.shape, generator=random) for name, p in model.named_parameters()}
        for _ in range(directions)
    ]
    flat = {
        path: torch.stack(
            [
                torch.cat(
                    [
                        u[f"{path}.{n}"].flatten()
                        for n, _ in model.get_submodule(path).named_parameters(recurse=False)
                    ]
                )
                for u in updates
            ]
        )
        for path in layers
    }
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def ours() -> Tensor:
        return inner_products(capture(model, inputs, None, layers=layers).gradients, flat).sum(dim=2)

    def forward_mode() -> Tensor:
        def predict(weights: dict[str, Tensor]) -> Tensor:
            prediction: Tensor = functional_call(model, weights, (inputs,))
            return prediction

        with torch.no_grad():
            return torch.stack([jvp(predict, (parameters,), (u,))[1] for u in updates], dim=1)

    if not torch.allclose(ours(), forward_mode(), rtol=1e-2, atol=1e-2):
        raise SystemExit("inner products differ from forward mode; no timing means anything")
    samples = alternate({"ours": timed(ours), "forward mode": timed(forward_mode)}, repetitions)
    name = f"{directions} inner products a scan / {directions} forward-mode passes"
    return ratio(name, samples, "ours", "forward mode", limit=1.3)


def peak_of_one(folder: Path, rounds: int) -> int:
    """Return by how much the resident set of this process rises in the server's audit of so many rounds."""
    from memberscan.auditing import audit
    from memberscan.threat import Attacker, ThreatModel

    settings = Settings("cnn3d", {"width": 16}, TrainingConfig(epochs=1, device="cpu"), rounds=rounds)
    run = federate(
        folder / "cohort", folder / f"memory-{rounds}", settings=settings, learners=3, held_out=0.4, seed=0
    )
    reset_peak()
    before = resident_bytes()
    audit(run.path, folder / f"audit-{rounds}", threat=ThreatModel(attacker=Attacker.SERVER))
    return peak_bytes() - before


def in_fresh_process(folder: Path, rounds: int) -> float:
    """Return :func:`peak_of_one` of a process that did nothing else."""
    command = [sys.executable, "-m", "benchmarks.federation", "--one", str(folder), str(rounds)]
    return float(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def memory(repetitions: int) -> Figure:
    """Compare the server's audit of many rounds with that of a few."""
    samples: dict[str, list[float]] = {"many": [], "few": []}
    with tempfile.TemporaryDirectory() as first:
        Cohort.phantom(Path(first) / "cohort", subjects=60, spacing=8.0)
        for _ in range(repetitions):
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(Path(first) / "cohort", Path(folder) / "cohort")
                samples["many"].append(in_fresh_process(Path(folder), MANY))
                samples["few"].append(in_fresh_process(Path(folder), FEW))
    name = f"peak memory of the server's audit, {MANY} rounds / {FEW} rounds"
    return ratio(name, samples, "many", "few", limit=1.1, unit="MiB", scale=2**-20)


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument(
        "--one", nargs=2, metavar=("FOLDER", "ROUNDS"), help="print the bytes of one audit, and stop"
    )
    options = parser.parse_args()
    if options.one:
        print(peak_of_one(Path(options.one[0]), int(options.one[1])))
        return 0
    with tempfile.TemporaryDirectory(prefix="memberscan-federation-") as folder:
        figures = [
            engine(Path(folder), options.repetitions),
            *(products(directions, options.repetitions) for directions in (1, DIRECTIONS)),
            memory(options.repetitions),
        ]
    return show("federations: the 3D-CNN at 46x55x46", figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
