from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from memberscan.errors import ModelError, UnsafeWeightsError
from memberscan.models import load_weights, read_weights


class Malicious:
    """Unpickling this creates a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch.__globals__["os"].system, (f"touch '{self.proof}'",)


def test_weights_survive_both_kinds_of_file(tmp_path: Path) -> None:
    state = nn.Linear(3, 2).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        read = read_weights(tmp_path / name)
        assert read.keys() == state.keys()
        assert all(torch.equal(read[k], state[k]) for k in state)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["torch", "legacy", "plain"])
@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(
    tmp_path: Path, how: str, name: str
) -> None:
    proof, path = tmp_path / "executed", tmp_path / name
    content = {"weight": torch.zeros(2), "extra": Malicious(proof)}
    if how == "plain":
        path.write_bytes(pickle.dumps(content["extra"]))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(UnsafeWeightsError, match=r"execute code.*safetensors\.torch\.save_file"):
        read_weights(path)
    assert not proof.exists()
    pickle.loads(pickle.dumps(Malicious(proof)))
    assert proof.exists(), "the pickle of this test is harmless, so the test shows nothing"


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 1), tmp_path / "model.pt")
    with pytest.raises(UnsafeWeightsError):
        read_weights(tmp_path / "model.pt")


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_damaged_safetensors_are_an_error_that_names_the_file(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"weight": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"w\.safetensors is not a readable"):
        read_weights(path)


def test_a_pickle_in_the_clothes_of_safetensors_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(pickle.dumps(Malicious(tmp_path / "executed")))
    with pytest.raises(ModelError):
        read_weights(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04half a zip", b"\x00" * 64, b"not weights at all\n"])
def test_other_files_are_errors_too(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.pt"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize(
    "content", [{"state_dict": {"weight": torch.zeros(1)}}, {}, [torch.zeros(1)], torch.zeros(1)]
)
def test_something_else_than_a_state_dict_says_so(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"state dict of tensors; save model.state_dict\(\)"):
        read_weights(tmp_path / "w.pt")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("state", "named"),
    [
        ({"weight": torch.zeros(1, 3)}, "bias"),
        (
            {"weight": torch.zeros(1, 3), "bias": torch.zeros(1), "module.extra": torch.zeros(1)},
            "module.extra",
        ),
        ({"weight": torch.zeros(1, 4), "bias": torch.zeros(1)}, "weight"),
    ],
)
def test_weights_that_do_not_fit_name_the_key_and_the_source(
    state: dict[str, torch.Tensor], named: str
) -> None:
    with pytest.raises(ModelError, match=rf"(?s)of my weights do not fit.*{named}"):
        load_weights(nn.Linear(3, 1), state, source="my weights")
