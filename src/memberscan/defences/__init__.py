"""Defences: each changes a training step, an update or a finished model to protect people; one file each.

A defence is a class of :class:`~memberscan.defences.defence.Defence`, made by
:func:`~memberscan.configuration.configuration` so that its parameters are declared once, and one line in
:data:`DEFENCES`. Configurations name it, with its parameters, as ``name:parameter=value,parameter=value``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from memberscan.errors import BadInputError

if TYPE_CHECKING:
    from memberscan.defences.defence import Defence

DEFENCES: dict[str, str] = {}
"""The class of each defence, by name, as ``package.module:Class``; it is imported only when it is used."""


def defence_from(text: str) -> Defence:
    """Return the defence that a configuration names.

    Raises
    ------
    BadInputError
        If there is no defence of that name, or a parameter is unknown, missing or out of range.
    """
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


def written_in_full(text: str | None) -> str | None:
    """Return the text that names a defence with all its parameters, including those left at their default."""
    if text is None:
        return None
    defence = defence_from(text)
    values = [f"{name}={getattr(defence, name)}" for name in getattr(defence, "__dataclass_fields__", ())]
    return f"{text.partition(':')[0]}:{','.join(values)}" if values else text.partition(":")[0]
