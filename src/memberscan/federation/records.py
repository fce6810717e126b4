"""What the parties send each other: state dicts, in the clear or encrypted, and the words around them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from torch import Tensor

from memberscan.errors import ModelError

MODEL, FACTS, SEALED = "model", "facts", "sealed"


def clear(model: Mapping[str, Tensor]) -> ArrayRecord:
    """Return a state dict as a record."""
    return ArrayRecord({name: Array(tensor.detach().cpu().numpy()) for name, tensor in model.items()})


def opened(content: RecordDict) -> dict[str, Tensor]:
    """Return the state dict of a message in the clear.

    Raises
    ------
    ModelError
        If there is none, or it cannot be read.
    """
    try:
        record = content.array_records[MODEL]
        return {name: torch.from_numpy(np.array(array.numpy())) for name, array in record.items()}
    except Exception as error:  # bytes that somebody sent may fail in any way
        raise ModelError(f"the message holds no readable state dict ({error!r})") from error


def sealed(chunks: list[bytes]) -> ConfigRecord:
    """Return ciphertexts as a record."""
    return ConfigRecord({SEALED: chunks})


def chunks(content: RecordDict) -> list[bytes]:
    """Return the ciphertexts of a message.

    Raises
    ------
    ModelError
        If it holds none.
    """
    found = content.config_records.get(SEALED, ConfigRecord()).get(SEALED)
    if not isinstance(found, list) or not all(isinstance(chunk, bytes) for chunk in found):
        raise ModelError("the message holds no ciphertexts; is every party set to --secure ckks?")
    return [chunk for chunk in found if isinstance(chunk, bytes)]


def fact(content: RecordDict, name: str) -> str | int | float:
    """Return one of the facts that a message states; :class:`ModelError` if it does not."""
    value = content.config_records.get(FACTS, ConfigRecord()).get(name)
    if not isinstance(value, (str, int, float)):
        raise ModelError(f"the message does not state {name!r}")
    return value
