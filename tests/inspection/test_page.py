"""The page says what was found, how it is proven and what was not read, and names nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError
from memberscan.inspection import InspectionContent, inspect
from memberscan.inspection.page import answer, render
from memberscan.inspection.writing import require_outside, write
from memberscan.received import load_json


@pytest.fixture
def release(people, tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text("A model of brain age.")
    people.head(20).to_csv(folder / "data" / f"{people['subject'][3]}.csv", index=False)
    (folder / "unknown.bin").write_bytes(bytes(range(256)))
    return folder


def test_the_result_names_nobody_unless_asked(
    release: Path, cohort: Cohort, people, members: Path, tmp_path: Path
):
    found = inspect([release], cohort=cohort, members=members)
    assert found.content.verdict == "leaks" and set(people["subject"][:20]) <= found.ids
    assert (
        answer(found.content) == "The release holds data of 20 of the 40 members: this is proven, in 2 files."
    )
    write(found.content, tmp_path / "out", None)
    texts = [path.read_text() for path in (tmp_path / "out").iterdir()]
    assert len(texts) == 2 and not any(subject in text for subject in people["subject"] for text in texts)
    assert "[id 1]" in texts[0] and "its format is not known" in render(found.content)
    again = InspectionContent.model_validate(load_json(tmp_path / "out" / "inspection.json"))
    assert render(again) == render(found.content)
    write(found.content, tmp_path / "out", found.ids)
    ids = tmp_path / "out" / "ids.tsv"
    assert people["subject"][0] in ids.read_text() and ids.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("paths", [["nothing-here"], ["."]])
def test_nothing_to_read_is_an_error(paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match="give the files or folders"):
        inspect(paths)


def test_the_output_must_not_be_within_the_release(tmp_path: Path):
    with pytest.raises(BadInputError, match="outside the release"):
        require_outside(tmp_path / "out", [tmp_path])


def test_links_are_not_followed(tmp_path: Path):
    (tmp_path / "secret.csv").write_text("participant_id,age\na,30\nb,40\nc,50\n")
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "link.csv").symlink_to(tmp_path / "secret.csv")
    (tmp_path / "release" / "folder").symlink_to(tmp_path, target_is_directory=True)
    content = inspect([tmp_path / "release"]).content
    assert content.verdict == "look" and all("not followed" in file.unread for file in content.files)
