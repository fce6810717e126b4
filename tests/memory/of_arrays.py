"""Hostile arrays and weights: archives that expand, headers that lie, pickles that never end."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from memberscan.models import read_weights
from memberscan.received import load_npz
from memberscan.targets.checkpoints import Checkpoints
from memberscan.training.checkpoint import load_checkpoint

from . import bombs
from .bombs import HUGE
from .cases import add, one
from .of_runs import DEEP, JSONS, foreign, read_foreign

LYING = bombs.deflated_zeros(900, bombs.npy((3,), values=bytes(12)))
ARCHIVES: Mapping[str, bytes] = {
    "that expands": bombs.zip_that_lies("w.npy", LYING, 900 << 20),
    "whose directory lies": bombs.zip_that_lies("w.npy", LYING, len(bombs.npy((3,))) + 12),
    "of a huge array": bombs.zipped({"w.npy": bombs.npy((HUGE,))}),
    "of a huge item": bombs.zipped({"w.npy": bombs.npy((0,), "<V2147483647")}),
    "of objects": bombs.zipped({"w.npy": bombs.npy((HUGE,), "|O")}),
    "of many axes": bombs.zipped({"w.npy": bombs.npy((1,) * 60)}),
    "of a deep header": bombs.zipped({"w.npy": bombs.npy_header("(" * 9000)}),
    "of a negative header": bombs.zipped({"w.npy": bombs.npy_header("-" * 9000 + "1")}),
    "of many files": bombs.zipped(dict.fromkeys(map(str, range(9_000)), b"")),
}
for kind, archive in ARCHIVES.items():
    add(f"npz {kind}", "received", one("x.npz", archive), lambda path: load_npz(path, 100 << 20))
for kind in ("that expands", "whose directory lies", "of a huge array"):
    add(f"npz of a round, {kind}", "runs.foreign", foreign("1/global.npz", ARCHIVES[kind]), read_foreign)
    add(f"weights, npz {kind}", "models.weights", one("w.pt", ARCHIVES[kind]), read_weights)


def header(entries: Mapping[str, Any]) -> bytes:
    """Return a safetensors file of any header."""
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


FLOATS = {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 4 * HUGE]}
SAFETENSORS: Mapping[str, bytes] = {
    "huge": header({"w": FLOATS}),
    "endless": header({"w": {**FLOATS, "shape": [1 << 62, 1 << 62]}}),
    "empty by a factor": header({"w": {"dtype": "F32", "shape": [0, 1 << 62], "data_offsets": [0, 0]}}),
    "deep": struct.pack("<Q", 500_000) + DEEP.encode(),
    "long": struct.pack("<Q", 1 << 62) + b"{" * 500_000,
    "overlapping": header({str(k): {**FLOATS, "shape": [4], "data_offsets": [0, 16]} for k in range(9_000)})
    + bytes(16),
}
for kind, data in SAFETENSORS.items():
    fine = kind == "empty by a factor"
    add(
        f"safetensors {kind}",
        "models.weights received",
        one("w.safetensors", data),
        read_weights,
        harmless=fine,
    )
add(
    "safetensors of a round",
    "runs.foreign",
    foreign("1/global.safetensors", SAFETENSORS["huge"]),
    read_foreign,
)


def restored(path: Path) -> None:
    """Go on with an interrupted training."""
    network = torch.nn.Linear(2, 1)
    load_checkpoint(path, network, torch.optim.Adam(network.parameters()))


for kind in ("huge", "deep"):
    add(f"checkpoint {kind}", "training.checkpoint", one("c.safetensors", SAFETENSORS[kind]), restored)
for kind in ("deep", "long number"):
    add(
        f"checkpoint, progress {kind}",
        "training.checkpoint",
        one("c.safetensors", header({"__metadata__": {"progress": JSONS[kind]}})),
        restored,
    )

# Files of torch

NESTED = 250_000
"""So many tuples in one another end a process that asks for their hash."""
PICKLES: Mapping[str, bytes] = {
    "more elements than stored": bombs.torch_pickle(bombs.tensor(HUGE, (4,), (1,))),
    "a few more elements": bombs.torch_pickle(bombs.tensor(200_000, (200_000,), (1,))),
    "expanded": bombs.torch_pickle(bombs.tensor(4, (HUGE,), (0,))),
    "overlapping": bombs.torch_pickle(bombs.tensor(4, (1 << 20, 1 << 20), (0, 0))),
    "beyond its storage": bombs.torch_pickle(bombs.tensor(4, (4,), (1 << 40,))),
    "bytearray": bombs.torch_pickle(bombs.call(bombs.named("builtins", "bytearray"), bombs.whole(1 << 40))),
    "encoded again and again": bombs.torch_pickle(bombs.hex_of_hex(40)),
    "copied to another type": bombs.torch_pickle(
        bombs.call(
            bombs.named("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"),
            bombs.tensor(4, (1 << 28,), (0,)),
            bombs.named("torch", "float64"),
            bombs.text("cpu"),
            b"\x89",
        )
    ),
    "a class called": bombs.torch_pickle(
        bombs.call(bombs.named("torch", "FloatTensor"), bombs.whole(1 << 38))
    ),
    "a storage called": bombs.torch_pickle(
        bombs.call(bombs.named("torch.storage", "UntypedStorage"), bombs.whole(1 << 38))
    ),
    "copies of a dictionary": bombs.torch_pickle(bombs.copies_of_a_dictionary(20_000, 20_000)),
    "a deep key": bombs.torch_pickle(b"N", b")" + b"\x85" * NESTED),
    "a deep value": bombs.torch_pickle(b")" + b"\x85" * 100_000),
    "marks without end": b"\x80\x02" + b"(" * 20_000 + b".",
    "a long text": b"\x80\x02X\xff\xff\xff\xff.",
    "a memo far away": b"\x80\x02}r\xff\xff\xff\xff.",
    "a negative storage": bombs.torch_pickle(bombs.tensor(-1, (4,), (1,))),
}
for kind, pickled in PICKLES.items():
    add(
        f"torch file, {kind}",
        "models.weights models.rehearsal",
        one("w.pt", bombs.torch_file(pickled)),
        read_weights,
    )
    add(
        f"old torch file, {kind}",
        "models.weights",
        one("w.pt", bombs.legacy_torch_file(pickled)),
        read_weights,
    )


def read_checkpoints(path: Path) -> None:
    """Read the folder of a file as checkpoints of a training."""
    found = Checkpoints.of(path.parent)
    assert found.fingerprint and found.weights(0)


for kind in ("copies of a dictionary", "a deep key", "a negative storage"):
    file = one("epoch-1.ckpt", bombs.torch_file(PICKLES[kind]))
    add(f"checkpoint, {kind}", "targets.checkpoints models.weights", file, read_checkpoints)
for kind in ("huge", "long"):
    file = one("epoch-1.safetensors", SAFETENSORS[kind])
    add(f"checkpoint, safetensors {kind}", "targets.checkpoints", file, read_checkpoints)
GOOD_TORCH = bombs.torch_file(bombs.torch_pickle(bombs.tensor(4, (4,), (1,))))
add("torch file, good", "models.weights", one("w.pt", GOOD_TORCH), read_weights, harmless=True)
add(
    "torch file, packed",
    "models.weights",
    one("w.pt", bombs.torch_file(PICKLES["bytearray"], bytes(9_000), zipfile.ZIP_DEFLATED)),
    read_weights,
)
add(
    "torch file of two directories",
    "models.weights",
    one(
        "w.pt",
        bombs.zip_of_two_directories(GOOD_TORCH, bombs.torch_file(PICKLES["encoded again and again"])),
    ),
    read_weights,
    either=True,
)
