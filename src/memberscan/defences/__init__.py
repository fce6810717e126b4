"""Defences: each changes a training step, an update or a finished model to protect people; one file each.

A defence is a class of :class:`~memberscan.defences.defence.Defence`, made by
:func:`~memberscan.configuration.configuration` so that its parameters are declared once, and one line in
:data:`DEFENCES`. Configurations name it, with its parameters, as ``name:parameter=value,parameter=value``;
several, in the order in which they are applied, are joined by ``+``.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from memberscan.errors import BadInputError

if TYPE_CHECKING:
    from memberscan.defences.defence import Defence

DEFENCES: dict[str, str] = {
    "dp-sgd": "memberscan.defences.dp_sgd:DPSGD",
    "fedsparsify": "memberscan.defences.fedsparsify:FedSparsify",
    "unique-gradient": "memberscan.defences.unique_gradient:UniqueGradient",
    "label-noise": "memberscan.defences.label_noise:LabelNoise",
    "randomised-response": "memberscan.defences.randomised_response:RandomisedResponse",
    "mixup": "memberscan.defences.mixup:Mixup",
    "loss-floor": "memberscan.defences.loss_floor:LossFloor",
    "prune": "memberscan.defences.prune:Prune",
    "quantize": "memberscan.defences.quantize:Quantize",
}
"""The class of each defence, by name, as ``package.module:Class``; it is imported only when it is used."""


def defence_from(text: str | None) -> Defence:
    """Return the defence that a configuration names; for None, one that changes nothing.

    Raises
    ------
    BadInputError
        If there is no defence of that name, a parameter is unknown, missing or out of range, or several
        defences do not go together.
    """
    from memberscan.defences.composed import compose

    return compose([_single(part) for part in parts_of(text)])


def written_in_full(text: str | None) -> str | None:
    """Return the text that names defences with all their parameters, including those left at a default."""
    if text is None:
        return None
    defence_from(text)
    return "+".join(map(_in_full, parts_of(text)))


def parts_of(text: str | None) -> list[str]:
    """Return the texts of the single defences."""
    # A plus sign before a digit is part of a number, such as 1e+16.
    return [] if text is None else re.split(r"\+(?=\D|$)", text)


def _single(text: str) -> Defence:
    name, _, rest = text.partition(":")
    if name not in DEFENCES:
        known = f"choose {' or '.join(DEFENCES)}" if DEFENCES else "this version has none; leave it out"
        raise BadInputError(f"defence {name!r} is unknown; {known}")
    module, _, attribute = DEFENCES[name].partition(":")
    kind: type[Defence] = getattr(importlib.import_module(module), attribute)
    parameters = {}
    for part in rest.split(",") if rest else ():
        parameter, given, value = part.partition("=")
        if not given or parameter in parameters:
            raise BadInputError(f"defence {text!r} is not of the form name:parameter=value,parameter=value")
        parameters[parameter] = value
    try:
        return kind(**parameters)
    except BadInputError as error:
        raise BadInputError(f"defence {name!r} cannot be made: {error}") from error


def _in_full(text: str) -> str:
    name, defence = text.partition(":")[0], _single(text)
    # Unlike __dataclass_fields__, this leaves out what belongs to the class, such as keeps_people_apart.
    declared: tuple[Field[Any], ...] = fields(defence) if is_dataclass(defence) else ()
    values = {field.name: getattr(defence, field.name) for field in declared}
    given = ",".join(f"{key}={value}" for key, value in values.items() if value is not None)
    return f"{name}:{given}" if given else name
