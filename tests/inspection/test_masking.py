"""No id reaches a report by the name of a file, a key, a column or an error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan.inspection import inspect
from memberscan.inspection.cleaning.stripping import strip
from memberscan.inspection.id_search import IdSearch
from memberscan.inspection.masking import Mask
from memberscan.inspection.reading import Task
from tests.inspection.looking import look

NUMBERS = [str(100307 + 91 * k) for k in range(12)]


def test_the_same_id_has_the_same_number():
    mask = Mask(IdSearch(["sub-1", "sub-CC110033", "50001", "17"]))
    assert mask("sub-1 of layer1 and sub-1_T1w") == "[id 1] of layer1 and [id 1]_T1w"
    assert mask("CC110033, sub-CC110033") == "[id 2], [id 2]"
    assert mask("of 50001 people") == "of [id 3] people"
    assert mask("17 people") == "17 people"
    assert mask.name("rows.17.weight[17]") == "rows.[id 4].weight[[id 4]]"
    assert mask.ids == {"sub-1", "sub-CC110033", "50001", "17"}


def test_found_ids_and_long_numbers_are_hidden_without_a_cohort():
    mask = Mask(None, {"a17", "Jane Doe", "patient9x"})
    assert mask.name("vectors.a17.w") == "vectors.[id 1].w"
    assert mask.name("scans/Jane Doe/T1.nii") == "scans/[id 2]/T1.nii"
    assert mask("fitted patient9x again") == "fitted [id 3] again"
    assert mask.name("data/100307/T1.nii!100307.npy") == "data/[id 4]/T1.nii![id 4].npy"
    assert mask.name("runs/checkpoint_10000.pt") == "runs/checkpoint_10000.pt"
    assert mask.ids == {"a17", "Jane Doe", "patient9x"}


def test_no_name_of_a_file_key_or_column_reaches_a_report(tmp_path: Path):
    release = tmp_path / "release"
    release.mkdir()
    frame = pd.DataFrame({"participant_id": NUMBERS, **{each: range(12) for each in NUMBERS}})
    frame.to_csv(release / f"{NUMBERS[3]}.csv", index=False)
    np.savez(release / "vectors.npz", **{f"{each}": np.ones((3, 2)) for each in NUMBERS})
    (release / "train_sub-0001.json").write_text(json.dumps({"embeddings": {NUMBERS[0]: [[1.0] * 9] * 20}}))
    inspected = inspect([release])
    done = strip(inspected, tmp_path / "copy")
    said = json.dumps(inspected.content.dump()) + json.dumps([each.model_dump() for each in done])
    assert inspected.content.verdict == "leaks" and {each.action for each in done} >= {"left out"}
    assert [each for each in [*NUMBERS, "sub-0001"] if each in said] == []


def test_errors_do_not_quote_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def read(*_: object) -> object:
        raise ValueError("could not convert string to float: 'Jane Doe'\nin line: Jane Doe, 34")
        yield

    monkeypatch.setattr("memberscan.inspection.readers.text.Text.read", read)
    (tmp_path / "x.txt").write_text("Jane Doe")
    (file,) = Task(tmp_path / "x.txt", "x.txt", 8).carry_out(None, tmp_path).files
    assert "could not convert" in file.unread and "Jane" not in file.unread


def test_columns_are_named_only_if_they_are_words_of_the_vocabulary():
    (table,) = look({"subject": ["a17", "b18", "c19"], "Jane Doe": [1, 2, 3]})
    assert "1 other column" in table.what and "Jane" not in table.what
