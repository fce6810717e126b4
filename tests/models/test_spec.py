from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from torch import nn

from memberscan.errors import ModelError
from memberscan.models import MODELS, ModelSpec, build, importable
from memberscan.received import stated


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec("resnet", (9, 9, 9)), "cnn3d, slice-mean, mlp.*package.module:factory"),
        (ModelSpec("cnn3d", (7,)), "works on volumes"),
        (ModelSpec("mlp", (9, 9, 9)), "works on a table of features"),
        (ModelSpec("cnn3d", (9, 9, 9), {"depth": 3}), "takes the options width, dropout"),
        (ModelSpec("cnn3d", (9, 9, 9), {"width": 0}), "takes the options width, dropout"),
        (ModelSpec("mlp", (9,), {"width": -1}), "takes the options width"),
        (ModelSpec("cnn3d", (9, 9, 9), {"dropout": 2.0}), "takes the options width, dropout"),
        (ModelSpec("cnn3d", (3, 9, 9)), "does not fit a grid of 3x9x9"),
    ],
)
def test_what_cannot_be_built_is_an_error_that_says_what_to_do(spec: ModelSpec, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(spec)


@pytest.mark.parametrize("name", MODELS)
def test_a_spec_survives_json_values(name: str) -> None:
    spec = ModelSpec(name, (9,) if name == "mlp" else (9, 10, 11), {"width": 3})
    assert stated(ModelSpec, json.loads(json.dumps(spec.to_dict())), "run.json") == spec
    assert isinstance(build(spec), MODELS[name])


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put a module of factories into the current directory, and return its name."""
    (tmp_path / "users_own.py").write_text(
        "from torch import nn\n"
        "def good(): return nn.Linear(3, 1)\n"
        "def needs_argument(x): return nn.Linear(x, 1)\n"
        "def raises(): raise OSError('no weights here')\n"
        "def gives_text(): return 'model'\n"
        "def lazy(): return nn.LazyLinear(1)\n"
    )
    (tmp_path / "users_broken.py").write_text("def f(:\n")
    (tmp_path / "users_failing.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "users_own", raising=False)
    return "users_own"


def test_a_factory_is_found_in_the_current_directory(user_module: str) -> None:
    assert isinstance(build(ModelSpec(f"{user_module}:good", (3,)), code=f"{user_module}:good"), nn.Linear)


@pytest.mark.parametrize(
    ("name", "shape", "width"),
    [("mlp", (10**12,), 8), ("mlp", (10**10,), 1), ("mlp", (7,), 10**9), ("cnn3d", (7, 8, 9), 10**6)],
)
def test_a_network_of_any_size_is_refused_before_it_takes_memory(
    name: str, shape: tuple[int, ...], width: int
) -> None:
    with pytest.raises(ModelError, match="more than 67,108,864 parameters"):
        build(ModelSpec(name, shape, {"width": width}))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("users_own:needs_argument", "TypeError.*no arguments"),
        ("users_own:raises", "OSError: no weights here"),
        ("users_own:gives_text", "returned str.*torch.nn.Module"),
        ("users_own:absent", "cannot import"),
        ("users_own:lazy", "lazy layers.*run the network once"),
        ("users_own:", "cannot import"),
        (":good", "cannot import"),
        ("no_such_package.module:good", "cannot import.*package.module:function"),
        ("users_broken:f", "SyntaxError"),
        ("users_failing:f", "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_imported_or_called_says_why(user_module: str, name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        importable(name)
