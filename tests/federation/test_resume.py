from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memberscan.errors import TranscriptError
from memberscan.federation import client
from memberscan.runs import transcript as transcripts
from memberscan.runs.transcript import Transcript

from .consortium import Consortium, Killed, answering, contents, stop

PLACES: dict[str, tuple[object, str]] = {
    "while a learner trains": (client, "train_epoch"),
    "while a file is written": (transcripts, "write_bytes"),
    "while a round is described": (transcripts, "write_json"),
    "before a round is in place": (Path, "rename"),
    "after a round is in place": (Path, "unlink"),
}


def fail_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    calls = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Killed
        return function(*arguments, **options)

    return counted


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", [1, 3, 9])
def test_interrupted_anywhere_it_ends_in_the_same_bytes(
    three: Consortium, undisturbed: dict[str, bytes], tmp_path: Path, place: str, call: int
) -> None:
    owner, name = PLACES[place]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, fail_at(call, getattr(owner, name)))
        try:
            three.federate(tmp_path / "rounds")
        except Killed:
            pass
        else:
            assert call > 4, "it was not interrupted"
    done = contents(tmp_path / "rounds")
    three.federate(tmp_path / "rounds")
    assert contents(tmp_path / "rounds") == undisturbed
    whole = {k: v for k, v in done.items() if ".partial" not in k}
    assert whole.items() <= undisturbed.items()


def test_interrupted_in_every_round_it_ends_in_the_same_bytes(
    three: Consortium, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        with pytest.raises(Killed):
            three.federate(tmp_path, around=answering(stop, number=number, place=2))
        assert len(Transcript.open(tmp_path).rounds) == number - 1
    three.federate(tmp_path)
    assert contents(tmp_path) == undisturbed


def test_half_a_round_is_thrown_away(
    three: Consortium, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    three.federate(tmp_path)
    shutil.rmtree(tmp_path / "0003")
    half = tmp_path / ".0003.partial"
    half.mkdir()
    (half / "learner-9.safetensors").write_bytes(b"half")
    (half / ".global.safetensors.partial").write_bytes(b"half of a half")
    assert len(Transcript.open(tmp_path).rounds) == 2
    three.federate(tmp_path)
    assert contents(tmp_path) == undisturbed
    assert not half.exists()


def test_a_finished_federation_is_not_trained_again(
    three: Consortium, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.federate(tmp_path)
    monkeypatch.setattr(client, "train_epoch", fail_at(1, client.train_epoch))
    assert len(three.federate(tmp_path).rounds) == 3
    assert contents(tmp_path) == undisturbed


def test_it_does_not_go_on_from_a_damaged_model(three: Consortium, tmp_path: Path) -> None:
    three.federate(tmp_path)
    shutil.rmtree(tmp_path / "0003")
    last = tmp_path / "0002" / "global.safetensors"
    last.write_bytes(last.read_bytes()[:-1])
    kept = contents(tmp_path)
    with pytest.raises(TranscriptError, match=r"0002/global\.safetensors is truncated or has changed"):
        three.federate(tmp_path)
    assert contents(tmp_path) == kept
