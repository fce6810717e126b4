from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memberscan.errors import BadInputError, MemberscanError, OutputConflictError, TranscriptError
from memberscan.received import stated
from memberscan.runs import transcript as transcripts
from memberscan.runs.transcript import (
    MANIFEST,
    SEEN_BY_LEARNERS,
    Participation,
    Round,
    Transcript,
)

NAMES = ("site-2", "site-10")
SETTINGS = {"model": "mlp", "options": {"width": 5}, "rounds": 3}


def model(seed: int) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    weight = torch.randn(7, 8, 9, generator=draws)
    # A view whose memory is not in order, a scalar, and a counter.
    return {
        "conv.weight": weight.transpose(0, 2),
        "age_mean": torch.tensor(60.0 + seed),
        "steps": torch.tensor(seed),
    }


def begin(
    path: Path, learners: tuple[str, ...] = NAMES, secure: str = "none", **settings: object
) -> Transcript:
    return Transcript.begin(path, learners=learners, secure=secure, settings={**SETTINGS, **settings})


def took(samples: int = 9) -> Participation:
    return Participation(samples, 4, 81.5)


@pytest.fixture
def recorded(tmp_path: Path) -> Transcript:
    """Two rounds, of which one learner missed the second."""
    transcript = begin(tmp_path / "rounds").record(0, model(0))
    both = {name: model(k + 10) for k, name in enumerate(NAMES)}
    transcript = transcript.record(1, model(1), both, dict.fromkeys(NAMES, took()))
    return transcript.record(
        2, model(2), {"site-2": model(20)}, {"site-2": took(5)}, {"site-10": "went home"}
    )


def test_what_was_recorded_is_read(recorded: Transcript) -> None:
    again = Transcript.open(str(recorded.path))
    assert again == recorded
    assert again.begun
    assert again.learners == NAMES
    assert again.settings == SETTINGS
    assert [its.number for its in again.rounds] == [1, 2]
    assert again.rounds[1].took_part == {"site-2": Participation(5, 4, 81.5)}
    assert again.rounds[1].left_out == {"site-10": "went home"}
    for found, expected in (
        (again.global_model(0), model(0)),
        (again.global_model(2), model(2)),
        (again.learner_model(1, "site-10"), model(11)),
    ):
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())
        assert all(found[name].dtype == value.dtype for name, value in expected.items())


def test_the_files_are_those_that_are_promised(recorded: Transcript) -> None:
    files = sorted(p.relative_to(recorded.path).as_posix() for p in recorded.path.rglob("*") if p.is_file())
    assert files == [
        "0000/global.safetensors",
        "0000/round.json",
        "0001/global.safetensors",
        "0001/round.json",
        "0001/site-10.safetensors",
        "0001/site-2.safetensors",
        "0002/global.safetensors",
        "0002/round.json",
        "0002/site-2.safetensors",
        MANIFEST,
    ]


@given(
    st.integers(1, 9999),
    st.dictionaries(
        st.text("ab-9", min_size=1),
        st.builds(
            Participation,
            st.integers(0, 10**6),
            st.none() | st.integers(0, 10**6),
            st.none() | st.floats(0, allow_infinity=False),
        ),
    ),
    st.dictionaries(st.text("cd", min_size=1), st.text()),
)
def test_a_round_survives_json(
    number: int, took_part: dict[str, Participation], left_out: dict[str, str]
) -> None:
    its = Round(number, took_part, left_out, {"global": "00"})
    assert stated(Round, json.loads(json.dumps(its.to_dict())), "a file") == its


def test_the_fingerprint_is_of_all_that_was_recorded(recorded: Transcript, tmp_path: Path) -> None:
    assert recorded.fingerprint == Transcript.open(recorded.path).fingerprint
    others = []
    for k, (samples, first, last) in enumerate([(9, 0, 1), (8, 0, 1), (9, 5, 1), (9, 0, 5)]):
        other = begin(tmp_path / str(k)).record(0, model(first))
        others.append(other.record(1, model(last), {"site-2": model(3)}, {"site-2": took(samples)}))
    assert len({other.fingerprint for other in others}) == 4


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    written = []
    for name in "ab":
        begin(tmp_path / name).record(0, model(0)).record(
            1, model(1), {"site-2": model(2)}, {"site-2": took()}
        )
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        written.append([(p.relative_to(tmp_path / name), p.read_bytes()) for p in files])
    assert written[0] == written[1]


