"""Defences: each changes a step, an update, a finished model or its answers to protect people; one file each.

A defence is a class of :class:`~memberscan.defences.defence.Defence`, made by
:func:`~memberscan.configuration.configuration` so that its parameters are declared once, and one line in
:data:`DEFENCES`. Configurations name it, with its parameters, as ``name:parameter=value,parameter=value``;
several, in the order in which they are applied, are joined by ``+``. A class of the user's own, which is in
no registry, is named ``package.module:Class:parameter=value``; its code runs only after :func:`allow_own`.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from memberscan.defences import own
from memberscan.errors import BadInputError

if TYPE_CHECKING:
    from memberscan.defences.defence import Defence

DEFENCES: dict[str, str] = {
    "dp-sgd": "memberscan.defences.dp_sgd:DPSGD",
    "fedsparsify": "memberscan.defences.fedsparsify:FedSparsify",
    "site-noise": "memberscan.defences.site_noise:SiteNoise",
    "adaptive-dp": "memberscan.defences.adaptive_dp:AdaptiveDP",
    "unique-gradient": "memberscan.defences.unique_gradient:UniqueGradient",
    "label-noise": "memberscan.defences.label_noise:LabelNoise",
    "randomised-response": "memberscan.defences.randomised_response:RandomisedResponse",
    "mixup": "memberscan.defences.mixup:Mixup",
    "loss-floor": "memberscan.defences.loss_floor:LossFloor",
    "distillation": "memberscan.defences.distillation:Distillation",
    "teachers": "memberscan.defences.teachers:Teachers",
    "prune": "memberscan.defences.prune:Prune",
    "quantize": "memberscan.defences.quantize:Quantize",
    "round": "memberscan.defences.round:Round",
    "clip": "memberscan.defences.clip:Clip",
    "match-errors": "memberscan.defences.match_errors:MatchErrors",
    "answer-noise": "memberscan.defences.answer_noise:AnswerNoise",
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


def answering(text: str | None) -> tuple[str, Defence] | None:
    """Return those of a text's defences that change answers, with their text; None if there are none.

    The text may come from a run of others, so classes of the user's own count only after :func:`allow_own`.
    """
    from memberscan.defences.composed import compose
    from memberscan.defences.defence import Defence

    found = [part for part in _known(text) if _named(part)[1].answered is not Defence.answered]
    return ("+".join(found), compose([_single(part) for part in found])) if found else None


def teaches(text: str | None) -> bool:
    """Return whether one of a text's defences releases a student.

    Classes of the user's own count only after :func:`allow_own`, as in :func:`answering`.
    """
    from memberscan.defences.defence import Defence

    return any(_named(part)[1].teaching is not Defence.teaching for part in _known(text))


def _known(text: str | None) -> list[str]:
    """Return the texts of those single defences whose code may be run."""
    return [part for part in parts_of(text) if part.partition(":")[0] in DEFENCES or own.allowed(part)]


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


def allow_own(text: str | None) -> None:
    """Let this process run the classes of the user's own that a text names.

    Call it with a text from the user only: on the command line, or in a call. Configurations are also read
    from runs and messages of others, and naming a class there does not run it.
    """
    for part in parts_of(text):
        if part.partition(":")[0] not in DEFENCES and (found := own.split_own(part)):
            own.allow(found[0])


def own_code(text: str | None) -> dict[str, str]:
    """Return digests of the files of the user's own classes in a text, by class; requests record them."""
    named = [own.split_own(part) for part in parts_of(text) if part.partition(":")[0] not in DEFENCES]
    return {found[0]: own.digest(found[0]) for found in named if found}


def strengths(name: str) -> list[str]:
    """Return the texts of a defence at each of its strengths: see :attr:`.Defence.strengths`.

    Raises
    ------
    BadInputError
        If there is no such defence, or it cannot be made at one of its strengths.
    """
    _, kind, _ = _named(name)
    texts = [f"{name}:{given}" if given else name for given in kind.strengths]
    for text in texts:
        defence_from(text)
    return texts


def _named(text: str) -> tuple[str, type[Defence], str]:
    """Return the name of a single defence, its class, and the text of its parameters."""
    name, _, rest = text.partition(":")
    if name in DEFENCES:
        module, _, attribute = DEFENCES[name].partition(":")
        kind: type[Defence] = getattr(importlib.import_module(module), attribute)
        return name, kind, rest
    if found := own.split_own(text):
        return found[0], own.own_class(found[0]), found[1]
    known = f"choose {' or '.join(DEFENCES)}" if DEFENCES else "this version has none; leave it out"
    raise BadInputError(f"defence {name!r} is unknown; {known}, or package.module:Class of your own")


def _single(text: str) -> Defence:
    name, kind, rest = _named(text)
    parameters = {}
    for part in rest.split(",") if rest else ():
        parameter, given, value = part.partition("=")
        if not given or parameter in parameters:
            raise BadInputError(f"defence {text!r} is not of the form name:parameter=value,parameter=value")
        parameters[parameter] = value
    try:
        return kind(**parameters)
    except (BadInputError, TypeError) as error:
        raise BadInputError(f"defence {name!r} cannot be made: {error}") from error


def _in_full(text: str) -> str:
    name, defence = _named(text)[0], _single(text)
    # Unlike __dataclass_fields__, this leaves out what belongs to the class, such as keeps_people_apart.
    declared: tuple[Field[Any], ...] = fields(defence) if is_dataclass(defence) else ()
    values = {field.name: getattr(defence, field.name) for field in declared}
    given = ",".join(f"{key}={value}" for key, value in values.items() if value is not None)
    return f"{name}:{given}" if given else name
