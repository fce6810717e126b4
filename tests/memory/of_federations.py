"""Hostile messages, settings, keys and ciphertexts of a federation."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, RecordDict

from memberscan.errors import MemberscanError
from memberscan.federation import ckks, registration
from memberscan.federation.client import regressor
from memberscan.federation.records import MODEL, Reason, read_model
from memberscan.federation.settings import Settings
from memberscan.training import TrainingConfig

from . import bombs
from .bombs import HUGE
from .cases import add, put, sparse
from .of_runs import DEEP, JSONS

FORM = {"w": torch.zeros(5, 7)}


def refused(read: Callable[[Any], object]) -> Callable[[Any], None]:
    """Return what reads many values, of which each must be read or refused by a typed error."""

    def each(values: Any) -> None:
        for value in values:
            try:
                read(value)
            except MemberscanError:
                continue

    return each


# Messages


def arrays(data: bytes, shape: tuple[int, ...] = (5, 7)) -> RecordDict:
    """Return a message with a model of one array."""
    return RecordDict({MODEL: ArrayRecord({"w": Array("float32", shape, "numpy.ndarray", data)})})


MESSAGES: Mapping[str, bytes] = {
    "huge": bombs.npy((HUGE,)),
    "huge objects": bombs.npy((HUGE,), "|O"),
    "huge items": bombs.npy((1,), "<V2147483647"),
    "endless": bombs.npy((1 << 62, 1 << 62)),
    "an archive": bombs.zipped({"w.npy": bombs.npy((HUGE,))}),
    "a deep header": bombs.npy_header("(" * 900),
    "a pickle": bombs.torch_pickle(bombs.hex_of_hex(40)),
    "a long one": bombs.npy((200_000,), values=bytes(800_000)),
}
for kind, data in MESSAGES.items():
    add(
        f"array of a message, {kind}",
        "received",
        lambda good, folder, data=data: arrays(data),
        lambda message: read_model(message, FORM),
    )
add(
    "reason of a learner",
    "federation.records",
    lambda good, folder: "<class 'ray.exceptions." + "Actor" * 180_000,
    Reason.theirs,
    harmless=True,
)
add(
    "shape of a learner",
    "federation.registration",
    lambda good, folder: DEEP,
    registration._shape,
)


def asked(**changes: Any) -> str:
    """Return settings as a server sends them, some of them replaced."""
    ours = json.loads(Settings("mlp", {"width": 5}, TrainingConfig(epochs=1)).to_json())
    return json.dumps(ours | changes)


SETTINGS: Mapping[str, str] = {
    "deep": DEEP,
    "a long number": JSONS["long number"],
    "a large model": asked(options={"width": 9_000_000}),
    "a huge model": asked(options={"width": 10**15}),
    "many options": asked(options={f"{k:x}": k for k in range(900)}),
    "a long name": asked(model="x" * 16_000),
}
for kind, text in SETTINGS.items():
    add(
        f"settings of a server, {kind}",
        "federation.settings",
        lambda good, folder, text=text: text,
        lambda text: regressor(Settings.from_json(text), (7,)),
    )

# Keys and ciphertexts

PARAMETERS = 5000


def update(good: Path) -> list[bytes]:
    """Return an honest learner's ciphertexts."""
    return ckks.encrypt({"w": np.zeros(PARAMETERS, np.float32)}, (good / ckks.SECRET).read_bytes())


def hostile_update(change: Callable[[bytes], bytes]) -> Callable[[Path, Path], tuple[list[bytes], bytes]]:
    """Return what makes an update whose first ciphertext is changed, and the server's key."""

    def prepare(good: Path, folder: Path) -> tuple[list[bytes], bytes]:
        first, *rest = update(good)
        sent = put(folder / "sent", change(first)).read_bytes()
        return [sent, *rest], (good / ckks.PUBLIC).read_bytes()

    return prepare


def checked(given: tuple[list[bytes], bytes]) -> None:
    """Check an update as the server does."""
    ciphertexts, public = given
    ckks.check_update(ciphertexts, PARAMETERS, public)


def parameters_of(data: bytes) -> bytes:
    """Return the digest of the parameters that a ciphertext or a public key holds."""
    # SEAL's header has 16 bytes; those of zstd's frame and first block, which is not packed, have 12.
    start = data.index(b"\x5e\xa1\x10") + 28
    return data[start : start + 32]


def many(first: bytes, count: int) -> bytes:
    """Return a message of many ciphertexts, of the parameters of an honest one."""
    return bombs.ciphertexts(parameters_of(first), count)


