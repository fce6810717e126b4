"""What decides an attack's result: different for attacks that may score differently, equal for equal ones.

A kept audit names it. If two attacks had one identity, the second would be answered with the first one's AUC.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import operator
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan.attacks import REGISTRY, Block, LearnedAttack, gradient_attack
from memberscan.attacks.fedmia import FedMIA
from memberscan.attacks.identity import identity
from memberscan.attacks.local_error import local_error
from memberscan.attacks.on_learners import cosines
from memberscan.attacks.unfitted import LowerForMembers
from memberscan.errors import BadInputError
from memberscan.signals import PREDICTION, View
from memberscan.signals.layer_gradients import gradient


def told(attack: Any) -> str:
    """Return an attack's identity as it is kept."""
    return json.dumps(identity(attack), allow_nan=False)


def of(measure: Any) -> str:
    return told(LowerForMembers("mine", "mine", (PREDICTION,), measure=measure))


def notebook(code: str) -> dict[str, Any]:
    """Run code as a notebook does: its functions belong to a module without a file."""
    names: dict[str, Any] = {"__name__": "a notebook", "np": np}
    exec(compile(code, "<a cell>", "exec"), names)
    return names


@pytest.mark.parametrize("attack", REGISTRY.values(), ids=lambda attack: attack.name)
def test_our_own_attacks_are_described_in_full_and_by_their_names(attack: Any):
    found = json.loads(told(attack))
    assert found["name"] == attack.name
    for field in dataclasses.fields(attack):
        assert field.name in found["parameters"]
    # Our code is known by the product's version, so that a moved installation is the same.
    assert "digest" not in told(attack) and "0x" not in told(attack)


def test_no_two_of_our_attacks_are_the_same_even_if_they_share_a_name():
    every = [dataclasses.replace(attack, name="x", title="x") for attack in REGISTRY.values()]
    assert len({told(attack) for attack in every}) == len(every)
    blocks = [dataclasses.replace(gradient_attack(layer), name="x", title="x", reads=()) for layer in "ab"]
    assert told(blocks[0]) != told(blocks[1]), "the layer's name is kept by a closure only"


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"reads": (gradient("conv1"),)},
        {"others": 3},
        {"measure": cosines},
        {"prior": 5.0},
        {"prior": float("nan")},
        {"prior": float("inf")},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_another_parameter_is_another_attack(changed: dict[str, Any]):
    attack = FedMIA("x", "x", (PREDICTION,), measure=local_error)
    assert told(dataclasses.replace(attack, **changed)) != told(attack)
    assert told(dataclasses.replace(attack, **changed)) == told(dataclasses.replace(attack, **changed))


FORWARD = "def measure(view):\n    return np.abs(view.residual)\n"
BACKWARD = FORWARD.replace("return ", "return -")


def test_a_flipped_sign_is_another_attack():
    """The defect: requests named attacks only, so a flipped attack was answered with the old AUC."""
    one, other, again = (of(notebook(code)["measure"]) for code in (FORWARD, BACKWARD, FORWARD))
    assert one != other and one == again


def test_two_lambdas_of_one_line_differ():
    one, other = lambda view: view.residual, lambda view: -view.residual
    assert of(one) != of(other) and of(one) == of(one)


