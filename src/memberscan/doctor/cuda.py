"""Whether there is a CUDA card that torch can use, asked in a way that cannot hang this process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

PATIENCE = 30.0
"""How long torch may take to find its devices, seconds; on a slow file system loading it takes ten."""
DEVICE_FILES = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))
"""Files of the drivers of NVIDIA, of Linux within Windows, and of AMD; without one there is no card."""
_ASK_TORCH = """
import json, torch
cuda = torch.cuda
found = [cuda.get_device_properties(k) for k in range(cuda.device_count())] if cuda.is_available() else []
print(json.dumps([{"name": each.name, "memory_bytes": each.total_memory} for each in found]))
"""


@dataclass(frozen=True)
class Card:
    """A CUDA device: its name, and its memory in bytes."""

    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Cuda:
    """The cards that torch can use; if there are none, ``reason`` says why."""

    cards: tuple[Card, ...]
    reason: str


def find_cuda() -> Cuda:
    """Return the cards that torch can use.

    torch is loaded only if a driver is there, and in a process of its own: a driver that does not answer
    blocks the process that asks, in a way that no signal ends.
    """
    if not any(path.exists() for path in DEVICE_FILES):
        return Cuda((), "this machine has no driver of a card")
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return Cuda((), "torch is not installed")
    if version.endswith("+cpu"):
        return Cuda(
            (), f"torch {version} is a build for the CPU only; install a build for CUDA to use the card"
        )
    return _ask([sys.executable, "-c", _ASK_TORCH], PATIENCE)


def _ask(command: list[str], patience: float) -> Cuda:
    """Return what a process finds, or why it found nothing in this time."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
    try:
        out, err = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        # Not waited for: a process that hangs in the driver does not end until the driver answers.
        process.kill()
        return Cuda((), f"the driver did not answer within {patience:g} s; try nvidia-smi")
    if process.returncode:
        last = (err.strip().splitlines() or ["no message"])[-1]
        return Cuda((), f"torch failed: {last[:200]}")
    found: list[dict[str, Any]] = json.loads(out.splitlines()[-1])
    cards = tuple(Card(each["name"], each["memory_bytes"]) for each in found)
    return Cuda(cards, "" if cards else "torch finds no card that it can use; try nvidia-smi")
