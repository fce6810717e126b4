"""Options of our networks, declared once: those of every command and of Flower's keys come from here."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from memberscan.configuration import OneOf, Word
from memberscan.models.heads import HEADS


class ModelOptions(TypedDict, total=False):
    """Keyword arguments of our networks; what is left out is the network's own."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    width: Annotated[int, Field(description="Width of the first layer; by default the model's own.")]
    dropout: Annotated[float, Field(description="Share of features dropped in training.")]
    head: Annotated[
        Word,
        Field(description="What the outputs mean, and the loss; by default squared error."),
        OneOf(HEADS, shown_from=2),
    ]