def test_a_learner_that_was_left_out_has_no_model(recorded: Transcript) -> None:
    with pytest.raises(
        TranscriptError, match=r"0002/site-10\.safetensors does not exist: site-10 was left out"
    ):
        recorded.learner_model(2, "site-10")
    with pytest.raises(TranscriptError, match="does not exist"):
        recorded.global_model(3)


def without(number: int) -> Callable[[Path], None]:
    return lambda path: shutil.rmtree(path / f"{number:04d}")


def rewrite(name: str, content: str) -> Callable[[Path], object]:
    return lambda path: (path / name).write_text(content)


def swap(path: Path) -> None:
    (path / "0001").rename(path / "x")
    (path / "0002").rename(path / "0001")
    (path / "x").rename(path / "0002")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without(0), r"lacks round 0 \(it has rounds 1 to 2\); restore"),
        (without(1), "lacks round 1"),
        (lambda path: (path / "0001").rename(path / "1"), "lacks round 1"),
        (lambda path: (path / "0001" / "round.json").unlink(), r"0001/round\.json is missing or damaged"),
        (lambda path: (path / "0000" / "round.json").unlink(), r"0000/round\.json is missing or damaged"),
        (rewrite("0002/round.json", "{"), r"round\.json is not valid JSON"),
        (rewrite("0002/round.json", "[]"), r"round\.json is damaged"),
        (rewrite("0002/round.json", '{"number": 2}'), r"round\.json is damaged \(took_part"),
        (swap, r"0001/round\.json belongs to round 2"),
        (lambda path: (path / "0003").write_text("a file"), r"0003/round\.json cannot be read \(Not a"),
        (lambda path: (path / MANIFEST).unlink(), r"is not a transcript \(it has no transcript\.json\)"),
        (rewrite(MANIFEST, "{"), "not valid JSON"),
        (rewrite(MANIFEST, "[]"), "has schema None"),
        (rewrite(MANIFEST, '{"schema": "memberscan.transcript/2"}'), r"memberscan\.transcript/2.*reads"),
        (rewrite(MANIFEST, '{"schema": "memberscan.transcript/1"}'), r"transcript\.json is damaged"),
    ],
)
def test_damage_is_named_and_nothing_is_touched(
    recorded: Transcript, damage: Callable[[Path], object], message: str
) -> None:
    damage(recorded.path)
    before = {p: p.read_bytes() for p in recorded.path.rglob("*") if p.is_file()}
    with pytest.raises(MemberscanError, match=message):
        Transcript.open(recorded.path)
    assert {p: p.read_bytes() for p in recorded.path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("name", ["global", "site-2"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x7f"),
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    ],
)
def test_truncated_and_changed_models_are_told(
    recorded: Transcript, name: str, damage: Callable[[Path], object]
) -> None:
    damage(recorded.path / "0001" / f"{name}.safetensors")
    with pytest.raises(TranscriptError, match=rf"{name}\.safetensors is truncated or has changed"):
        recorded._read(1, name)
    recorded.global_model(2)


def test_a_transcript_is_there_before_its_first_round(tmp_path: Path) -> None:
    transcript = begin(tmp_path / "deep" / "rounds")
    assert not transcript.begun
    assert transcript.rounds == ()
    transcript = transcript.record(0, model(0))
    assert transcript.begun
    assert transcript.rounds == ()


def test_other_directories_and_files_are_not_rounds(recorded: Transcript) -> None:
    for name in ("notes", ".0003.partial", "3", "٣٣٣٣"):
        (recorded.path / name).mkdir()
    assert Transcript.open(recorded.path) == recorded


def test_an_interrupted_one_goes_on_and_learners_may_join(recorded: Transcript) -> None:
    again = begin(recorded.path, ("site-2", "site-1"))
    assert again.learners == ("site-1", "site-2", "site-10")
    assert again.rounds == recorded.rounds
    manifest = (recorded.path / MANIFEST).read_bytes()
    assert begin(recorded.path, ("site-10",)) == again
    assert (recorded.path / MANIFEST).read_bytes() == manifest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounds": 2}, "rounds was 3 and is now 2"),
        ({"rounds": 4, "model": "cnn3d"}, "model was mlp and is now cnn3d; rounds was 3 and is now 4"),
        ({"model": "cnn3d", "extra": 1}, "extra was not set and is now 1; model was mlp and is now cnn3d"),
        ({"secure": "ckks"}, "secure was none and is now ckks"),
    ],
)
def test_other_settings_do_not_go_on(recorded: Transcript, changes: dict[str, object], message: str) -> None:
    with pytest.raises(OutputConflictError, match=message):
        begin(recorded.path, **changes)  # type: ignore[arg-type]
    assert Transcript.open(recorded.path) == recorded


