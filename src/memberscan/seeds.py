"""One root seed, and a tree of named random generators derived from it."""

from __future__ import annotations

import hashlib
import secrets

import numpy as np


def sequence(root: int, *names: str | int) -> np.random.SeedSequence:
    """Return the seed sequence at a named place of the tree; the same names always give the same sequence."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return np.random.SeedSequence(root, spawn_key=tuple(np.frombuffer(digest, dtype="<u4").tolist()))


def generator(root: int, *names: str | int) -> np.random.Generator:
    """Return a numpy generator for a named place of the tree."""
    return np.random.default_rng(sequence(root, *names))


def integer(root: int, *names: str | int) -> int:
    """Return a 32-bit seed for libraries that take only an integer."""
    return int(sequence(root, *names).generate_state(1)[0])


def unguessable(root: int, *names: str | int) -> int:
    """Return a 63-bit seed, which nobody finds by trying if the root is secret."""
    return int(sequence(root, *names).generate_state(1, np.uint64)[0]) >> 1


def secret() -> int:
    """Return a seed that cannot be guessed, for draws that others must not be able to repeat."""
    return secrets.randbits(63)
