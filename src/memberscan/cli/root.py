"""Options that every command has, wherever they are on the command line."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from memberscan import __version__, threads

_BEFORE_THE_COMMAND = ("--threads", "--log-file")
_SEVERAL_VALUES = ("--attacks", "--merge", "--defences", "--frontier", "--export")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"memberscan {__version__}")
        raise typer.Exit


def options(
    context: typer.Context,
    threads_: Annotated[
        int | None,
        typer.Option("--threads", help="Number of threads; by default one per core, or as many as help."),
    ] = None,
    log_file: Annotated[
        Path | None,
        typer.Option("--log-file", help="File to append lines of progress, warnings and errors to."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """Apply these options before the command runs, and so before torch is loaded."""
    del version
    if threads_ is not None:
        threads.use(threads_)
    # Imported here because files and progress load pandas and rich, which --version and --help do not need.
    from memberscan.cli.logs import logging_to

    assert isinstance(context.obj, contextlib.ExitStack)
    context.obj.enter_context(logging_to(log_file, f"memberscan {__version__}: {shlex.join(sys.argv[1:])}"))


def prepared(arguments: Sequence[str]) -> list[str]:
    """Return the arguments in the form that the parser needs: common options first, one value per option."""
    arguments = common_first(arguments)
    for option in _SEVERAL_VALUES:
        arguments = several_values(arguments, option)
    return arguments


def common_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the options that every command has moved before the command."""
    first, rest = [], []
    left = iter(arguments)
    for argument in left:
        if argument in _BEFORE_THE_COMMAND:
            first += [argument, *([value] if (value := next(left, None)) is not None else [])]
        elif argument.startswith(tuple(f"{option}=" for option in _BEFORE_THE_COMMAND)):
            first.append(argument)
        else:
            rest.append(argument)
    return [*first, *rest]


def several_values(arguments: Sequence[str], option: str) -> list[str]:
    """Return the arguments with an option repeated before each of its values, up to the next option."""
    expanded: list[str] = []
    taking = first = False
    for argument in arguments:
        if argument == option or argument.startswith("-"):
            taking = first = argument == option
        elif taking and not first:
            expanded.append(option)
        else:
            first = False
        expanded.append(argument)
    return expanded
