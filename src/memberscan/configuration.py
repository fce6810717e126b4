"""Configurations that are declared once.

The fields of a class state name, meaning, choices and bounds. The checks of calls, the options of commands,
the keys of Flower's run configuration, and the limits on what a message may ask of a site come from them.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Collection, Iterator
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo
from pydantic.dataclasses import dataclass as validated
from pydantic.fields import FieldInfo

from memberscan.errors import BadInputError

T = TypeVar("T")
_RECEIVED = "received"
Word = Annotated[str, Field(max_length=100)]


@dataclass_transform(frozen_default=True)
def configuration(cls: type[T]) -> type[T]:
    """Make a frozen dataclass whose values are checked; errors are :class:`BadInputError` and name the field.

    Fields are written as ``name: Annotated[type, Field(description=..., ge=...)] = default``.
    """
    made: Any = validated(frozen=True, config=ConfigDict(extra="forbid"))(cls)
    check = made.__init__

    @functools.wraps(check)
    def __init__(self: Any, *values: Any, **named: Any) -> None:
        try:
            check(self, *values, **named)
        except ValidationError as error:
            raise BadInputError(_sentence(error)) from error

    made.__init__ = __init__
    return made  # type: ignore[no-any-return]


def at_most_for_sites(most: float) -> AfterValidator:
    """Limit what a site accepts in a received message; a call on one's own machine may ask for more."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if info.context == _RECEIVED and value is not None and value > most:
            raise ValueError(f"Input should be less than or equal to {most:g}")
        return value

    return AfterValidator(check)


def received(kind: type[T], text: str) -> T:
    """Read a configuration from received JSON; types must match exactly, and values be within limits.

    Raises
    ------
    BadInputError
        If a field is missing, unknown, of the wrong type or out of range; the message names the field.
    """
    try:
        found: T = _adapter(kind).validate_json(text, strict=True, context=_RECEIVED)  # type: ignore[arg-type]
        return found
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:100] or "their form"
        raise BadInputError(f"{place}: {first['msg']}") from error


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _sentence(error: ValidationError) -> str:
    """Return what is wrong with the first invalid value of a call, and which values are valid."""
    first = error.errors(include_url=False)[0]
    limits, value = first.get("ctx", {}), first["input"]
    name = ".".join(map(str, first["loc"]))
    match first["type"]:
        case "literal_error":
            wanted = "choose " + limits["expected"].replace("'", "")
        case "greater_than_equal":
            wanted = f"at least {limits['ge']:g} is needed"
        case "greater_than":
            wanted = f"it must be above {limits['gt']:g}"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"{name} is unknown; leave it out"
        case "missing":
            return f"{name} is missing; give it a value"
        case "value_error" if not name:
            return str(limits["error"])
        case _:
            message = first["msg"].removeprefix("Value error, ")
            wanted = message[:1].lower() + message[1:]
    return f"{name} is {value!r:.200}; {wanted}"


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Marks a field that names an entry of a registry, which checks the name when it is used.

    A command shows the option only if the registry has at least ``shown_from`` entries.
    """

    registry: Collection[str]
    shown_from: int


@dataclasses.dataclass(frozen=True)
class Option:
    """One field as an option of a command or a key of a file.

    Parameters
    ----------
    name
        The field's name.
    kind
        bool, int, float or str.
    optional
        Whether it may be left out; its default is then decided elsewhere.
    default
        The default; None if there is none.
    help
        The help text.
    choices
        The allowed words; empty if any value is allowed.
    hidden
        Whether to hide the option, because there is nothing to choose from.
    """

    name: str
    kind: type[bool] | type[int] | type[float] | type[str]
    optional: bool
    default: Any
    help: str
    choices: tuple[str, ...]
    hidden: bool


def options_of(kind: type, *, omit: Collection[str] = ()) -> Iterator[Option]:
    """Yield the fields with a description, of a :func:`configuration` or a typed dictionary, as options."""
    defaults = getattr(kind, "__dataclass_fields__", {})
    for name, annotation in get_type_hints(kind, include_extras=True).items():
        if name in omit or not (help := _description(annotation)):
            continue
        inner = get_args(annotation)[0]
        alternatives = get_args(inner) if get_origin(inner) in (Union, types.UnionType) else (inner,)
        plain = next(each for each in alternatives if each is not type(None))
        plain = get_args(plain)[0] if get_origin(plain) is Annotated else plain
        choices = get_args(plain) if get_origin(plain) is Literal else ()
        field = defaults.get(name)
        default = None if field is None or field.default is dataclasses.MISSING else field.default
        optional = field is None or type(None) in alternatives
        names, few = _names(annotation), False
        if names is not None:
            choices, few = tuple(names.registry), len(names.registry) < names.shown_from
        yield Option(name, str if choices else plain, optional, default, help, choices, few)


def _names(annotation: Any) -> OneOf | None:
    return next((extra for extra in get_args(annotation)[1:] if isinstance(extra, OneOf)), None)


def _description(annotation: Any) -> str:
    found = [extra for extra in get_args(annotation)[1:] if isinstance(extra, FieldInfo)]
    return next((extra.description for extra in found if extra.description), "")
