"""What a step of dp-sgd costs beside a plain step and beside Opacus: 3D-CNN at 4 mm, batches of 8."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn

from benchmarks.gradients import batch, finished, plain_step, target
from benchmarks.harness import (
    Figure,
    alternate,
    arguments,
    peak_bytes,
    ratio,
    reset_peak,
    resident_bytes,
    show,
)
from memberscan.defences import defence_from
from memberscan.defences.defence import Step, TrainingSize, generator_of
from memberscan.models import AgeRegressor
from memberscan.models.inputs import full_precision, resolve_device

GRID, SIZE = (46, 55, 46), 8
NOISE, CLIP, PEOPLE = 1.0, 1.0, 60
KINDS = ("dp-sgd", "plain", "Opacus")


def ours(model: AgeRegressor, inputs: Tensor, ages: Tensor) -> Callable[[], object]:
    """Return one step of memberscan's defence."""
    defence, device = defence_from(f"dp-sgd:noise={NOISE},clip={CLIP}"), inputs.device
    step = Step(
        model=model.train(),
        inputs=inputs,
        targets=(ages - model.age_mean) / model.age_spread,
        people=torch.arange(len(inputs), device=device),
        size=TrainingSize(PEOPLE, PEOPLE, SIZE, epochs=30),
        epoch=0,
        autocast=torch.autocast(device.type, enabled=False),
        generator=generator_of(0, device),
    )
    return lambda: defence.gradients(step)


def opacus(model: AgeRegressor, inputs: Tensor, ages: Tensor) -> Callable[[], object]:
    """Return one step of Opacus: per-sample gradients by its hooks, clipped and noised by its optimizer."""
    hooked = GradSampleModule(copy.deepcopy(model).train(), loss_reduction="mean")
    # With a learning rate of zero, the step does all its work, and the weights stay those of the other sides.
    plain = torch.optim.SGD(hooked.parameters(), lr=0.0)
    optimizer = DPOptimizer(
        plain, noise_multiplier=NOISE, max_grad_norm=CLIP, expected_batch_size=SIZE, loss_reduction="mean"
    )

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.mse_loss(hooked(inputs), ages).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def steps(device: torch.device, grid: tuple[int, ...] = GRID) -> dict[str, Callable[[], object]]:
    """Return a step of each kind, on the same network and batch."""
    model, (inputs, ages) = target(grid).to(device), (part.to(device) for part in batch(SIZE, grid))
    return {
        "dp-sgd": ours(copy.deepcopy(model), inputs, ages),
        "plain": partial(plain_step, copy.deepcopy(model).train(), inputs, ages),
        "Opacus": opacus(model, inputs, ages),
    }


@full_precision()
def times(repetitions: int, device: torch.device) -> list[Figure]:
    """Compare the time of a step."""
    samples = alternate({name: finished(work, device) for name, work in steps(device).items()}, repetitions)
    return [
        ratio("time, dp-sgd / plain step", samples, "dp-sgd", "plain", limit=1.3),
        ratio("time, Opacus / plain step", samples, "Opacus", "plain", limit=None),
    ]


def peak_of_one(kind: str) -> int:
    """Return by how much the resident set rises at most in one step of this process."""
    # A small step first: libraries that are loaded and caches that are filled once are no one's price.
    steps(torch.device("cpu"), (24, 24, 24))[kind]()
    work = steps(torch.device("cpu"))[kind]
    reset_peak()
    before = resident_bytes()
    work()
    return peak_bytes() - before


def peak_on_card(kind: str, device: torch.device) -> float:
    """Return by how much one step raises the allocated memory of a CUDA card at most."""
    work = steps(device)[kind]
    work()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    return float(torch.cuda.max_memory_allocated(device) - before)


def in_fresh_process(kind: str) -> float:
    """Return :func:`peak_of_one` of a process that did nothing else."""
    command = [sys.executable, "-m", "benchmarks.dp_sgd", "--one", kind]
    return float(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def peaks(repetitions: int, device: torch.device) -> list[Figure]:
    """Compare the memory of a step."""
    one = partial(peak_on_card, device=device) if device.type == "cuda" else in_fresh_process
    samples = alternate({kind: partial(one, kind) for kind in KINDS}, repetitions, warm_up=False)
    shown = partial(ratio, samples=samples, unit="MiB", scale=2**-20)
    return [
        shown("memory, dp-sgd / plain step", ours="dp-sgd", other="plain", limit=1.5),
        shown("memory, Opacus / plain step", ours="Opacus", other="plain", limit=None),
    ]


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--device", default="cpu", help="cpu (default), or cuda: then no figure has a limit")
    parser.add_argument("--one", choices=KINDS, help="print the bytes of one step, and stop")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="Full backward hook is firing")
    if options.one:
        print(peak_of_one(options.one))
        return 0
    device = resolve_device(options.device)
    figures = times(options.repetitions, device) + peaks(options.repetitions, device)
    title = f"a step of dp-sgd, 3D-CNN at 46x55x46, batches of {SIZE}"
    if device.type == "cuda":
        # The limits were set for processors.
        figures = [replace(figure, limit=None) for figure in figures]
        title += f", on {torch.cuda.get_device_name(device)}"
    return show(title, figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
