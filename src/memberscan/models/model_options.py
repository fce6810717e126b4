"""Options of the built-in networks, declared once; commands and Flower's keys use these declarations."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from memberscan.configuration import OneOf, Word
from memberscan.models.heads import HEADS


class ModelOptions(TypedDict, total=False):
    """Keyword arguments of the built-in networks; those left out have the network's own default."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    width: Annotated[int, Field(description="Width of the first layer; by default the model's own.")]
    dropout: Annotated[float, Field(description="Share of features dropped in training.")]
    head: Annotated[
        Word,
        Field(description="What the outputs mean, and the loss; by default squared error."),
        OneOf(HEADS, shown_from=2),
    ]
    class_count: Annotated[int, Field(description="Number of classes; it follows from the target.")]
