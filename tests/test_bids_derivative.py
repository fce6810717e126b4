"""A derivative says what made it and from what, as BIDS asks, and never overwrites another's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from memberscan.bids_derivative import derivative, described
from memberscan.errors import BadInputError, OutputConflictError
from memberscan.version import __version__


def mark(out: Path, source: Path, *, not_bids: Sequence[str]) -> None:
    with derivative(out, source, not_bids=not_bids):
        pass


@pytest.fixture
def source(tmp_path: Path) -> Path:
    stated = {"Name": "Brains\x1b", "BIDSVersion": "1.8.0", "DatasetDOI": "doi:10.1/x"}
    (tmp_path / "bids").mkdir()
    (tmp_path / "bids" / "dataset_description.json").write_text(json.dumps(stated))
    return tmp_path / "bids"


def test_it_names_its_maker_and_its_source_but_no_path(source: Path, tmp_path: Path) -> None:
    mark(tmp_path / "out", source, not_bids=("b/", "a/"))
    written = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert written == {
        "Name": "memberscan of Brains\N{REPLACEMENT CHARACTER}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "memberscan", "Version": __version__}],
        "SourceDatasets": [{"DOI": "doi:10.1/x"}],
    }
    assert (tmp_path / "out" / ".bidsignore").read_text() == "a/\nb/\n"
    # A second time, as the group level after the participant level.
    mark(tmp_path / "out", source, not_bids=("b/", "a/"))


@pytest.mark.parametrize("stated", [None, [], {"Name": 3, "DatasetDOI": ["x"]}])
def test_a_source_without_a_name_has_none(tmp_path: Path, stated: object) -> None:
    if stated is not None:
        (tmp_path / "dataset_description.json").write_text(json.dumps(stated))
    found = described(tmp_path)
    assert found["Name"] == "memberscan of a dataset without a name" and "SourceDatasets" not in found


@pytest.mark.parametrize("made_by", [[{"Name": "fMRIPrep"}], None, "memberscan", [3]])
def test_the_derivative_of_something_else_is_left_alone(
    source: Path, tmp_path: Path, made_by: object
) -> None:
    (tmp_path / "out").mkdir()
    description = tmp_path / "out" / "dataset_description.json"
    description.write_text(json.dumps({"GeneratedBy": made_by}))
    before = description.read_bytes()
    with pytest.raises(OutputConflictError, match="is not of memberscan"):
        mark(tmp_path / "out", source, not_bids=())
    assert description.read_bytes() == before


def test_the_dataset_itself_is_never_written_to(source: Path) -> None:
    with pytest.raises(OutputConflictError, match="the dataset itself"):
        mark(source / ".." / "bids", source, not_bids=())
    (source / "dataset_description.json").write_text("{")
    with pytest.raises(BadInputError):
        described(source)


def test_work_that_fails_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError), derivative(tmp_path / "out", source, not_bids=()):
        raise BadInputError("no such file")
    assert not (tmp_path / "out").exists()