def test_more_rounds_of_the_same_settings_go_on(recorded: Transcript) -> None:
    longer = begin(recorded.path, rounds=4)
    assert longer.rounds == recorded.rounds
    assert longer.settings["rounds"] == 4 and longer.fingerprint != recorded.fingerprint
    assert Transcript.open(recorded.path) == longer


def test_one_that_does_not_grow_refuses_more_rounds(recorded: Transcript) -> None:
    settings = {**SETTINGS, "rounds": 4}
    with pytest.raises(OutputConflictError, match="rounds"):
        Transcript.begin(recorded.path, learners=NAMES, secure="none", settings=settings, grows=False)
    assert Transcript.open(recorded.path) == recorded


def test_a_round_is_recorded_without_reading_the_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transcript = begin(tmp_path / "rounds", ("site-1", "site-2", "site-10")).record(0, model(0))
    read, load = [], transcripts.load_json

    def counted(path: Path) -> Any:
        read.append(path)
        return load(path)

    monkeypatch.setattr(transcripts, "load_json", counted)
    for number in range(1, 6):
        models = {"site-1": model(number), "site-2": model(number + 1)}
        transcript = transcript.record(
            number, model(number), models, dict.fromkeys(models, took()), {"site-10": "is not connected"}
        )
    assert read == []
    assert Transcript.open(transcript.path) == transcript


@pytest.mark.parametrize("number", [0, 1, 2, 4])
def test_a_round_out_of_order_is_refused(recorded: Transcript, number: int) -> None:
    with pytest.raises(TranscriptError, match=f"round {number} does not follow the 2 rounds"):
        recorded.record(number, model(3))
    assert Transcript.open(recorded.path) == recorded


@pytest.mark.parametrize("name", ["Global", "SITE-1", "all", "a/b"])
def test_a_transcript_never_begins_with_a_learner_that_it_could_not_be_opened_with(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadInputError, match="cannot be called"):
        begin(tmp_path / "rounds", ("site-1", name))
    assert not (tmp_path / "rounds").exists()


def test_a_round_that_cannot_be_written_leaves_the_others(
    recorded: Transcript, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(transcripts, "write_json", full)
        with pytest.raises(OSError, match="no space"):
            recorded.record(3, model(3))
    assert Transcript.open(recorded.path) == recorded
    longer = recorded.record(3, model(3))
    assert len(longer.rounds) == 3
    assert not list(recorded.path.glob(".*"))


def test_of_an_encrypted_one_only_the_last_ciphertexts_stay(tmp_path: Path) -> None:
    transcript = begin(tmp_path, secure="ckks")
    seen = tmp_path / SEEN_BY_LEARNERS
    seen.mkdir()
    for number in range(3):
        data = transcripts.save({k: v.contiguous() for k, v in model(number).items()})
        (seen / f"{number:04d}.safetensors").write_bytes(data)
        chunk = {"000000": torch.full((4,), number, dtype=torch.uint8)}
        digest = transcripts.fingerprint(data)
        transcript = transcript.record(number, chunk, seen_by_learners=digest)
    assert [p.name for p in sorted(tmp_path.glob("000?/*.safetensors"))] == ["ciphertext.safetensors"]
    assert transcript.ciphertext(2)["000000"].tolist() == [2] * 4
    with pytest.raises(TranscriptError, match=r"ciphertexts of round 1 .* are missing"):
        transcript.ciphertext(1)
    assert float(transcript.global_model(1)["age_mean"]) == 61
    (seen / "0001.safetensors").unlink()
    with pytest.raises(TranscriptError, match=r"seen-by-learners/0001\.safetensors does not exist"):
        transcript.global_model(1)
