"""The formats that are read, one file each."""

from __future__ import annotations

from typing import Final

from memberscan.inspection.readers.arrays import NpyReader, NpzReader
from memberscan.inspection.readers.base import Reader
from memberscan.inspection.readers.pickles import PickleReader
from memberscan.inspection.readers.safetensors_files import SafetensorsReader
from memberscan.inspection.readers.torch_files import TorchReader

READERS: Final[tuple[Reader, ...]] = (
    TorchReader(),
    NpyReader(),
    NpzReader(),
    SafetensorsReader(),
    PickleReader(),
)
"""All readers; the first that knows a file reads it."""
