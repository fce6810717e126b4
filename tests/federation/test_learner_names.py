"""Names of learners: whose a name is, and what becomes of those who take another's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flwr.app import Context

from memberscan.errors import FederationError
from memberscan.federation.client import client_app
from memberscan.federation.flower_private import task_identity
from memberscan.federation.local_grid import RUN_ID, SERVER, LocalGrid
from memberscan.federation.server import coordinate
from memberscan.federation.site import Site
from memberscan.runs.transcript import Transcript

from .consortium import Consortium, Killed, answering, settings, stop


def test_a_name_belongs_to_the_node_that_first_took_part_under_it(three: Consortium, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        three.federate(tmp_path, around=answering(stop))
    speaker = ["learner-1", "learner-3", "learner-2"]
    with pytest.raises(FederationError, match="calls itself 'learner-3', a name that belongs to node 4"):
        three.federate(tmp_path, names=speaker)

    class Gone(LocalGrid):
        def get_node_ids(self) -> list[int]:
            return [2, 3, 5]

    four = ["learner-1", "learner-2", "learner-3", "learner-3"]
    transcript = federate_four(three, tmp_path, four, Gone)
    for its in transcript.rounds[1:]:
        assert list(its.took_part) == ["learner-1", "learner-2"]
        assert its.left_out["learner-3"] == "is not connected"
        assert "calls itself 'learner-3'" in its.left_out["node-5"]


def federate_four(
    three: Consortium, path: Path, names: list[str], grid: type[LocalGrid] = LocalGrid
) -> Transcript:
    """Coordinate a federation that a fourth node has joined, with the people of the third learner."""

    def locate(context: Context) -> Site:
        place = int(context.node_config["partition-id"])
        people = three.roles.members_of(three.roles.learners[min(place, 2)])
        scans = three.cohort.scans.index[three.cohort.scans["subject_id"].isin(people)]
        return Site(names[place], three.cohort, tuple(scans))

    post = grid(client_app(locate, confide=True), 4, settings().training.seed)
    with task_identity(RUN_ID, SERVER):
        return coordinate(post, settings(), path, expected=len(list(post.get_node_ids())))


def test_the_owner_of_a_name_stays_when_another_node_takes_it(three: Consortium, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        three.federate(tmp_path, around=answering(stop))
    transcript = federate_four(three, tmp_path, ["learner-1", "learner-2", "learner-3", "LEARNER-3"])
    for its in transcript.rounds[1:]:
        assert list(its.took_part) == ["learner-1", "learner-2", "learner-3"]
        assert "calls itself 'LEARNER-3'" in its.left_out["node-5"]


def test_a_name_that_its_record_is_deleted_of_can_be_taken_anew(three: Consortium, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        three.federate(tmp_path, around=answering(stop))
    manifest = tmp_path / "transcript.json"
    record = json.loads(manifest.read_text())
    assert record["nodes"] == {"learner-1": "2", "learner-2": "3", "learner-3": "4"}
    del record["nodes"]["learner-2"], record["nodes"]["learner-3"]
    manifest.write_text(json.dumps(record))
    transcript = three.federate(tmp_path, names=["learner-1", "learner-3", "learner-2"])
    assert not transcript.rounds[1].left_out
    assert dict(transcript.nodes) == {"learner-1": "2", "learner-3": "3", "learner-2": "4"}


def test_a_name_that_is_nobodys_yet_is_denied_to_all_who_use_it(three: Consortium, tmp_path: Path) -> None:
    transcript = federate_four(three, tmp_path, ["learner-1", "a", "learner-3", "a"])
    for its in transcript.rounds:
        assert list(its.took_part) == ["learner-1", "learner-3"]
        assert "two nodes call themselves 'a' (3, 5)" in its.left_out["a"]
    assert transcript.learners == ("learner-1", "learner-3")


def test_too_few_are_left_when_two_share_a_name_and_it_says_so(three: Consortium, tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="two nodes call themselves 'a'"):
        three.federate(tmp_path / "rounds", names=["a", "b", "a"])
    assert not (tmp_path / "rounds").exists()
