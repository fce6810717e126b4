"""The head that suits a target variable: classes need one that tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memberscan.errors import ModelError
from memberscan.models.heads import Classes, Head
from memberscan.target_variable import TargetVariable


def for_target(options: Mapping[str, Any], target: TargetVariable) -> dict[str, Any]:
    """Return the options of a network that is trained for a target: for classes, their head and number.

    Parameters
    ----------
    options
        As the user gave them.
    target
        What it is to predict.

    Raises
    ------
    ModelError
        If the user asked for a head that does not fit the target.
    """
    head = options.get("head")
    if not target.classes:
        if head == Classes.name:
            raise ModelError(
                f"the head {head!r} tells classes apart, but the target {target.name!r} is a number in "
                f"{target.unit}; leave out --head, or give a target of classes without --unit"
            )
        return dict(options)
    if head not in (None, Classes.name):
        raise ModelError(
            f"the head {head!r} predicts a number, but the target {target.name!r} has the classes "
            f"{', '.join(target.classes)}; leave out --head"
        )
    return {**options, "head": Classes.name, "class_count": len(target.classes)}


def class_head(target: TargetVariable) -> str:
    """Return the head that a user's own network has for a target, as text; "" for a number."""
    return f"{Classes.name}:count={len(target.classes)}" if target.classes else ""


def own_head(options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the head of a user's own network, as text, and the options that are left."""
    left = dict(options)
    if left.get("head") != Classes.name:
        return "", left
    return f"{left.pop('head')}:count={left.pop('class_count', 2)}", left


def require_fits(head: Head, target: TargetVariable) -> None:
    """Raise :class:`ModelError` if a network with this head cannot predict the target."""
    count = head.outputs if isinstance(head, Classes) else 0
    if count != len(target.classes):
        wanted = f"{len(target.classes)} classes" if target.classes else f"a number in {target.unit}"
        found = f"tells {count} classes apart" if count else "predicts a number"
        raise ModelError(f"the model {found}, but the target {target.name!r} is {wanted}")
