"""The size of a model and the memory of its activations, without training it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from memberscan.errors import ModelError
from memberscan.models.spec import MODELS, ModelSpec, build

MEMORY_LIMIT = 2 << 30
_LARGEST_BATCH = 8
_LARGEST_BATCH_ON_CUDA = 64
_SHARE_OF_CUDA = 0.25
_BACKWARD_FACTOR = 2.5


@dataclass(frozen=True)
class Footprint:
    """Sizes of one model on one grid.

    ``activation_bytes`` counts the outputs of all layers for one scan, roughly what a backward pass keeps. It
    is not the peak memory of any particular library.
    """

    parameters: int
    parameter_bytes: int
    activation_bytes: int


def footprint(model: nn.Module, example: Tensor) -> Footprint:
    """Run one example (a batch of one) through a model and count; on the meta device, nothing is computed.

    Hooks cannot see the layers of TorchScript, so these are not counted.
    """
    counted = 0

    def count(module: nn.Module, _: object, output: object) -> None:
        nonlocal counted
        if not any(True for _ in module.children()) and isinstance(output, Tensor):
            counted += output.numel() * output.element_size()

    watched = [m for m in model.modules() if not isinstance(m, torch.jit.ScriptModule)]
    handles = [m.register_forward_hook(count) for m in watched]
    try:
        with torch.no_grad():
            model(example)
    finally:
        for handle in handles:
            handle.remove()
    sizes = [(p.numel(), p.numel() * p.element_size()) for p in model.parameters()]
    return Footprint(sum(n for n, _ in sizes), sum(b for _, b in sizes), counted)


def batch_size(model: nn.Module, example: Tensor, *, backward: bool) -> int:
    """Return how many scans fit the memory limit.

    On CPUs, it is the same on every machine, because the last bits of a sum depend on the batch size. On
    CUDA, the limit is a share of the card's memory, so that equal cards use equal batches.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        return 1  # hooks cannot see its layers, so their memory is unknown
    per_scan = footprint(model, example).activation_bytes * (_BACKWARD_FACTOR if backward else 1.0)
    memory, largest = _limits(example.device)
    return int(np.clip(memory // max(per_scan, 1.0), 1, largest))


def _limits(device: torch.device) -> tuple[float, int]:
    """Return how many bytes the activations of a batch may take on a device, and the largest batch."""
    if device.type != "cuda":
        return MEMORY_LIMIT, _LARGEST_BATCH
    return _SHARE_OF_CUDA * torch.cuda.get_device_properties(device).total_memory, _LARGEST_BATCH_ON_CUDA


def describe(grid: tuple[int, int, int]) -> list[dict[str, object]]:
    """Return one row per target model for volumes: name, parameters, landmarks and memory on this grid."""
    rows: list[dict[str, object]] = []
    for name, kind in MODELS.items():
        shape = (218,) if name == "mlp" else grid
        with torch.device("meta"):
            try:
                model = build(ModelSpec(name, shape)).eval()
            except ModelError as error:
                rows.append({"model": name, "reason": str(error)})
                continue
            example = torch.zeros(1, *shape) if name == "mlp" else torch.zeros(1, 1, *shape)
            size = footprint(model, example)
        rows.append(
            {
                "model": name,
                "input": list(shape),
                "parameters": size.parameters,
                "landmarks": {
                    landmark: {
                        "path": path,
                        "parameters": sum(p.numel() for p in model.get_submodule(path).parameters()),
                    }
                    for landmark, path in kind.landmarks.items()
                },
                "weights_bytes": size.parameter_bytes,
                "activation_bytes_per_scan": size.activation_bytes,
            }
        )
    return rows
