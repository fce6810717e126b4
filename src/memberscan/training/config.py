"""How a model is trained: one declaration that commands, Flower's keys, requests and runs all read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from memberscan.configuration import OneOf, Word, at_most_for_sites, configuration
from memberscan.defences import DEFENCES, written_in_full


@configuration
class TrainingConfig:
    """How a model is trained.

    The optimizer is Adam, or stochastic gradient descent with a momentum of 0.9 (``optimizer="sgd"``). Weight
    decay and batch size are the paper's by default.

    Parameters
    ----------
    epochs
        Largest number of epochs; in a federation, per learner and round.
    learning_rate
        By default the model's own for Adam, and 0.003 for SGD.
    weight_decay
        Weight decay of the optimizer.
    batch_size
        Number of scans per step.
    keep
        The epoch whose weights are kept: "last", or "best" by the validation loss.
    patience
        Stop this many epochs after the best epoch.
    precision
        "fp32" or "bf16".
    device
        "auto", "cpu" or "cuda". A site of a deployed federation chooses its own.
    seed
        Decides the initial weights, the order of scans and dropout, but not who is a member.
    optimizer
        "adam" or "sgd".
    defence
        What changes steps, updates or the finished model to protect people, as ``name:parameter=value,...``,
        several joined by ``+``: see :mod:`memberscan.defences`.
    """

    epochs: Annotated[int, Field(description="Largest number of epochs.", ge=1), at_most_for_sites(1_000)] = (
        60
    )
    learning_rate: Annotated[
        float | None,
        Field(description="By default the model's own, and 0.003 for sgd.", gt=0, allow_inf_nan=False),
        at_most_for_sites(1e3),
    ] = None
    weight_decay: Annotated[
        float,
        Field(description="Weight decay of the optimizer.", ge=0, allow_inf_nan=False),
        at_most_for_sites(1e3),
    ] = 1e-4
    batch_size: Annotated[
        int, Field(description="Number of scans per step.", ge=1), at_most_for_sites(4_096)
    ] = 8
    keep: Annotated[
        Literal["last", "best"], Field(description="Which epoch to keep: last, or best by validation error.")
    ] = "last"
    patience: Annotated[
        int | None,
        Field(description="Stop this many epochs after the best; needs validation.", ge=1),
        at_most_for_sites(1_000),
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16"], Field(description="Precision of forward passes: fp32 or bf16.")
    ] = "fp32"
    device: Annotated[Word, Field(description="Device to train on: auto, cpu or cuda.")] = "auto"
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    optimizer: Annotated[
        Literal["adam", "sgd"], Field(description="adam, or sgd with a momentum of 0.9.")
    ] = "adam"
    defence: Annotated[
        Annotated[str, Field(max_length=400)] | None,
        Field(description="What protects people: name:parameter=value,...; several are joined by +."),
        OneOf(DEFENCES, shown_from=1),
        AfterValidator(written_in_full),
    ] = None
