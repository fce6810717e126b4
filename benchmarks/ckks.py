"""What encrypted aggregation costs: seconds and bytes of a round, CKKS against plain FedAvg.

The models are the 3D-CNN of 8 learners with different numbers of samples. Learners encrypt and decrypt side
by side, each on its own machine, so these times are of one learner; the server adds for all. Plain is what
the same party does without encryption: state dict to bytes, the weighted sum of them, bytes to state dict.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from benchmarks.harness import Figure, alternate, arguments, ratio, show, timed
from memberscan.federation.ckks import decrypt, encrypt, make_keys, weighted_sum
from memberscan.models.spec import ModelSpec, build

SHAPE = (91, 109, 91)
SAMPLES = range(100, 900, 100)
TOLERANCE = 1e-4

State = dict[str, np.ndarray]
STEPS = {
    "encrypt / pack, one learner": ("encrypt", "pack"),
    "add / add in the clear, server": ("add", "add in the clear"),
    "decrypt / unpack, one learner": ("decrypt", "unpack"),
    "a round: encrypt, add, decrypt": ("round", "round in the clear"),
}


def network(seed: int) -> State:
    """Return the state dict of one learner."""
    torch.manual_seed(seed)
    return {name: tensor.numpy() for name, tensor in build(ModelSpec("cnn3d", SHAPE)).state_dict().items()}


def packed(state: State) -> bytes:
    """Return the values of a state dict as bytes."""
    return b"".join(array.tobytes() for array in state.values())


def unpacked(data: bytes, shapes: Mapping[str, tuple[int, ...]]) -> State:
    """Return the state dict of :func:`packed`."""
    parts = np.split(
        np.frombuffer(bytearray(data), np.float32),
        np.cumsum([np.prod(s, dtype=int) for s in shapes.values()]),
    )
    return {k: part.reshape(shapes[k]) for k, part in zip(shapes, parts[:-1], strict=True)}


def added(updates: Sequence[bytes], weights: Sequence[float]) -> bytes:
    """Return the weighted sum of updates in the clear."""
    total = sum(w * np.frombuffer(u, np.float32).astype(float) for u, w in zip(updates, weights, strict=True))
    return np.asarray(total, np.float32).tobytes()


def sizes(name: str, cipher: Sequence[bytes], plain: bytes) -> Figure:
    """Compare bytes."""
    ours, other = sum(map(len, cipher)), len(plain)
    return Figure(name, [ours / other], "x", note=f"{ours / 1e6:,.1f} MB / {other / 1e6:,.1f} MB")


def main() -> int:
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    states = [network(seed) for seed in range(len(SAMPLES))]
    shapes = {name: array.shape for name, array in states[0].items()}
    weights = [n / sum(SAMPLES) for n in SAMPLES]
    secret, public = make_keys()
    sealed, clear = [encrypt(s, secret) for s in states], [packed(s) for s in states]
    total, plain = weighted_sum(sealed, weights, public), added(clear, weights)
    work = {
        "encrypt": lambda: encrypt(states[0], secret),
        "pack": lambda: packed(states[0]),
        "add": lambda: weighted_sum(sealed, weights, public),
        "add in the clear": lambda: added(clear, weights),
        "decrypt": lambda: decrypt(total, shapes, secret),
        "unpack": lambda: unpacked(plain, shapes),
    }
    taken = alternate({name: timed(step) for name, step in work.items()}, options.repetitions)
    for whole, steps in (("round", list(work)[::2]), ("round in the clear", list(work)[1::2])):
        taken[whole] = [sum(seconds) for seconds in zip(*(taken[step] for step in steps), strict=True)]
    ours, other = decrypt(total, shapes, secret), unpacked(plain, shapes)
    error = max(float(np.abs(ours[name] - other[name]).max()) for name in shapes)
    values = sum(array.size for array in ours.values())
    figures = [
        Figure("ciphertexts of a model", [len(total)], "", note=f"{values:,} weights and buffers"),
        Figure("largest difference from plain FedAvg", [error], "", TOLERANCE),
        *(ratio(name, taken, *sides, limit=None) for name, sides in STEPS.items()),
        sizes("sent by each learner", sealed[0], clear[0]),
        sizes("sent to each learner", total, plain),
    ]
    title = f"encrypted aggregation of the 3D-CNN, {len(SAMPLES)} learners, one round"
    return show(title, figures, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
