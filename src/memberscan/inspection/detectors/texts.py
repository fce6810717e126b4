"""The texts of a node, in which ids, names and paths are searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from memberscan.inspection.nodes import Node, key_texts, text
from memberscan.inspection.values import Columns


def texts_of(node: Node) -> Iterator[tuple[str, str]]:
    """Yield (place, text) of a node; a column of texts is one text with a line for each row."""
    if isinstance(node.value, str):
        yield node.place, node.value
    elif isinstance(node.value, Columns):
        yield node.place, "\n".join(node.value.columns)
        for name, column in node.value.columns.items():
            if not (isinstance(column, np.ndarray) and column.dtype.kind in "biufM"):
                place = f"{node.place}.{name}" if node.place and name != node.name else node.place or name
                yield place, "\n".join(text(cell) for cell in column if isinstance(cell, (str, bytes)))
    elif isinstance(node.value, Mapping):
        yield node.place, "\n".join(key_texts(node.value))
    elif isinstance(node.value, bytes):
        yield node.place, text(node.value)
