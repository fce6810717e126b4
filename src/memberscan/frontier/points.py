"""The points of a frontier: training recipes, from a table, from names, or all that memberscan has."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from memberscan.cohort.text_table import read_text_table
from memberscan.configuration import Option, options_of
from memberscan.defences import DEFENCES, allow_own, defence_from, parts_of, strengths, written_in_full
from memberscan.defences.own import split_own
from memberscan.errors import BadInputError
from memberscan.federation.settings import Settings
from memberscan.models import MODELS
from memberscan.models.model_options import ModelOptions
from memberscan.shown import plain
from memberscan.training.config import TrainingConfig
from memberscan.training.teaching import require_students

ALL = "all"
UNDEFENDED, EARLY_STOPPING = "undefended", "early stopping"
MOST_POINTS, _LONGEST = 500, 80
_COLUMNS = ("name", "defence", "settings")
_STOPS_EARLY = frozenset({"epochs", "patience", "keep", "rounds"})
_OF_TRAINING = {
    option.name: option for option in options_of(TrainingConfig, omit=("defence", "device", "precision"))
}
_OF_MODEL = {option.name: option for option in options_of(ModelOptions, omit=("class_count", "head"))}
_OF_FEDERATION = {option.name: option for option in options_of(Settings) if option.name == "rounds"}


@dataclass(frozen=True)
class Point:
    """One training recipe: a defence, and changes of how the model is trained and of its options.

    Parameters
    ----------
    name
        What the page calls it.
    defence
        As ``memberscan train --defence`` takes it, with all parameters; None for none.
    settings
        Changed settings by name, sorted: of :class:`.TrainingConfig` and of the model, and the number of
        rounds of a federation.
    longer
        Whether it trains for as many epochs and rounds as the undefended model, or more.
    """

    name: str
    defence: str | None = None
    settings: tuple[tuple[str, Any], ...] = ()
    longer: bool = False

    @property
    def family(self) -> str:
        """What kind of recipe it is: points of one kind at several strengths are drawn as one line."""
        if self.defence is not None:
            named = [(own[0] if (own := split_own(part)) else part.partition(":")[0]) for part in self._parts]
            return "+".join(named)
        changed = [name for name, _ in self.settings]
        if not changed:
            return UNDEFENDED
        early = set(changed) <= _STOPS_EARLY and not self.longer
        return EARLY_STOPPING if early else " and ".join(changed).replace("_", " ")

    @property
    def _parts(self) -> list[str]:
        return parts_of(self.defence)

    def config(self, base: TrainingConfig) -> TrainingConfig:
        """Return how this point is trained."""
        changes = {name: value for name, value in self.settings if name in _OF_TRAINING}
        return replace(base, **changes, defence=self.defence)

    def options(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """Return the model's options at this point."""
        return {**base, **{name: value for name, value in self.settings if name in _OF_MODEL}}

    def federated(self, base: Settings) -> Settings:
        """Return how a federation trains at this point."""
        changes = {name: value for name, value in self.settings if name in _OF_FEDERATION}
        options: Any = self.options(base.options)
        return replace(base, **changes, training=self.config(base.training), options=options)


@dataclass(frozen=True)
class Base:
    """What points change: the model, how it is trained, and the share held out for the epoch or a student.

    ``federation`` is how a federation trains; None where there is none.
    """

    model: str
    config: TrainingConfig
    validation: float
    federation: Settings | None = None

    @property
    def rounds(self) -> int | None:
        """Rounds of the undefended federation; None where there is none."""
        return self.federation.rounds if self.federation else None


def read_points(given: Sequence[str], base: Base) -> list[Point]:
    """Return the points that a user asks for, the undefended model first.

    Parameters
    ----------
    given
        The path of a table with the columns name, defence and settings; or names: "all", a built-in kind
        (early-stopping, weight-decay, dropout), a defence for all its strengths, or a defence with
        parameters. Names also bring early stopping, the line to beat.
    base
        What the points change.

    Raises
    ------
    BadInputError
        If a defence or setting is unknown or out of range, a name repeats, or there is no point.
    """
    if len(given) == 1 and (path := Path(given[0])).is_file():
        points = list(_of_table(path))
    else:
        names = [str(name) for name in given] or [ALL]
        points = [point for name in ("early-stopping", *names) for point in _of_name(name, base)]
    if not any(point.family == UNDEFENDED for point in points):
        points.insert(0, Point(UNDEFENDED))
    points = [replace(point, longer=_longer(point, base)) for point in points]
    kept = {(point.defence, point.settings): point for point in reversed(points)}
    points = [point for point in points if kept[point.defence, point.settings] is point]
    _require_sense(points, base)
    return points


def _longer(point: Point, base: Base) -> bool:
    """Return whether a point trains at least as long as the undefended model, and to the end."""
    found = dict(point.settings)
    if not found or found.get("keep") == "best" or found.get("patience"):
        return False
    epochs = found.get("epochs", base.config.epochs) * found.get("rounds", base.rounds or 1)
    return bool(epochs >= base.config.epochs * (base.rounds or 1))