CIPHERTEXTS: Mapping[str, Callable[[bytes], bytes]] = {
    "two thousand": lambda first: many(first, 2_000),
    "none": lambda first: b"",
    "a long one": lambda first: first + bytes(900_000),
    "sizes without end": lambda first: bombs.length_delimited(1, b"\xff" * 900_000),
    "a length without end": lambda first: b"\x0a" + b"\xff" * 900_000,
    "many fields": lambda first: b"\x0a\0" * 400_000,
    "half of one": lambda first: first[: len(first) // 2],
    "random bytes": lambda first: random.Random(0).randbytes(len(first)),
    "random bytes in a message": lambda first: (
        first[:9] + random.Random(0).randbytes(len(first) - 18) + first[-9:]
    ),
}
for kind, change in CIPHERTEXTS.items():
    add(f"ciphertext, {kind}", "federation.ckks", hostile_update(change), checked)
add(
    "ciphertext of zeros",
    "federation.ckks",
    hostile_update(lambda first: many(first, 1)),
    checked,
    harmless=True,
)


def flipped(data: bytes, count: int) -> list[bytes]:
    """Return copies, each with one to four bytes changed, half of them near the start, and some cut short."""
    draw, copies = random.Random(1), []
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(draw.randint(1, 4)):
            copy[draw.randrange(draw.choice([150, len(copy)]))] = draw.randrange(256)
        copies.append(bytes(copy[: draw.choice([len(copy), len(copy), draw.randrange(len(copy))])]))
    return copies


def flipped_updates(good: Path, folder: Path) -> list[tuple[list[bytes], bytes]]:
    """Return updates whose first ciphertext is changed."""
    (first, *rest), public = update(good), (good / ckks.PUBLIC).read_bytes()
    return [([copy, *rest], public) for copy in flipped(first, 60)]


def key(change: Callable[[bytes], bytes], name: str = ckks.SECRET) -> Callable[[Path, Path], Path]:
    """Return what makes the file of a key."""
    return lambda good, folder: put(folder / name, change((good / name).read_bytes()))


def use_key(path: Path) -> None:
    """Read a key from its file and encrypt with it."""
    ckks.encrypt({"w": np.zeros(5, np.float32)}, ckks.read_key(path))


def parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the parameters, the public and the secret part of a key."""
    fields = ckks._fields(data)
    return fields[0x0A], fields[0x12], fields[0x1A]


def key_of(*fields: bytes) -> bytes:
    """Return a key of its parameters, its public part and, where there is one, its secret part."""
    return b"".join(bombs.length_delimited(number, part) for number, part in enumerate(fields, start=1))


def of_other_parameters(data: bytes) -> bytes:
    """Return a key of the largest parameters that SEAL allows at this security."""
    import tenseal

    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 32768, coeff_mod_bit_sizes=[60] * 14, n_threads=1)
    without = {f"save_{what}": False for what in ("public_key", "secret_key", "galois_keys", "relin_keys")}
    return key_of(ckks._fields(context.serialize(**without))[0x0A], *parts(data)[1:])


def with_switch_keys(number: int) -> Callable[[bytes], bytes]:
    """Return what puts keys for multiplying or turning into the public part of a key, which needs none."""

    def change(data: bytes) -> bytes:
        parameters, public, _ = parts(data)
        keys = bombs.switch_keys(parameters_of(ckks._fields(public)[0x0A]), 300)
        return key_of(parameters, public + bombs.length_delimited(number, keys))

    return change


def with_secret(data: bytes) -> bytes:
    """Return a key whose secret part is packed zeros."""
    packed = bombs.seal(b"", bytes(1 << 20), 250)
    return key_of(*parts(data)[:2], bombs.length_delimited(1, packed))


KEYS: Mapping[str, Callable[[bytes], bytes]] = {
    "of other parameters": of_other_parameters,
    "with keys for multiplying": with_switch_keys(4),
    "with keys for turning": with_switch_keys(5),
    "with a secret of packed zeros": with_secret,
    "with another part": lambda data: data + bombs.length_delimited(9, b"x"),
    "empty": lambda data: b"",
    "half of one": lambda data: data[: len(data) // 2],
    "random bytes": lambda data: random.Random(0).randbytes(len(data)),
}
for kind, change in KEYS.items():
    add(f"key {kind}", "federation.ckks", key(change), use_key)
add("key of zeros without end", "federation.ckks", lambda good, folder: sparse(folder / "k"), use_key)
add("key that is a folder", "federation.ckks", lambda good, folder: folder, use_key)
add("ciphertexts with flipped bits", "federation.ckks", flipped_updates, refused(checked), harmless=True)
add(
    "keys with flipped bits",
    "federation.ckks",
    lambda good, folder: flipped((good / ckks.SECRET).read_bytes(), 25),
    refused(lambda data: ckks.encrypt({"w": np.zeros(5, np.float32)}, data)),
    harmless=True,
)
