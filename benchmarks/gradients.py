"""What per-sample gradients of the paper's 3D-CNN at 91x109x91 cost beside a plain step and beside Opacus."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from opacus import GradSampleModule
from torch import Tensor, nn

from benchmarks.harness import Figure, alternate, arguments, ratio, show, timed
from memberscan.models import AgeRegressor, ModelSpec, build
from memberscan.models.gradients import capture
from memberscan.models.inputs import full_precision, resolve_device

GRID = (91, 109, 91)
BATCHES = (1, 2, 4)
ALL = ("conv1", "conv6", "output")
LAST = ("conv6", "output")


def target(grid: Sequence[int] = GRID) -> AgeRegressor:
    """Return the 3D-CNN, without dropout, since Opacus records in training mode only and must agree."""
    torch.manual_seed(0)
    model = build(ModelSpec("cnn3d", tuple(grid), {"dropout": 0.0}))
    assert isinstance(model, AgeRegressor)
    model.calibrate(model.moments(torch.tensor([45.0, 60.0, 75.0])), 3)
    return model.eval()


def batch(size: int, grid: Sequence[int] = GRID) -> tuple[Tensor, Tensor]:
    """Return volumes of noise and ages; the price of a convolution does not depend on what is in them."""
    random = torch.Generator().manual_seed(size)
    return torch.randn(size, 1, *grid, generator=random), 45 + 30 * torch.rand(size, generator=random)


def plain_step(model: nn.Module, inputs: Tensor, ages: Tensor) -> None:
    """Do one forward and one backward pass for the gradients of all weights."""
    model.zero_grad(set_to_none=True)
    nn.functional.mse_loss(model(inputs), ages).backward()  # type: ignore[no-untyped-call]


def paths(model: AgeRegressor, landmarks: Sequence[str]) -> list[str]:
    """Return module paths of landmarks."""
    return [model.landmarks[name] for name in landmarks]


def hooked(model: AgeRegressor, layers: Sequence[str] | None) -> GradSampleModule:
    """Return a copy of the model with Opacus' hooks, on all layers or on some."""
    mine = copy.deepcopy(model).train()
    for name, parameter in mine.named_parameters():
        parameter.requires_grad_(layers is None or name.rpartition(".")[0] in layers)
    return GradSampleModule(mine, loss_reduction="sum")


def opacus_step(model: GradSampleModule, inputs: Tensor, ages: Tensor) -> None:
    """Let Opacus compute per-sample gradients."""
    model.zero_grad(set_to_none=True)
    nn.functional.mse_loss(model(inputs), ages, reduction="sum").backward()  # type: ignore[no-untyped-call]


def check_equal(model: AgeRegressor, hooks: GradSampleModule, inputs: Tensor, ages: Tensor) -> None:
    """Stop if the two sides do not compute the same."""
    ours = capture(model, inputs, ages, layers=paths(model, ALL)).gradients
    opacus_step(hooks, inputs, ages)
    for path, gradients in ours.items():
        theirs = torch.cat(
            [p.grad_sample.flatten(1) for p in hooks._module.get_submodule(path).parameters()], dim=1
        )
        error = float((gradients - theirs).norm() / theirs.norm())
        if error > 1e-3:
            raise SystemExit(
                f"per-sample gradients of {path} differ from Opacus' by {error:.1e}; no timing means anything"
            )


def finished(work: Callable[[], object], device: torch.device) -> Callable[[], float]:
    """Return a measure: the seconds until a device has done all of ``work``."""

    def whole() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return timed(whole)


@full_precision()
def measure(size: int, repetitions: int, device: torch.device) -> list[Figure]:
    """Compare at one batch size."""
    model, (inputs, ages) = target().to(device), (part.to(device) for part in batch(size))
    every, some = hooked(model, None), hooked(model, paths(model, ALL))
    check_equal(model, every, inputs, ages)

    @torch.no_grad()
    def forward() -> None:
        model(inputs)

    steps = alternate(
        {
            "opacus": finished(lambda: opacus_step(every, inputs, ages), device),
            "ours": finished(lambda: capture(model, inputs, ages, layers=paths(model, ALL)), device),
            "plain": finished(lambda: plain_step(model, inputs, ages), device),
            "opacus, 3 layers": finished(lambda: opacus_step(some, inputs, ages), device),
        },
        repetitions,
    )
    last = alternate(
        {
            "ours": finished(lambda: capture(model, inputs, ages, layers=paths(model, LAST)), device),
            "forward": finished(forward, device),
        },
        repetitions,
    )
    three, two = " + ".join(ALL), " + ".join(LAST)
    return [
        ratio(f"{three} / plain step, batch {size}", steps, "ours", "plain", limit=1.2, goal=1.1),
        ratio(f"{three} / Opacus, batch {size}", steps, "ours", "opacus", limit=0.5),
        ratio(f"{three} / Opacus on these 3, batch {size}", steps, "ours", "opacus, 3 layers", limit=None),
        ratio(f"{two} / forward, batch {size}", last, "ours", "forward", limit=1.15),
    ]


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="batch sizes (default 1 2 4)")
    parser.add_argument("--device", default="cpu", help="cpu (default), or cuda: then no figure has a limit")
    options = parser.parse_args()
    device = resolve_device(options.device)
    warnings.filterwarnings("ignore", message="Full backward hook is firing")
    figures = [figure for size in options.batches for figure in measure(size, options.repetitions, device)]
    title = "per-sample gradients, 3D-CNN at 91x109x91: time"
    if device.type == "cuda":
        # The limits were set for processors.
        figures = [replace(figure, goal=None, limit=None) for figure in figures]
        title += f" on {torch.cuda.get_device_name(device)}"
    return show(title, figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
