from __future__ import annotations

from pathlib import Path

import pytest

from memberscan.errors import ModelError, ReferencesError
from memberscan.user_code import named_function


def test_a_function_is_found_in_the_current_directory_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab_of_mine.py").write_text("def answer():\n    return 42\n")
    (tmp_path / "json.py").write_text("raise SystemError('this replaces a module')\n")
    monkeypatch.chdir(tmp_path)
    assert named_function("lab_of_mine:answer", "loader", ModelError)() == 42
    assert named_function("json:dumps", "loader", ModelError)([1]) == "[1]"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module_here:f", "cannot import the loader .*ModuleNotFoundError.*package.module:function"),
        ("json:no_such", "cannot import the loader 'json:no_such' .AttributeError"),
        ("json", "cannot import the loader 'json'"),
        ("", "cannot import the loader ''"),
        ("json:__name__", "the loader 'json:__name__' is not a function"),
    ],
)
def test_others_are_refused(name: str, message: str) -> None:
    with pytest.raises(ReferencesError, match=message):
        named_function(name, "loader", ReferencesError)
