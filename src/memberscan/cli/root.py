"""Options that every command has, wherever they are on the command line."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from memberscan import threads
from memberscan.errors import BadInputError
from memberscan.version import __version__

if TYPE_CHECKING:
    from memberscan.cli.logs import Shown

_WITH_A_VALUE = ("--threads", "--log-file", "--progress")
_WITHOUT = ("--quiet", "--verbose")
_SEVERAL_VALUES = ("--attacks", "--merge", "--defences", "--frontier", "--export")


def print_version(asked: bool) -> None:
    """Print the version and end, if it was asked for."""
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
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Show only the result, and an error if there is one.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show every line of progress, from the beginning.")
    ] = False,
    progress: Annotated[
        str,
        typer.Option(
            metavar="auto|json",
            help="auto: a bar in a terminal, lines elsewhere; json: one line of JSON when a stage begins, at "
            "intervals, and when it ends, on standard error.",
        ),
    ] = "auto",
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=print_version),
    ] = False,
) -> None:
    """Apply these options before the command runs, and so before torch is loaded."""
    del version
    if threads_ is not None:
        threads.use(threads_)
    # Imported here because progress loads rich's bars, which --version and --help do not need.
    from memberscan.cli.logs import logging_to

    assert isinstance(context.obj, contextlib.ExitStack)
    command = f"memberscan {__version__}: {shlex.join(sys.argv[1:])}"
    context.obj.enter_context(logging_to(log_file, command, _shown(quiet, verbose, progress)))


def _shown(quiet: bool, verbose: bool, progress: str) -> Shown:
    """Return what standard error shows; refuse options that contradict each other."""
    from memberscan.cli.logs import Shown

    if progress not in ("auto", "json"):
        raise BadInputError(f"--progress {progress!r} is unknown; choose auto or json")
    ways = {
        Shown.NOTHING: quiet and "--quiet",
        Shown.EVERYTHING: verbose and "--verbose",
        Shown.JSON: progress == "json" and "--progress json",
    }
    asked = {way: option for way, option in ways.items() if option}
    if len(asked) > 1:
        raise BadInputError(f"{' and '.join(asked.values())} contradict each other; leave out all but one")
    return next(iter(asked), Shown.LONG_WORK)


def complete_everywhere(command: click.Command) -> None:
    """Let a shell complete the options of every command after the name of one too, where they may stand.

    Nothing changes unless a shell asks for completions: they are then parameters of each command, which would
    otherwise appear in the help of each, and be given to its function.
    """
    if not any(name.endswith("_COMPLETE") and name.startswith("_MEMBERSCAN") for name in os.environ):
        return
    common = [each for each in command.params if {*_WITH_A_VALUE, *_WITHOUT} & set(each.opts)]
    for child in inner_commands(command):
        child.params += common


def inner_commands(command: click.Command) -> Iterator[click.Command]:
    """Yield the commands within a command, and within those."""
    for child in getattr(command, "commands", {}).values():
        yield child
        yield from inner_commands(child)


def prepared(arguments: Sequence[str]) -> list[str]:
    """Return the arguments in the form that the parser needs: common options first, one value per option."""
    # In this order, because a common option also ends the values of the option before it.
    return common_first(each_value_named(arguments, _SEVERAL_VALUES))


def each_value_named(arguments: Sequence[str], options: Iterable[str]) -> list[str]:
    """Return the arguments with each of these options repeated before each of its values."""
    expanded = list(arguments)
    for option in options:
        expanded = several_values(expanded, option)
    return expanded


def common_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the options that every command has moved before the command."""
    first, rest = [], []
    left = iter(arguments)
    for argument in left:
        if argument in _WITH_A_VALUE:
            first += [argument, *([value] if (value := next(left, None)) is not None else [])]
        elif argument in _WITHOUT or argument.startswith(tuple(f"{option}=" for option in _WITH_A_VALUE)):
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
