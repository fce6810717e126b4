"""Find a function that a user names as ``package.module:function``, and notice when its file changes."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memberscan.errors import MemberscanError


def named_function(name: str, kind: str, error: type[MemberscanError]) -> Callable[..., Any]:
    """Import a function; its module is executed, so call this only with a name that the user gave.

    The current directory is searched last, so that no file in it can replace an installed package.

    Parameters
    ----------
    name
        ``package.module:function``.
    kind
        What it is for, in messages, such as "loader".
    error
        Raised, with this message, if there is no such function.
    """
    module, _, attribute = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as problem:  # the user's module runs on import, and may fail in any way
        raise error(
            f"cannot import the {kind} {name!r} ({type(problem).__name__}: {problem}); "
            "give package.module:function, importable from here"
        ) from problem
    if not callable(found):
        raise error(f"the {kind} {name!r} is not a function")
    function: Callable[..., Any] = found
    return function


def source_digest(function: Callable[..., Any]) -> str:
    """Return a digest of the file that defines a function, and not of what it calls elsewhere.

    It is that of no bytes for a function without a file.
    """
    try:
        source = inspect.getsourcefile(function)
    except TypeError:
        source = None
    data = Path(source).read_bytes() if source and Path(source).is_file() else b""
    return hashlib.sha256(data).hexdigest()
