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

from memberscan import files, received
from memberscan.errors import BadInputError, DiskFullError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 2**63, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
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
    # The umask is respected: nothing is more readable than the owner asked.
    assert (tmp_path / "a b.txt").stat().st_mode & 0o777 == 0o600
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


@given(values)
def test_json_survives_and_is_the_same_for_the_same_value(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.mktemp("json") / "v.json"
    files.write_json(path, value)
    assert received.load_json(path) == value
    assert files.to_json(value) == files.to_json(json.loads(files.to_json(value)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_never_holds_what_json_has_not(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.to_json({"x": value})


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe{}"])
def test_json_that_is_none_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.json").write_bytes(content)
    with pytest.raises(BadInputError, match=r"v\.json is not valid JSON"):
        received.load_json(tmp_path / "v.json")


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


def test_temporary_names_cannot_be_foreseen_and_links_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kept")
    out = tmp_path / "out"
    out.mkdir()
    (out / "page.html").symlink_to(secret)
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "guessed")
    (out / ".page.html.guessed.partial").symlink_to(secret)
    with pytest.raises(FileExistsError):
        files.write_text(out / "page.html", "new")
    monkeypatch.undo()
    files.write_text(out / "page.html", "new")
    assert secret.read_text() == "kept"
    assert not (out / "page.html").is_symlink()
    with pytest.raises(OSError, match="symbolic link"):
        (out / "log").symlink_to(secret)
        files.append_line(out / "log", "line")
    assert secret.read_text() == "kept"


def test_a_file_is_never_made_more_readable_than_it_was(tmp_path: Path) -> None:
    files.write_text(tmp_path / "page", "a", mode=0o600)
    files.write_text(tmp_path / "page", "b")
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_never_replaces_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def none(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", none)
    files.write_text(tmp_path / "roles", "first", mode=files.OWNER_ONLY, new=True)
    with pytest.raises(FileExistsError):
        files.write_text(tmp_path / "roles", "second", new=True)
    assert (tmp_path / "roles").read_text() == "first"
    assert (tmp_path / "roles").stat().st_mode & 0o777 == files.OWNER_ONLY
    assert names(tmp_path) == ["roles"]


def test_lines_are_appended_whole(tmp_path: Path) -> None:
    files.append_line(tmp_path / "log", "é")
    files.append_line(tmp_path / "log", "b", mode=0o600)
    assert (tmp_path / "log").read_text() == "é\nb\n"


# Cells that a spreadsheet would take for formulas


def test_no_cell_is_a_formula_and_the_table_survives(tmp_path: Path) -> None:
    nasty = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "'=1", "''", "-3", "+4.5", "=", None]
    table = pd.DataFrame({"=id": nasty, "x": np.arange(len(nasty)) - 4.5})
    files.write_table(tmp_path / "t.tsv", table)
    for line in (tmp_path / "t.tsv").read_text().splitlines():
        for written in line.split("\t"):
            assert not written.startswith(("=", "+c", "-2+", "@"))
    pd.testing.assert_frame_equal(files.read_table(tmp_path / "t.tsv", dtype={"=id": str}), table)


@pytest.mark.parametrize("text", ["id\tx\t1\na\t2.5\tn/a\n=b\tn/a\t3\n", "a\n", "a\ta\n1\t2\n", "x\n'=1\n"])
def test_a_table_is_read_as_if_marks_were_looked_for_in_each_cell(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.tsv").write_text(text)
    raw = pd.read_csv(tmp_path / "t.tsv", sep="\t", na_values=["n/a"], keep_default_na=False)
    pd.testing.assert_frame_equal(files.read_table(tmp_path / "t.tsv"), files.without_marks(raw))


def test_a_column_of_formulas_alone_is_written_too(tmp_path: Path) -> None:
    """Pandas 3.0 takes a list for a whole column where it is as long as one."""
    table = pd.DataFrame({"id": ["=1", "-b"]})
    files.write_table(tmp_path / "t.tsv", table)
    assert (tmp_path / "t.tsv").read_text() == "id\n'=1\n'-b\n"
    pd.testing.assert_frame_equal(files.read_table(tmp_path / "t.tsv"), table)


@pytest.mark.parametrize("content", [b"\xff\xfe\xff", b'a\tb\n1\t2\t3\n"', b""])
def test_a_table_that_is_none_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises(BadInputError, match=r"t\.tsv is not a readable table"):
        files.read_table(tmp_path / "t.tsv")


def test_a_table_of_a_million_columns_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a" + "\t1" * 1_000_000 + "\n")
    with pytest.raises(BadInputError, match="1,000,001 columns, but at most 20,000 are read"):
        files.read_table(tmp_path / "t.tsv")
