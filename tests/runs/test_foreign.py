from __future__ import annotations

import io
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from memberscan.errors import TranscriptError
from memberscan.runs.foreign import ForeignTranscript

STATE = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(2.0)}


def put(path: Path, *stems: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for stem in stems:
        save_file(STATE, path / f"{stem}.safetensors")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path / "t" / "round_0", "global")
    put(tmp_path / "t" / "round_1", "server", "b", "a")
    put(tmp_path / "t" / "round_2", "aggregate", "a", "site-10", "site-9")
    return tmp_path / "t"


def test_models_are_found_by_round_and_name(folder: Path) -> None:
    (folder / "logs").mkdir()
    (folder / ".ipynb-12").mkdir()
    (folder / "round_1" / "metrics.json").write_text("{}")
    found = ForeignTranscript.open(folder)
    assert found.learners == ("a", "b", "site-9", "site-10")
    assert [sorted(models) for models in found.rounds] == [
        ["global"],
        ["a", "b", "global"],
        ["a", "global", "site-10", "site-9"],
    ]
    assert found.rounds[2]["global"].name == "aggregate.safetensors"


@given(st.sampled_from(["{:04d}", "r{}", "round_{}", "Round {}", "t{:02d}"]), st.integers(1, 12))
def test_any_name_with_the_rounds_number_will_do(
    tmp_path_factory: pytest.TempPathFactory, form: str, rounds: int
) -> None:
    path = tmp_path_factory.mktemp("any")
    for number in range(rounds + 1):
        put(path / form.format(number), "global", *(["x"] if number else []))
    found = ForeignTranscript.open(path)
    assert [models["global"].parent.name for models in found.rounds] == [
        form.format(n) for n in range(rounds + 1)
    ]


def test_npz_and_safetensors_with_and_without_names_say_the_same(folder: Path) -> None:
    named = {key: value.numpy() for key, value in STATE.items()}
    np.savez(folder / "round_1" / "c.npz", **named)
    np.savez(folder / "round_2" / "c.npz", *named.values())
    found = ForeignTranscript.open(folder)
    for number, name in ((1, "a"), (1, "c"), (2, "c")):
        model = found.model(number, name, STATE)
        assert model.keys() == STATE.keys()
        assert all(torch.equal(model[key], STATE[key]) for key in STATE)


def test_the_digest_is_of_the_models_and_not_of_the_place(folder: Path) -> None:
    digest = ForeignTranscript.open(folder).fingerprint
    moved = folder.rename(folder.with_name("moved"))
    assert ForeignTranscript.open(moved).fingerprint == digest
    save_file({**STATE, "b": torch.tensor(3.0)}, moved / "round_1" / "b.safetensors")
    assert ForeignTranscript.open(moved).fingerprint != digest


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: (p / "round_1").rename(p / "round_3"), "lacks round 1"),
        (lambda p: (p / "round_0").rename(p / "first"), "no round 0.*0/global.safetensors"),
        (lambda p: put(p / "r01", "global"), "r01 and .*round_1 are both round 1"),
        (lambda p: put(p / "run 2 round 3", "global"), "several numbers"),
        (lambda p: put(p / "round_0", "a"), "a.safetensors is a learner's model"),
        (lambda p: (p / "round_2" / "aggregate.safetensors").unlink(), "round_2 has no global model"),
        (lambda p: put(p / "round_2", "server"), "both the model of global"),
        (lambda p: np.savez(p / "round_2" / "a.npz", 1.0), "both the model of a"),
        (lambda p: (p / "round_2" / "b.pt").write_bytes(b""), "b.pt cannot be read"),
        (lambda p: save_file(STATE, p / "round_2" / "b.pt"), "b.pt is a safetensors file.*rename it"),
        (lambda p: put(p / "round_2", "ciphertext"), "cannot be called 'ciphertext'"),
        (lambda p: put(p / "round_2", "Global"), r"Global\.safetensors: a learner cannot be called 'Global'"),
        (lambda p: put(p / "round_2", "site a"), "cannot be called 'site a'"),
        (lambda p: put(p / "round_2", "A"), "only by case; rename the file"),
    ],
)
def test_what_is_not_one_model_a_round_and_name_is_refused(
    folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder)
    with pytest.raises(TranscriptError, match=message):
        ForeignTranscript.open(folder)


