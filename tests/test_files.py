from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan import files
from memberscan.errors import BadInputError, DiskFullError, OutputConflictError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def names(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir())


def test_a_file_is_written_whole_with_its_mode(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        files.write_text(tmp_path / "a b.txt", "é\n")
        files.write_bytes(tmp_path / "secret", b"x", mode=0o600)
    finally:
        os.umask(old)
    assert (tmp_path / "a b.txt").read_bytes() == "é\n".encode()
    assert (tmp_path / "a b.txt").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["a b.txt", "secret"]


@pytest.mark.parametrize("call", ["fsync", "open"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    def full(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "kept.txt"
    files.write_text(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(DiskFullError, match=r"kept\.txt.*run the same command again"):
            files.write_text(path, "new")
    assert path.read_text() == "old"
    files.write_text(path, "new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["kept.txt"]


def test_other_errors_of_the_system_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write_text(tmp_path / "no" / "such" / "folder", "")


def test_a_half_written_file_is_overwritten_and_discarded(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    (tmp_path / ".a.bin.partial").write_bytes(b"half of it and more")
    files.write_bytes(path, b"whole")
    assert path.read_bytes() == b"whole"
    (tmp_path / ".a.bin.partial").write_bytes(b"half")
    files.discard(path)
    files.discard(path)
    assert names(tmp_path) == []


@given(values)
def test_json_survives_and_is_the_same_for_the_same_value(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.mktemp("json") / "v.json"
    files.write_json(path, value)
    assert files.read_json(path) == value
    assert files.to_json(value) == files.to_json(json.loads(files.to_json(value)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_never_holds_what_json_has_not(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.to_json({"x": value})


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe{}"])
def test_json_that_is_none_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.json").write_bytes(content)
    with pytest.raises(BadInputError, match=r"v\.json is not valid JSON"):
        files.read_json(tmp_path / "v.json")


def test_tables_survive_with_missing_values_and_odd_ids(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"id": ["sub 1", "é/α", 'quo"te', "NA", "tab\tbed"], "x": [1.5, np.nan, 0.1, -3, 1e-300]}
    )
    files.write_table(tmp_path / "t.tsv", table)
    assert "n/a" in (tmp_path / "t.tsv").read_text()
    pd.testing.assert_frame_equal(files.read_table(tmp_path / "t.tsv"), table)


def test_fingerprints_tell_values_apart_and_not_the_order_of_keys() -> None:
    assert files.fingerprint({"a": 1, "b": [2]}) == files.fingerprint({"b": [2], "a": 1})
    others = [{"a": 1}, {"a": "1"}, [1, 2], [2, 1], "[2, 1]", b"[2, 1]x", None, {}]
    assert len({files.fingerprint(value) for value in others}) == len(others)


def test_the_first_call_claims_the_same_call_resumes_and_the_finished_one_is_known(tmp_path: Path) -> None:
    out, request = tmp_path / "a" / "out", {"command": "train", "epochs": 3, "shape": [1, 2]}
    assert not files.begin(out, request, done="done")
    assert not files.begin(out, dict(reversed(request.items())), done="done")
    (out / "done").touch()
    assert files.begin(out, request, done="done")


def test_another_configuration_is_refused_and_every_change_is_named(tmp_path: Path) -> None:
    files.begin(tmp_path / "out", {"epochs": 3, "seed": 0, "old": 1}, done="done")
    with pytest.raises(
        OutputConflictError, match=r"epochs \(was 3, now 4\), new \(was None, now 2\), old"
    ) as caught:
        files.begin(tmp_path / "out", {"epochs": 4, "seed": 0, "new": 2}, done="done")
    assert "seed" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_foreign_directories_and_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").touch()
    for path in (tmp_path, tmp_path / "thesis.docx"):
        with pytest.raises(OutputConflictError, match="not a memberscan output"):
            files.begin(path, {}, done="done")
    assert names(tmp_path) == ["thesis.docx"]


def test_a_directory_that_was_only_just_claimed_is_claimed_again(tmp_path: Path) -> None:
    (tmp_path / f".{files.REQUEST}.partial").write_text('{"comm')
    assert not files.begin(tmp_path, {"command": "train"}, done="done")
    assert names(tmp_path) == [files.REQUEST]


def test_a_disk_too_full_to_begin_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(DiskFullError):
        files.begin(tmp_path / "out", {}, done="done")
