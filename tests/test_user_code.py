from __future__ import annotations

from pathlib import Path

import pytest

from memberscan.errors import ModelError, ReferencesError
from memberscan.user_code import named_function, source_digest


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


def test_a_digest_follows_the_file_of_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "lab_digest.py"
    source.write_text("def load():\n    return 1\n")
    monkeypatch.chdir(tmp_path)
    function = named_function("lab_digest:load", "loader", ModelError)
    before = source_digest(function)
    assert before == source_digest(function)
    source.write_text("def load():\n    return 2\n")
    assert source_digest(function) != before
    assert source_digest(len) == source_digest(max)