def _require_sense(points: Sequence[Point], base: Base) -> None:
    if len(points) > MOST_POINTS:
        raise BadInputError(f"there are {len(points)} points; at most {MOST_POINTS} are trained")
    names = [point.name for point in points]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInputError(f"the point {twice[0]!r} is given twice; give each point its own name")
    for point in points:
        try:
            config = point.config(base.config)
            require_students(config, bool(base.validation))
            if base.federation:
                point.federated(base.federation)
            elif "rounds" in dict(point.settings):
                raise BadInputError("only a federation has rounds; change epochs instead")
        except BadInputError as error:
            raise BadInputError(f"point {point.name!r}: {error}") from error
        if (config.keep == "best" or config.patience) and not base.validation:
            raise BadInputError(
                f"point {point.name!r} chooses the epoch by people who are held out; add --validation 0.1"
            )


def _of_table(path: Path) -> Iterator[Point]:
    table = read_text_table(path)
    unknown = [column for column in table.columns if column not in _COLUMNS]
    if "name" not in table.columns or unknown:
        found = ", ".join(map(str, table.columns))
        raise BadInputError(f"{path} has the columns {found}; give {', '.join(_COLUMNS)}")
    if not len(table):
        raise BadInputError(f"{path} has no points; write one line per point")
    for row in table.to_dict("records"):
        name = str(row["name"])
        if not name or len(name) > _LONGEST or plain(name) != name:
            raise BadInputError(f"{path}: the name {plain(name)[:_LONGEST]!r}: write 1 to {_LONGEST} letters")
        yield _point(name, str(row.get("defence", "")), str(row.get("settings", "")))


def _point(name: str, defence: str, settings: str) -> Point:
    """Return a point from texts of the user's; classes of the user's own may run from here on."""
    allow_own(defence or None)
    try:
        return Point(name, written_in_full(defence or None), _settings(settings))
    except BadInputError as error:
        raise BadInputError(f"point {name!r}: {error}") from error


def _settings(text: str) -> tuple[tuple[str, Any], ...]:
    found: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, given, value = (piece.strip() for piece in part.partition("="))
        option = (_OF_TRAINING | _OF_MODEL | _OF_FEDERATION).get(name)
        if not given or name in found:
            raise BadInputError(f"settings {text!r} are not of the form name=value,name=value")
        if option is None:
            known = ", ".join([*_OF_TRAINING, *_OF_MODEL, *_OF_FEDERATION])
            raise BadInputError(f"setting {name!r} is unknown; choose from {known}")
        found[name] = _value(option, value)
    return tuple(sorted(found.items()))


def _value(option: Option, text: str) -> Any:
    try:
        return option.kind(text)
    except ValueError as error:
        raise BadInputError(f"setting {option.name} is {text!r}; give a {option.kind.__name__}") from error


def _of_name(name: str, base: Base) -> list[Point]:
    if name == ALL:
        kinds = [point for kind in _KINDS for point in _KINDS[kind](base)]
        texts = [text for defence in DEFENCES for text in strengths(defence) if _possible(text, base)]
        return kinds + [_point(text, text, "") for text in texts]
    if name in _KINDS:
        return _KINDS[name](base)
    if Path(name).is_file():
        raise BadInputError(f"{name} is a file among names; give one table of points, or names only")
    allow_own(name)
    own = split_own(name)
    alone = name in DEFENCES or (own is not None and not own[1])
    texts = strengths(name) if alone else [name]
    return [_point(text, text, "") for text in texts]


def _possible(text: str, base: Base) -> bool:
    """Return whether a defence can be part of a training with these rounds, with the people held out."""
    try:
        defence_from(text).require_training(base.rounds)
        require_students(replace(base.config, defence=text), bool(base.validation))
    except BadInputError:
        return False
    return True


def _early(base: Base) -> list[Point]:
    """Return trainings of an eighth, a quarter and half of the epochs, and the best epoch by validation.

    A federation has fewer rounds instead, since its epochs are those of a round.
    """
    name, every = ("rounds", base.rounds) if base.rounds else ("epochs", base.config.epochs)
    shorter = sorted({max(1, round(every / part)) for part in (8, 4, 2)} - {every})
    points = [Point(f"{n} {name}" if n > 1 else f"1 {name[:-1]}", settings=((name, n),)) for n in shorter]
    chosen = [Point("best epoch", settings=(("keep", "best"),))] if base.validation else []
    return points + chosen


def _weight_decay(base: Base) -> list[Point]:
    del base
    return [Point(f"weight decay {v:g}", settings=(("weight_decay", v),)) for v in (0.01, 0.1, 1.0)]


def _dropout(base: Base) -> list[Point]:
    """Return points where the model can drop features; a network of the user's own takes no options."""
    takes = base.model in MODELS and "dropout" in inspect.signature(MODELS[base.model]).parameters
    return [Point(f"dropout {v:g}", settings=(("dropout", v),)) for v in (0.2, 0.5)] if takes else []


_KINDS: dict[str, Callable[[Base], list[Point]]] = {
    "early-stopping": _early,
    "weight-decay": _weight_decay,
    "dropout": _dropout,
}
