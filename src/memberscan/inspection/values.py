"""What readers make of files: plain values, tables and records of objects; nothing is ever executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Value: TypeAlias = Any
"""None, Booleans, numbers, text, bytes, lists, tuples, sets, dictionaries, numpy arrays of numbers or of text
of fixed length, :class:`Columns`, :class:`Instance` and :class:`Picture`, nested in any way, perhaps with the
same value in several places or within itself. A reader returns nothing else."""


@dataclass(frozen=True, eq=False)
class Columns:
    """A table: columns of equal length, each a list of values or an array of numbers or text."""

    columns: Mapping[str, Sequence[Any] | np.ndarray]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return max((len(column) for column in self.columns.values()), default=0)


@dataclass(frozen=True, eq=False)
class Instance:
    """The record of an object in a file: the name of its class, and its state as data.

    The state may be filled after the instance is made, since files may refer to an object before they say
    what it holds.
    """

    class_name: str
    """Its full name, such as ``sklearn.svm._classes.SVR``; of an R object, its class attribute."""
    arguments: tuple[Value, ...] = ()
    """What it was made with."""
    state: dict[str, Value] = field(default_factory=dict)
    """Its attributes by name."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image within a file, such as a figure of a notebook or a volume of a brain."""

    format: str
    """Its format, such as "png"."""
    shape: tuple[int, ...] = ()
    """Number of pixels or voxels along each axis, where known."""