def test_a_folder_without_rounds_is_no_transcript(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match="is not a transcript"):
        ForeignTranscript.open(tmp_path)
    put(tmp_path / "0", "global")
    with pytest.raises(TranscriptError, match="no round"):
        ForeignTranscript.open(tmp_path)


@pytest.mark.parametrize("kind", ["safetensors", "npz"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
def test_a_truncated_file_is_named(folder: Path, kind: str, kept: float) -> None:
    path = folder / "round_2" / f"z.{kind}"
    if kind == "npz":
        np.savez(path, **{key: value.numpy() for key, value in STATE.items()})
    else:
        save_file(STATE, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(TranscriptError, match=rf"z\.{kind} is truncated"):
        ForeignTranscript.open(folder).model(2, "z", STATE)


@pytest.mark.parametrize(
    "arrays", [[np.array([object()], dtype=object)], [np.array(["text"])] * 2, [np.zeros(1)] * 3]
)
def test_arrays_that_are_no_state_dict_are_refused(folder: Path, arrays: list[np.ndarray]) -> None:
    np.savez(folder / "round_2" / "z.npz", *arrays)
    with pytest.raises(TranscriptError, match=r"z\.npz"):
        ForeignTranscript.open(folder).model(2, "z", STATE)


def test_arrays_of_objects_are_called_that(folder: Path) -> None:
    np.savez(folder / "round_2" / "z.npz", w=np.array([object()], dtype=object), b=np.zeros(()))
    with pytest.raises(TranscriptError, match=r"array of object, not of numbers") as error:
        ForeignTranscript.open(folder).model(2, "z", STATE)
    assert "truncated" not in str(error.value)


@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_other_frameworks_spelling_of_names_and_counters_is_understood(folder: Path, kind: str) -> None:
    state = {"module.w": STATE["w"], "module.b": STATE["b"].reshape(1)}
    path = folder / "round_2" / f"z.{kind}"
    if kind == "npz":
        np.savez(path, **{key: value.numpy() for key, value in state.items()})
    else:
        save_file(state, path)
    model = ForeignTranscript.open(folder).model(2, "z", STATE)
    assert model.keys() == STATE.keys() and all(torch.equal(model[key], STATE[key]) for key in STATE)


def bomb(path: Path, size: int = 200 << 20) -> None:
    """Write an array of zeros that is a thousand times as large as its file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "<f4", "fortran_order": False, "shape": (size // 4,)}
        )
        for _ in range(size >> 20):
            stream.write(bytes(1 << 20))


def test_a_file_that_expands_to_more_than_a_model_is_refused_before_it_does(folder: Path) -> None:
    bomb(folder / "round_2" / "z.npz")
    assert (folder / "round_2" / "z.npz").stat().st_size < 300_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TranscriptError, match=r"z\.npz expands to .* another model"):
        ForeignTranscript.open(folder).model(2, "z", STATE)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_a_file_far_larger_than_a_model_is_refused(folder: Path) -> None:
    save_file({"w": torch.zeros(600_000), "b": STATE["b"]}, folder / "round_2" / "z.safetensors")
    with pytest.raises(TranscriptError, match=r"z\.safetensors has .* another model"):
        ForeignTranscript.open(folder).model(2, "z", STATE)


def valid_files() -> dict[str, bytes]:
    named = {key: value.numpy() for key, value in STATE.items()}
    plain, packed, unnamed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(plain, **named)
    np.savez_compressed(packed, **named)
    np.savez(unnamed, *named.values())
    files = {"plain.npz": plain, "packed.npz": packed, "unnamed.npz": unnamed}
    return {name: stream.getvalue() for name, stream in files.items()} | {"s.safetensors": save(STATE)}


VALID = valid_files()


@settings(max_examples=80, deadline=5000)
@given(
    name=st.sampled_from(sorted(VALID)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=9)), max_size=4),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_any_damage_ends_in_a_model_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    changes: list[tuple[float, bytes]],
    kept: float,
) -> None:
    data = bytearray(VALID[name])
    for place, patch in changes:
        start = int(place * len(data))
        data[start : start + len(patch)] = patch
    path = tmp_path_factory.mktemp("fuzz") / name
    path.write_bytes(bytes(data[: int(kept * len(data))]))
    found = ForeignTranscript(path.parent, ({"global": path},))
    try:
        model = found.model(0, "global", STATE)
    except TranscriptError as error:
        assert name in str(error)
    else:
        assert all(isinstance(value, torch.Tensor) for value in model.values())
