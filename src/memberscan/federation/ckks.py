"""Weighted sums of encrypted models (CKKS), so that the server can aggregate models it cannot read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memberscan.errors import BadInputError, EncryptionError, MissingExtraError, OutputConflictError
from memberscan.files import OWNER_ONLY, disk_guard, write_bytes
from memberscan.received import read_limited

if TYPE_CHECKING:
    from jaxtyping import Float32
    from numpy.typing import ArrayLike

SECRET = "secret.ckks"
PUBLIC = "public.ckks"
DEGREE = 8192
SLOTS = DEGREE // 2
SCALE = 2.0**52
# SEAL keeps the last prime for itself, so a ciphertext has 120 bits. The product of two numbers at scale
# 2**52 takes 104 of them and is never rescaled, for nothing is multiplied after it; the rest holds magnitudes
# below 2**15. The usual chain with a rescaling, (60, 52, 60), leaves 8 bits for magnitudes, and squared ages
# silently wrap around. The sum of the primes, 180 bits, is within the 218 bits that the standard of
# HomomorphicEncryption.org (2018) allows at this degree for 128-bit security.
PRIMES = (60, 60, 60)
LIMIT = 2.0**14
# Decrypted values carry the noise of the ciphertext, and the noise with the ciphertext gives the secret key
# (Li and Micciancio, Eurocrypt 2021). Decrypted models are therefore rounded to a grid that is far coarser
# than the noise of about 1e-12.
_GRID = 2.0**-24
# The fraction from which a value is rounded up. With one half, half of the averages of two learners would be
# exactly on the threshold, where the noise decides, and somebody who knows the exact average could read the
# sign of the noise from the result. This value is thirty standard deviations of the noise above one half, and
# not close to any fraction with a denominator below a thousand.
_EDGE = 0.5 + 2.0**-13
_LARGEST_CIPHERTEXT, _LARGEST_KEY = 300_000, 700_000
"""Bytes of the largest ciphertext and key that are read; ours have 262,292 and 590,166."""
# Tags of the fields of TenSEAL's messages: of a ciphertext, of a key, and of the parts of a key.
_SIZES, _CIPHERTEXT, _SCALE = 0x0A, 0x12, 0x19
_PARAMETERS, _PUBLIC_PART, _SECRET_PART = 0x0A, 0x12, 0x1A
_KEY, _FLAGS = 0x0A, 0x10


def make_keys() -> tuple[bytes, bytes]:
    """Make a key pair for the learners of one federation.

    Returns
    -------
    secret, public : bytes
        The secret key encrypts and decrypts, and is for the learners only. The public key encrypts and adds.
        All learners share one pair: whoever has the secret key can read every learner's update.

    Raises
    ------
    MissingExtraError
        If TenSEAL is not installed.
    """
    tenseal = _tenseal()
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=list(PRIMES), n_threads=1)
    context.global_scale = SCALE
    context.auto_rescale = False
    secret, public = (
        context.serialize(save_secret_key=private, save_galois_keys=False, save_relin_keys=False)
        for private in (True, False)
    )
    return secret, public


def write_keys(folder: Path) -> tuple[Path, Path]:
    """Make a key pair and write it; only the owner of the secret file can read it.

    Returns
    -------
    secret, public : Path
        ``secret.ckks``, for each learner, and ``public.ckks``, for the server.

    Raises
    ------
    OutputConflictError
        If the folder holds a key already; a federation whose key is lost cannot be decrypted.
    """
    secret, public = folder / SECRET, folder / PUBLIC
    for path in (secret, public):
        if path.exists():
            raise OutputConflictError(f"{path} exists; choose another folder, or delete the old keys first")
    keys = make_keys()
    with disk_guard(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_bytes(secret, keys[0], mode=OWNER_ONLY)
    write_bytes(public, keys[1])
    return secret, public


def ciphertext_count(parameters: int) -> int:
    """Return the number of ciphertexts for a model with this many parameters."""
    return -(-parameters // SLOTS)


def encrypt(state: Mapping[str, ArrayLike], key: bytes) -> list[bytes]:
    """Encrypt a model; two encryptions of one model differ.

    Parameters
    ----------
    state
        Its state dict: float32 arrays, or tensors on the CPU, with magnitudes below 2**14.
    key
        The public key, or the secret one.

    Returns
    -------
    list of bytes
        One ciphertext for each 4,096 values, in the order of the state dict; the last is padded with zeros.

    Raises
    ------
    EncryptionError
        If a value is not finite, too large, or not float32, or the key is damaged.
    """
    context = _context(key)
    arrays = [_checked(name, np.asarray(value)).ravel() for name, value in state.items()]
    flat = np.concatenate([np.empty(0, np.float32), *arrays])
    slots = np.pad(flat, (0, -len(flat) % SLOTS)).reshape(-1, SLOTS)
    return [_tenseal().ckks_vector(context, chunk.astype(float)).serialize() for chunk in slots]


def check_update(update: Sequence[bytes], parameters: int, public: bytes) -> None:
    """Check what a server can check of one learner's update: the number and the form of its ciphertexts.

    The server cannot see their content. A learner that encrypts wrong values spoils the sum, and it cannot be
    found out which learner did.

    Raises
    ------
    EncryptionError
        If there are too few or too many, or one is damaged or of other parameters.
    """
    context = _context(public)
    _counted(update, parameters)
    for number, data in enumerate(update):
        with _naming(f"ciphertext {number} of the update"):
            _ciphertext(data, context, SCALE)


def weighted_sum(updates: Sequence[Sequence[bytes]], weights: Sequence[float], public: bytes) -> list[bytes]:
    """Add encrypted models with plaintext weights, as a server does without the secret key.

    Parameters
    ----------
    updates
        Of each learner, the ciphertexts of :func:`encrypt`.
    weights
        Of each learner; positive, their sum at most 1, so that no sum can exceed what a ciphertext holds.
    public
        The public key.

    Returns
    -------
    list of bytes
        The ciphertexts of the sum. They take no part in another sum.

    Raises
    ------
    EncryptionError
        If the updates differ in length, the weights are not as above, or a ciphertext is damaged, of other
        parameters, or a sum already.
    """
    shares = np.asarray(weights, dtype=float)
    if len(shares) != len(updates) or not np.all(shares > 0) or not shares.sum() <= 1 + 1e-9:
        raise EncryptionError(
            f"{len(updates)} updates need as many positive weights with a sum of at most 1, "
            f"not {list(weights)}; divide the numbers of samples by their sum"
        )
    if len(lengths := {len(update) for update in updates}) != 1:
        raise EncryptionError(
            f"updates have {sorted(lengths)} ciphertexts; all learners must train the same model"
        )
    context = _context(public)
    return [
        _weighted(chunk, shares, context, number) for number, chunk in enumerate(zip(*updates, strict=True))
    ]


def decrypt(
    ciphertexts: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]], secret: bytes
) -> dict[str, Float32[np.ndarray, ...]]:
    """Decrypt the result of :func:`weighted_sum`.

    Values are rounded to multiples of 2**-24, which removes the ciphertext's noise.

    Parameters
    ----------
    ciphertexts
        The ciphertexts of a sum.
    shapes
        The shape of each array of the model, in the order of its state dict.
    secret
        The secret key.

    Raises
    ------
    EncryptionError
        If the key is the public one or of another federation, or the ciphertexts are damaged, too few or too
        many.
    """
    context = _context(secret)
    if not context.is_private():
        raise EncryptionError(f"this key cannot decrypt; give the learners' secret key ({SECRET})")
    sizes = [prod(shape) for shape in shapes.values()]
    _counted(ciphertexts, sum(sizes))
    flat = np.empty(len(ciphertexts) * SLOTS, np.float32)
    for number, data in enumerate(ciphertexts):
        with _naming(f"ciphertext {number} of the sum"):
            values = np.asarray(_ciphertext(data, context, SCALE**2).decrypt())
        if not np.all(np.abs(values) < 2 * LIMIT):
            raise EncryptionError(
                f"ciphertext {number} of the sum was encrypted with another key, or was changed on its way; "
                "check that all learners hold the same secret key"
            )
        flat[number * SLOTS : (number + 1) * SLOTS] = np.floor(values / _GRID + (1 - _EDGE)) * _GRID
    parts = np.split(flat, np.cumsum(sizes))[:-1]
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _weighted(chunk: Sequence[bytes], shares: np.ndarray, context: Any, number: int) -> bytes:
    total = None
    for learner, (data, share) in enumerate(zip(chunk, shares, strict=True)):
        with _naming(f"ciphertext {number} of update {learner}"):
            term = _ciphertext(data, context, SCALE) * float(share)
            total = term if total is None else total + term
    assert total is not None
    serialized: bytes = total.serialize()
    return serialized


def _checked(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype != np.float32:
        raise EncryptionError(
            f"{name} is {array.dtype}, and only float32 can be encrypted; convert the model"
        )
    if not np.all(np.abs(array) < LIMIT):
        raise EncryptionError(
            f"{name} has values that are not finite, or not below {LIMIT:g} in magnitude; "
            "if the training diverged, lower the learning rate"
        )
    return array


def _counted(ciphertexts: Sequence[bytes], parameters: int) -> None:
    if len(ciphertexts) != ciphertext_count(parameters):
        raise EncryptionError(
            f"{len(ciphertexts)} ciphertexts do not make a model of {parameters:,} parameters, which takes "
            f"{ciphertext_count(parameters)}; all learners must train the same model"
        )


def _ciphertext(data: bytes, context: Any, scale: float) -> Any:
    # Exactly one: a message could hold thousands of ciphertexts that each expand from a few bytes.
    if len(data) > _LARGEST_CIPHERTEXT or _fields(data).keys() != {_SIZES, _CIPHERTEXT, _SCALE}:
        raise ValueError("not one ciphertext")
    vector = _tenseal().ckks_vector_from(context, data)
    if vector.size() != SLOTS or [c.scale for c in vector.ciphertext()] != [scale]:
        raise ValueError("another length or scale")
    return vector


@contextlib.contextmanager
def _naming(what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:  # all that TenSEAL raises on bytes that somebody sent
        raise EncryptionError(f"{what} is damaged or of other parameters ({error}); send it again") from error


def _fields(data: bytes) -> dict[int, bytes]:
    """Return the fields of a protobuf message by tag; :class:`ValueError` if a field occurs twice.

    A tag is the number and the wire type of a field, in one byte. Wire type 0 is an integer, 1 is eight
    bytes, and 2 is a length followed by that many bytes.
    """
    fields, place = dict[int, bytes](), 0
    while place < len(data):
        tag, start = data[place], place + 1
        number, place = _number(data, start) if tag & 7 in (0, 2) else (0, start + 8)
        if tag & 7 == 2:
            start, place = place, place + number
        if tag & 7 > 2 or tag in fields or place > len(data):
            raise ValueError("unknown contents")
        fields[tag] = data[start:place]
    return fields


def _number(data: bytes, place: int) -> tuple[int, int]:
    """Return the integer at a place, and where it ends: seven bits per byte, low bits first (a varint).

    The highest bit of a byte means that more bytes follow.
    """
    number = 0
    for shift, byte in enumerate(data[place : place + 5]):
        number |= (byte & 127) << 7 * shift
        if byte < 128:
            return number, place + shift + 1
    raise ValueError("a number without end")


def _check_key(key: bytes) -> None:
    """Refuse a key with unknown fields, because compressed zeros in them could expand without limit."""
    if len(key) > _LARGEST_KEY:
        raise ValueError(f"{len(key):,} bytes")
    fields = _fields(key)
    if fields.keys() - {_SECRET_PART} != {_PARAMETERS, _PUBLIC_PART}:
        raise ValueError("other parts")
    if _fields(fields[_PUBLIC_PART]).keys() != {_KEY, _FLAGS, _SCALE}:
        raise ValueError("other parts of its public key")
    if _SECRET_PART in fields and _fields(fields[_SECRET_PART]).keys() != {_KEY}:
        raise ValueError("other parts of its secret key")


def read_key(path: Path) -> bytes:
    """Read a file of a key; :class:`EncryptionError` if it is missing, or larger than any key."""
    try:
        return read_limited(path, _LARGEST_KEY)
    except (OSError, BadInputError) as error:
        raise EncryptionError(f"the key {path} cannot be read ({error}); check the path") from error


def _context(key: bytes) -> Any:
    tenseal = _tenseal()
    try:
        _check_key(key)
        context = tenseal.context_from(key, n_threads=1)
        fits = context.global_scale == SCALE and not context.auto_rescale
    except (ValueError, RuntimeError) as error:
        raise EncryptionError(
            f"the key is damaged or not a CKKS key of memberscan ({error}); restore its file, or make a pair "
            "with 'memberscan federation keys'"
        ) from error
    if not fits:
        raise EncryptionError("the key has other parameters; make a pair with 'memberscan federation keys'")
    return context


def _tenseal() -> Any:
    try:
        import tenseal
    except ImportError as error:
        raise MissingExtraError("encryption needs TenSEAL: pip install 'memberscan[he]'") from error
    return tenseal