def scaled(factor: Any) -> Any:
    def measure(view: View) -> np.ndarray:
        return np.asarray(factor * view.residual)

    return measure


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, -1),
        (1.0, 1.0 + 1e-15),
        ("a", "b"),
        (None, False),
        (b"a", b"b"),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        ({1: "a"}, {"1": "a"}),
        ({1, 2}, {1, 3}),
        (np.arange(3), np.arange(1, 4)),
        (np.zeros(4), np.zeros((2, 2))),
        (np.zeros(2), np.zeros(2, dtype=np.int64)),
        (np.array([1, None], dtype=object), np.array([2, None], dtype=object)),
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), pd.DataFrame({"a": [1.0], "b": ["y"]})),
        (pd.DataFrame({"a": [1.0]}, index=["x"]), pd.DataFrame({"a": [1.0]}, index=["y"])),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]})),
        (pd.Series([1, 2]), pd.Series([1, 2], dtype="int8")),
        (pd.Index(["a", None]), pd.Index(["a", "b"])),
        (np.float32(1), np.float32(2)),
        (np.dtype("f4"), np.dtype("f8")),
        (np.sin, np.cos),
        (abs, operator.neg),
        (np.median, np.mean),
        (len, "len"),
        (np, operator),
        (types.FunctionType, types.MethodType),
        (Path("a"), Path("b")),
        (slice(1), slice(2)),
        (scaled(1), scaled(2)),
        (functools.lru_cache(scaled(1)), functools.lru_cache(scaled(2))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_another_value_kept_by_a_closure_is_another_attack(one: Any, other: Any):
    assert of(scaled(one)) != of(scaled(other))
    assert of(scaled(one)) == of(scaled(one))


@pytest.mark.parametrize("how", ["positional", "keyword"])
def test_partial_functions_are_their_function_and_its_arguments(how: str):
    def shifted(view: View, by: float = 0.0) -> np.ndarray:
        return np.asarray(view.residual + by)

    def partial(function: Any, by: float) -> Any:
        return functools.partial(function, by=by) if how == "keyword" else functools.partial(function, by)

    assert of(partial(shifted, 1.0)) != of(partial(shifted, 2.0))
    assert of(partial(shifted, 1.0)) != of(partial(scaled(1), 1.0))
    assert of(partial(shifted, 1.0)) == of(partial(shifted, 1.0)) and "0x" not in of(partial(shifted, 1.0))


class Scaled:
    """A measure with a state of its own."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, view: View) -> np.ndarray:
        return np.asarray(self.factor * view.residual)

    def plainly(self, view: View) -> np.ndarray:
        return np.asarray(self.factor * view.residual)


class Slotted:
    """The same without a dictionary."""

    __slots__ = ("factor",)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    __call__ = Scaled.__call__


@pytest.mark.parametrize("kind", [Scaled, Slotted])
def test_a_callable_object_is_its_class_and_its_state(kind: Any):
    assert of(kind(1)) != of(kind(-1)) and of(kind(1)) == of(kind(1))
    assert "0x" not in of(kind(1))


def test_a_bound_method_is_its_function_and_its_object():
    assert of(Scaled(1).plainly) != of(Scaled(-1).plainly)
    assert of(Scaled(1).plainly) == of(Scaled(1).plainly) != of(Scaled(1))


CLASSES = """
from dataclasses import dataclass
from memberscan.attacks.attack import Attack, Features

@dataclass(frozen=True)
class Base(Attack):
    sign = 1
    def observe(self, view):
        return Features(view.scans.index, view.residual[:, None])
    @property
    def factor(self):
        return 2
    @staticmethod
    def power():
        return 1
    def score(self, features, known):
        return self.sign * self.factor * features.values[:, 0] ** self.power()

@dataclass(frozen=True)
class Mine(Base):
    weights = [1, 2]
"""


@pytest.mark.parametrize(
    ("what", "other"),
    [
        ("sign = 1", "sign = -1"),
        ("return 2", "return 3"),
        ("return 1\n", "return 3\n"),
        ("return self.sign *", "return -self.sign *"),
        ("weights = [1, 2]", "weights = [1, 3]"),
        ("features.values[:, 0] **", "features.values[:, -1] **"),
    ],
)
def test_other_code_of_the_class_or_of_its_base_is_another_attack(what: str, other: str):
    assert what in CLASSES
    one, changed, again = (
        told(notebook(code)["Mine"]("x", "x")) for code in (CLASSES, CLASSES.replace(what, other), CLASSES)
    )
    assert one != changed and one == again


def test_a_class_made_in_a_function_keeps_what_its_methods_keep():
    def make(sign: int) -> Any:
        @dataclasses.dataclass(frozen=True)
        class Own(LowerForMembers):
            def score(self, features: Any, known: Any) -> Any:
                return sign * super().score(features, known)

        return Own("x", "x", (PREDICTION,), measure=local_error)

    assert told(make(1)) != told(make(-1)) and told(make(1)) == told(make(1))


HELPED = """
SCALE = 2.0
OFFSETS = {"a": np.arange(3)}
KNOWN = {"x", "y"}
def helper(values):
    return SCALE * values if len(values) > 3 else helper([*values, 1])
def measure(view):
    return helper(view.residual) + OFFSETS["a"][0] + ("x" in {"y", "z"}) + ("x" in KNOWN)
"""


@pytest.mark.parametrize(
    ("what", "other"),
    [
        ("SCALE = 2.0", "SCALE = -2.0"),
        ("np.arange(3)", "np.arange(1, 4)"),
        ("return SCALE *", "return -SCALE *"),
        ('{"y", "z"}', '{"y", "x"}'),
        ('KNOWN = {"x", "y"}', 'KNOWN = {"y"}'),
    ],
)
def test_what_a_function_of_a_notebook_refers_to_is_part_of_it(what: str, other: str):
    assert what in HELPED
    one, changed, again = (
        of(notebook(code)["measure"]) for code in (HELPED, HELPED.replace(what, other), HELPED)
    )
    assert one != changed and one == again


def test_names_that_a_function_does_not_look_up_are_no_part_of_it():
    code = "def measure(view):\n    return view.mean\n"
    assert of(notebook(code)["measure"]) == of(notebook(code + "mean = 3\nother = 4\n")["measure"])


@pytest.mark.parametrize("kind", ["default", "keyword default", "wrapper"])
def test_defaults_and_wrappers_are_part_of_a_function(kind: str):
    code = {
        "default": "def measure(view, sign=1):\n    return sign * view.residual\n",
        "keyword default": "def measure(view, *, sign=1):\n    return sign * view.residual\n",
        "wrapper": (
            "import functools\n"
            "def wrapped(function):\n"
            "    @functools.wraps(function)\n"
            "    def inner(view):\n"
            "        sign=1\n"
            "        return sign * function(view)\n"
            "    return inner\n"
            "@wrapped\n"
            "def measure(view):\n"
            "    return view.residual\n"
        ),
    }[kind]
    assert of(notebook(code)["measure"]) != of(notebook(code.replace("sign=1", "sign=-1"))["measure"])
    inner = code.replace("view.residual", "-view.residual")
    assert of(notebook(code)["measure"]) != of(notebook(inner)["measure"])


def test_another_text_of_the_file_is_another_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a function calls in its own file decides its result too."""
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []
    for number, body in enumerate(("2", "3")):
        (tmp_path / "measures.py").write_text(
            f"class Helper:\n    size = {body}\ndef measure(view):\n    return Helper().size\n"
        )
        monkeypatch.delitem(sys.modules, "measures", raising=False)
        for cached in (tmp_path / "__pycache__").glob("*"):
            cached.unlink()
        found.append(of(__import__("measures").measure))
        assert number or found[0]
    assert found[0] != found[1]


def test_what_cannot_be_compared_is_refused_in_words(tmp_path: Path):
    reason = r"attack mine holds a {}, .* with another one; give attacks numbers, text, arrays, functions"
    with (tmp_path / "open").open("w") as stream:
        for value, kind in ((stream, "TextIOWrapper"), ((n for n in range(3)), "generator")):
            with pytest.raises(BadInputError, match=reason.format(kind)):
                of(scaled(value))


def test_blocks_are_told_by_what_they_read_and_how_they_change_it():
    def of_block(*parts: Any) -> str:
        return told(LearnedAttack("x", "x", (PREDICTION,), blocks=(Block(*parts),)))

    one, two = scaled(1), scaled(2)
    assert len({of_block(one), of_block(two), of_block(one, two), of_block(one, one)}) == 4


SCRIPT = """
import json, sys, functools
import numpy as np
import pandas as pd
from memberscan.attacks import REGISTRY
from memberscan.attacks.identity import identity
from memberscan.attacks.unfitted import LowerForMembers
from memberscan.signals import PREDICTION
{cells}
class Called:
    state = frozenset({{"p", "q", "r"}})
    def __init__(self, *names): self.names = set(names)
    def __call__(self, view): return len(self.names & {{"x", "y", "z"}})
def sets(names={{"a", "b", "c"}}):
    return lambda view: names
mine = [measure, Mine("x", "x"), Called("x", "y", "zz", "w"), functools.partial(measure, {{"a", "b", "c"}})]
mine += [functools.partial(measure, pd.DataFrame({{"a": [1.0], "b": ["x"]}}))]
mine += [sets(), np.median, np.sin, Called("a", "b").__call__]
mine = [m if hasattr(m, "reads") else LowerForMembers("m", "m", (PREDICTION,), measure=m) for m in mine]
print(json.dumps([identity(attack) for attack in [*REGISTRY.values(), *mine]]))
"""


def test_equal_attacks_are_equal_in_every_process():
    """The order of sets, and where objects lie in memory, differ from process to process."""
    script = SCRIPT.format(cells=HELPED + CLASSES)
    found = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
        )
        found.append(done.stdout)
    assert found[0] == found[1]
    mine = json.loads(found[0])[len(REGISTRY) :]
    assert len(mine) == 9
    assert all(one != other for one, other in itertools.combinations(map(json.dumps, mine), 2))
