"""One declaration gives the checks of a call, the limits of a message, and options with their meaning."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from typing_extensions import TypedDict

from memberscan.configuration import (
    OneOf,
    Option,
    Word,
    at_most_for_sites,
    configuration,
    options_of,
    received,
)
from memberscan.errors import BadInputError


@configuration
class Inner:
    """A part of another configuration."""

    epochs: Annotated[int, Field(description="Epochs at most.", ge=1), at_most_for_sites(10)] = 3
    rate: Annotated[float | None, Field(description="The rate.", gt=0, allow_inf_nan=False)] = None
    keep: Annotated[Literal["last", "best"], Field(description="Which to keep.")] = "last"
    seed: int = 0


@configuration
class Outer:
    """A configuration with a part."""

    name: Word
    inner: Inner = Inner()
    head: Annotated[Word | None, Field(description="The head."), OneOf(["one"], shown_from=2)] = None

    def __post_init__(self) -> None:
        if self.name == self.inner.keep:
            raise BadInputError("name is the same as keep; choose another")


class Loose(TypedDict, total=False):
    """Options of which any may be left out."""

    width: Annotated[int, Field(description="The width.")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, r"^epochs is 0; at least 1 is needed$"),
        ({"rate": 0.0}, r"^rate is 0\.0; it must be above 0$"),
        ({"rate": float("nan")}, r"^rate is nan; .*finite"),
        ({"keep": "first"}, r"^keep is 'first'; choose last or best$"),
        ({"epochs": "many"}, r"^epochs is 'many'; .*integer"),
        ({"speed": 1}, r"^speed is unknown; leave it out$"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_right(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        Inner(**changes)
    with pytest.raises(BadInputError, match=message):
        dataclasses.replace(Inner(), **changes)


def test_a_configuration_is_a_frozen_value() -> None:
    made = Outer("a", Inner(epochs=100))
    assert made == Outer("a", inner=Inner(100)) and hash(made.inner) == hash(Inner(100))
    assert pickle.loads(pickle.dumps(made)) == made
    assert dataclasses.asdict(made)["inner"] == {"epochs": 100, "rate": None, "keep": "last", "seed": 0}
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "b"  # type: ignore[misc]
    with pytest.raises(BadInputError, match=r"^name is the same as keep"):
        Outer("last")


def test_a_message_is_read_exactly_and_within_limits() -> None:
    assert received(Outer, '{"name": "a", "inner": {"epochs": 10, "rate": 1}}') == Outer("a", Inner(10, 1.0))
    for text, place in (
        ('{"name": "a", "inner": {"epochs": 11}}', r"inner\.epochs: .*less than or equal to 10"),
        ('{"name": "a", "inner": {"epochs": 2.0}}', r"inner\.epochs: "),
        ('{"name": "a", "inner": {"epochs": true}}', r"inner\.epochs: "),
        ('{"name": "a", "inner": {"depth": 1}}', r"inner\.depth: "),
        ('{"inner": {}}', "name: "),
        ("[]", "their form: "),
        ('{"name": "' + "a" * 101 + '"}', "name: "),
    ):
        with pytest.raises(BadInputError, match=f"^{place}"):
            received(Outer, text)
    with pytest.raises(BadInputError, match="the same as keep"):
        received(Outer, '{"name": "last"}')


def test_fields_with_a_description_are_options() -> None:
    assert list(options_of(Inner, omit=["epochs"])) == [
        Option("rate", float, True, None, "The rate.", (), False),
        Option("keep", str, False, "last", "Which to keep.", ("last", "best"), False),
    ]
    assert list(options_of(Outer)) == [Option("head", str, True, None, "The head.", ("one",), True)]
    assert list(options_of(Loose)) == [Option("width", int, True, None, "The width.", (), False)]
