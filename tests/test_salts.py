"""A digest with a secret key confirms nobody's guess, and the key is the owner's alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from memberscan import salts
from memberscan.errors import StaleError


def test_a_salt_is_made_once_for_its_owner_alone(tmp_path: Path):
    salt = salts.get_or_create(tmp_path / "salt")
    assert salts.get_or_create(tmp_path / "salt") == salts.read_salt(tmp_path / "salt") == salt
    assert stat.S_IMODE((tmp_path / "salt").stat().st_mode) == 0o600
    assert salts.get_or_create(tmp_path / "other") != salt


def test_equal_things_have_equal_digests_under_one_salt_only(tmp_path: Path):
    one, other = (salts.get_or_create(tmp_path / name) for name in ("one", "other"))
    assert salts.keyed(one, "x") == salts.keyed(one, "x") != salts.keyed(one, "y")
    assert salts.keyed(one, "x") != salts.keyed(other, "x")


@pytest.mark.parametrize("spoilt", ["", "00", "zz" * 32, "00" * 33, "é"])
def test_a_damaged_or_missing_salt_is_named(spoilt: str, tmp_path: Path):
    with pytest.raises(StaleError, match="salt is missing; restore it"):
        salts.read_salt(tmp_path / "salt")
    (tmp_path / "salt").write_text(spoilt)
    with pytest.raises(StaleError, match="is not a salt"):
        salts.read_salt(tmp_path / "salt")


def test_a_pipe_or_a_folder_in_its_place_is_refused_and_does_not_wait(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(StaleError, match="is not a salt"):
            salts.read_salt(path)
