"""Options that several commands share, and how every command prints its result."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer
from rich.console import Console

from memberscan.configuration import Option, options_of
from memberscan.federation.run_config import LOCAL_NAMES, NOT_FOR_LEARNERS
from memberscan.federation.settings import LOCAL, Settings
from memberscan.models.model_options import ModelOptions
from memberscan.shown import escaped, plain, to_json
from memberscan.training.config import TrainingConfig

if TYPE_CHECKING:
    from memberscan.cohort import Cohort

Command = TypeVar("Command", bound=Callable[..., None])
_NONE: Mapping[str, str] = MappingProxyType({})
Given = Mapping[str, Any]
"""Options that the user gave, by the field that declares them."""

Seed = Annotated[int, typer.Option(help="Root seed; the same seed gives the same result.")]
NoSeed = Annotated[int, typer.Option(help="Accepted for consistency; this command draws nothing at random.")]
DrawSeed = Annotated[
    int | None,
    typer.Option(
        help="Decides the draw of the members and the training's random numbers. By default, members are "
        "drawn with a secret seed and training uses 0. Whoever guesses the seed can repeat the draw."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
CohortDir = Annotated[Path, typer.Argument(metavar="COHORT", help="Directory of the cohort.")]
RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="Directory of the run.")]
AuditDir = Annotated[Path, typer.Argument(metavar="AUDIT", help="Directory of the audit.")]
TargetColumn = Annotated[
    str | None,
    typer.Option("--target", help="Column that the model predicts, if not age: a score, or classes."),
]
Unit = Annotated[
    str | None, typer.Option(help="Unit of the target, such as points; without one it has classes.")
]
Classes = Annotated[
    str,
    typer.Option(help="Its classes in the order of the model's outputs; default: as in the column, sorted."),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def one_of(values: Iterable[object]) -> Callable[[], list[str]] | None:
    """Return a function with the values that a shell completes, or None if there are none to choose from."""
    words = [str(value) for value in values]
    return (lambda: words) if words else None


def names_in(text: str) -> tuple[str, ...]:
    """Return names that are separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def with_target(cohort: Path, target: str | None, unit: str | None, classes: str) -> Cohort:
    """Open a cohort, with the target that the options name."""
    from memberscan.cohort import Cohort as Opened
    from memberscan.cohort.target_column import asked_target

    asked = asked_target(target, unit, names_in(classes))
    opened = Opened.open(cohort)
    return opened if asked is None else opened.with_target(asked.name, unit=asked.unit, classes=asked.classes)


def declared(
    parameter: str,
    kind: type,
    *,
    omit: Collection[str] = (),
    names: Mapping[str, str] = _NONE,
    helps: Mapping[str, str] = _NONE,
    defaults: object = None,
) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the options that a configuration declares.

    Parameters
    ----------
    parameter
        The command's parameter that receives the options, as a mapping by field name. The command line gets
        one option per field instead; optional ones that were not given are left out of the mapping.
    kind
        The configuration, or typed dictionary: see :func:`~memberscan.configuration.options_of`.
    omit
        Fields that are not options of this command.
    names
        Names of options that are not called like their field.
    helps
        Help texts that replace the fields' own descriptions.
    defaults
        An object with defaults that replace the fields' own.
    """
    options = {
        names.get(option.name, option.name): replace(option, help=helps.get(option.name, option.help))
        for option in options_of(kind, omit=omit)
    }

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**values: Any) -> None:
            found = {option.name: values.pop(name) for name, option in options.items()}
            kept = {name: value for name, value in found.items() if value is not None}
            command(**values, **{parameter: kept})

        parameters = dict(inspect.signature(command, eval_str=True).parameters)
        place = list(parameters).index(parameter)
        replaced = [_parameter(name, option, defaults) for name, option in options.items()]
        rest = list(parameters.values())
        rest[place : place + 1] = replaced
        # typer reads the signature, and reads the types again from the annotations.
        run.__signature__ = inspect.Signature(rest)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in rest}
        return cast("Command", run)

    return decorate


Environment = Annotated[str, typer.Option(help="uniform-iid, uniform-noniid, skewed-iid or skewed-noniid.")]
Learners = Annotated[int, typer.Option(help="Number of learners that share the cohort.")]
By = Annotated[str | None, typer.Option(help="Covariate whose values become the learners, such as site.")]
HeldOut = Annotated[float, typer.Option(help="Share of the subjects kept out: the non-members.")]


def of_federations(*, omit: Collection[str] = ()) -> Callable[[Command], Command]:
    """Return a decorator for commands of federations, with parameters settings, training and options."""
    local = declared(
        "training",
        TrainingConfig,
        omit=(*NOT_FOR_LEARNERS, *omit),
        names=LOCAL_NAMES,
        helps={"epochs": "Epochs of each learner per round."},
        defaults=LOCAL,
    )

    def decorate(command: Command) -> Command:
        return local(declared("options", ModelOptions)(declared("settings", Settings, omit=omit)(command)))

    return decorate


def stated_settings(model: str, seed: int, settings: Given, training: Given, options: Given) -> Settings:
    """Return the settings of a federation that a command's options give."""
    return Settings(model, cast("ModelOptions", options), TrainingConfig(**training, seed=seed), **settings)


def _parameter(name: str, option: Option, defaults: object) -> inspect.Parameter:
    default = option.default if defaults is None else getattr(defaults, option.name)
    kind: Any = option.kind | None if option.optional else option.kind
    words = "|".join(option.choices) or None
    about = typer.Option(
        help=option.help, metavar=words, hidden=option.hidden, autocompletion=one_of(option.choices)
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, about]
    )


def console() -> Console:
    """Return the console for results; progress and errors go to standard error."""
    return Console(width=None if Console().is_terminal else 110, highlight=False)


def answer(facts: Mapping[str, Any], as_json: bool) -> None:
    """Print facts as JSON, or one per line."""
    if as_json:
        typer.echo(escaped(to_json(facts)), nl=False)
        return
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        say(f"{name.replace('_', ' '):<{width}}  {value}")


def say(line: str) -> None:
    """Print a line as plain text, since file names in it may contain any character."""
    typer.echo(plain(line))
