"""Defences of the user's own, named as package.module:Class; they run only if the user named them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memberscan.errors import BadInputError, UntrustedCodeError
from memberscan.user_code import named_function, source_digest

if TYPE_CHECKING:
    from memberscan.defences.defence import Defence

_OWN = re.compile(r"(?P<name>[A-Za-z_][\w.]*:[A-Za-z_]\w*)(?::(?P<rest>.+))?")
_allowed: set[str] = set()


def split_own(text: str) -> tuple[str, str] | None:
    """Return class and parameters of ``package.module:Class:parameter=value,...``; None for others."""
    found = _OWN.fullmatch(text)
    return None if found is None else (found["name"], found["rest"] or "")


def allow(name: str) -> None:
    """Let this process import a class, because the user named it on the command line or in a call."""
    _allowed.add(name)


def allowed(text: str) -> bool:
    """Tell whether a text names a class that the user named."""
    found = split_own(text)
    return found is not None and found[0] in _allowed


def own_class(name: str) -> type[Defence]:
    """Import a class of the user's own.

    Raises
    ------
    UntrustedCodeError
        If only a file or a message names it: see :func:`memberscan.defences.allow_own`.
    BadInputError
        If it cannot be imported, or is not a defence.
    """
    from memberscan.defences.defence import Defence

    if name not in _allowed:
        raise UntrustedCodeError(
            f"the defence {name!r} is a class whose code would be executed, but only a file or a message "
            "names it; if you trust it, name it yourself: to memberscan train or memberscan frontier, or in "
            "Python to memberscan.defences.allow_own"
        )
    found = named_function(name, "defence", BadInputError)
    if not (isinstance(found, type) and issubclass(found, Defence)):
        raise BadInputError(
            f"{name!r} is not a defence; give a class that inherits memberscan.defences.defence.Defence"
        )
    return found


def digest(name: str) -> str:
    """Return a digest of the file that defines a class that was allowed."""
    return source_digest(own_class(name))
