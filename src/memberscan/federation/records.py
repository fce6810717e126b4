"""What the parties send each other: state dicts, in the clear or encrypted, and the facts beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from torch import Tensor

from memberscan.errors import BadInputError, ModelError, NonFiniteError
from memberscan.received import parse_npy
from memberscan.shown import plain

MODEL, FACTS, CIPHERTEXTS = "model", "facts", "ciphertexts"
_HEADER = 1024
"""Bytes around the values of an array; numpy writes 128."""
_SHOWN = 300
MOST_WORDS = 10_000
"""Characters of a learner's reason that are read; on much longer text, regular expressions take minutes."""
# How the error messages of a site, of this process and of Ray begin with the type of the error.
_KIND = re.compile(r"(?:failed \(|<class ')?(?:[\w.]{1,200}\.)?([A-Za-z_]\w{0,60})(?:[:;()'\n]|$)", re.ASCII)


class Reason(NamedTuple):
    """Why a learner is left out: ``words`` for this terminal, ``recorded`` for the transcript.

    Messages of other programs may name people and paths, so only the type of their error is recorded.
    """

    recorded: str
    words: str

    @classmethod
    def ours(cls, sentence: object) -> Reason:
        """Return a reason that the server itself states, with the same words in both places."""
        return cls(str(sentence), str(sentence))

    @classmethod
    def theirs(cls, text: str | None) -> Reason:
        """Return the reason that a learner, or the engine for it, gives: the type first, the words last."""
        lines = (text or "")[:MOST_WORDS].strip().splitlines()
        if not lines:
            return cls.ours("failed without saying why")
        kind = _KIND.match(lines[0])
        words = lines[0] if lines[0].startswith("<class") else lines[-1]
        return cls(f"failed ({kind[1]})" if kind else "failed", plain(words.strip())[:_SHOWN])


def model_record(model: Mapping[str, Tensor]) -> ArrayRecord:
    """Return a state dict as a record."""
    return ArrayRecord({name: Array(tensor.detach().cpu().numpy()) for name, tensor in model.items()})


def read_model(content: RecordDict, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of a message in the clear, if it has the expected form.

    Names and sizes are compared before anything is read.

    Parameters
    ----------
    content
        The content of the received message.
    expected
        Tensors with the names, shapes and types that are expected; their values do not matter.

    Raises
    ------
    ModelError
        If there is no state dict, it is of another model, or it cannot be read.
    NonFiniteError
        If it holds NaN or infinite values.
    """
    record = content.array_records.get(MODEL)
    if record is None:
        raise ModelError("the message holds no readable state dict")
    if record.keys() != expected.keys():
        raise ModelError("sent another model: its parameters have other names")
    return {name: _tensor(record[name], name, like) for name, like in expected.items()}


def _tensor(array: Array, name: str, like: Tensor) -> Tensor:
    # Allow twice the size, so that float64 instead of float32 gets the clearer message about types below.
    if len(array.data) > 2 * like.numel() * like.element_size() + _HEADER:
        raise ModelError(f"sent another model: {name} has {len(array.data):,} bytes")
    try:
        tensor = torch.from_numpy(np.array(parse_npy(array.data, name), order="C"))
    except (BadInputError, ValueError, TypeError) as error:
        raise ModelError(f"the message holds no readable state dict ({name})") from error
    if tensor.shape != like.shape or tensor.dtype != like.dtype:
        raise ModelError(
            f"sent another model: {name} is {tensor.dtype} of shape {tuple(tensor.shape)}, not "
            f"{like.dtype} of shape {tuple(like.shape)}"
        )
    if not torch.isfinite(tensor).all():
        raise NonFiniteError(f"sent NaN or infinite values in {name}")
    return tensor


def ciphertext_record(ciphertexts: list[bytes]) -> ConfigRecord:
    """Return ciphertexts as a record."""
    return ConfigRecord({CIPHERTEXTS: ciphertexts})


def read_ciphertexts(content: RecordDict) -> list[bytes]:
    """Return the ciphertexts of a message.

    Raises
    ------
    ModelError
        If it holds none.
    """
    found = content.config_records.get(CIPHERTEXTS, ConfigRecord()).get(CIPHERTEXTS)
    if not isinstance(found, list) or not all(isinstance(chunk, bytes) for chunk in found):
        raise ModelError("the message holds no ciphertexts; is every party set to --secure ckks?")
    return [chunk for chunk in found if isinstance(chunk, bytes)]


def fact(content: RecordDict, name: str) -> str | int | float:
    """Return one of the facts that a message states; :class:`ModelError` if it is missing."""
    value = content.config_records.get(FACTS, ConfigRecord()).get(name)
    if not isinstance(value, (str, int, float)):
        raise ModelError(f"the message does not state {name!r}")
    return value


def whole_number(content: RecordDict, name: str, least: int = -(1 << 63), most: int = 1 << 63) -> int:
    """Return a whole number that a message states.

    Raises
    ------
    ModelError
        If it does not, or the number is out of range.
    """
    value = fact(content, name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ModelError(f"states no whole number for {name}")
    if not least <= value <= most:
        raise ModelError(f"states {value} for {name}, which is not between {least} and {most:,}")
    return value
