"""Digests with a secret key: equal inputs have equal digests, but others cannot check a guessed input."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from memberscan.errors import BadInputError, StaleError
from memberscan.files import OWNER_ONLY, write_text
from memberscan.received import read_limited

_BYTES = 32


def get_or_create(path: Path) -> bytes:
    """Return the random salt in a file, which is created if missing; only its owner can read it."""
    if not path.exists():
        write_text(path, secrets.token_hex(_BYTES), mode=OWNER_ONLY)
    return read_salt(path)


def read_salt(path: Path) -> bytes:
    """Return the salt kept in a file.

    Raises
    ------
    StaleError
        If the file is missing, or is not a salt.
    """
    try:
        salt = bytes.fromhex(read_limited(path, 2 * _BYTES).decode("ascii"))
    except FileNotFoundError as error:
        raise StaleError(
            f"{path} is missing; restore it: without it, the digests made with it cannot be checked"
        ) from error
    except (BadInputError, ValueError) as error:
        raise StaleError(f"{path} is not a salt that memberscan wrote; restore it") from error
    if len(salt) != _BYTES:
        raise StaleError(f"{path} is not a salt that memberscan wrote; restore it")
    return salt


def keyed(salt: bytes, text: str, *, digits: int = 32) -> str:
    """Return a digest of a text that only someone with the salt can compute, or compare with a guess."""
    return hmac.new(salt, text.encode(), hashlib.sha256).hexdigest()[:digits]
