from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import resource
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save, save_file
from torch import nn

from memberscan.errors import ModelError, UnsafeWeightsError
from memberscan.models import load_weights, read_weights
from memberscan.models.weights import fitted, writable


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
    "content", [{"epoch": 3}, {"model": {"net": {"w": torch.zeros(1)}}}, {}, [torch.zeros(1)], torch.zeros(1)]
)
def test_something_else_than_a_state_dict_says_so(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"state dict of tensors; save model.state_dict\(\)"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.pt", "w.bin", "w"])
def test_safetensors_are_read_whatever_their_name(tmp_path: Path, name: str) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / name)
    assert torch.equal(read_weights(tmp_path / name)["weight"], torch.ones(2))


def test_a_torch_file_named_safetensors_is_read_as_what_it_is(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "w.safetensors")
    assert torch.equal(read_weights(tmp_path / "w.safetensors")["weight"], torch.ones(2))


def write_numpy(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, weight=np.zeros(2))


def script(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(nn.Linear(2, 1)).save(path)


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (write_numpy, "a numpy archive"),
        (script, "a TorchScript archive"),
        (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "an HDF5 file"),
        (lambda p: p.write_bytes(gzip.compress(bytes(99))), "compressed with gzip"),
        (lambda p: zipfile.ZipFile(p, "w").writestr("a", "b"), "a zip file"),
        (lambda p: p.mkdir(), r"w\.pt"),
        (lambda p: os.mkfifo(p), "not a regular file"),
    ],
)
def test_files_of_other_kinds_are_called_what_they_are(
    tmp_path: Path, write: Callable[[Path], object], kind: str
) -> None:
    write(tmp_path / "w.pt")
    with pytest.raises(ModelError, match=kind) as error:
        read_weights(tmp_path / "w.pt")
    assert "execute" not in str(error.value)


def repack(path: Path, change: Callable[[zipfile.ZipInfo, bytes], bytes], **options: Any) -> None:
    """Write a zip file anew with other contents, or by another method."""
    with zipfile.ZipFile(path) as archive:
        content = [(entry, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(path, "w", **options) as archive:
        for entry, data in content:
            archive.writestr(entry.filename, change(entry, data))


def encrypt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := data.find(start, place + 1)) >= 0:
            data[place + offset] |= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: repack(p, lambda _, d: d, compression=zipfile.ZIP_DEFLATED), "expands to"),
        (lambda p: repack(p, lambda _, d: d, compression=zipfile.ZIP_LZMA), "method 14|expands to"),
        (encrypt, "encrypted"),
    ],
)
def test_archives_that_torch_never_writes_are_refused_before_they_expand(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    torch.save({"weight": torch.zeros(50_000)}, tmp_path / "w.pt")
    spoil(tmp_path / "w.pt")
    with pytest.raises(ModelError, match=message):
        read_weights(tmp_path / "w.pt")


class Allocates:
    """Unpickling this takes as many bytes as it says."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return bytearray, (self.size,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        {"weight": Allocates(1 << 30)},
        {"weight": torch.zeros(1).expand(1 << 28)},
        {"weight": torch.zeros(1 << 28, device="meta")},
    ],
)
def test_what_a_file_declares_takes_no_memory_that_it_does_not_hold(
    tmp_path: Path, content: dict[str, Any], legacy: bool
) -> None:
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    assert (tmp_path / "w.pt").stat().st_size < 1 << 16
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError):
        read_weights(tmp_path / "w.pt")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64])
@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_types_that_no_weight_has_are_named(tmp_path: Path, dtype: torch.dtype, kind: str) -> None:
    path, state = tmp_path / f"w.{kind}", {"weight": torch.zeros(3).to(dtype)}
    save_file(state, path) if kind == "safetensors" else torch.save(state, path)
    with pytest.raises(ModelError, match=r"weight is .*float32"):
        read_weights(path)


def valid_files() -> dict[str, bytes]:
    state = {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3)}
    zipped, legacy = io.BytesIO(), io.BytesIO()
    torch.save(state, zipped)
    torch.save(state, legacy, _use_new_zipfile_serialization=False)
    return {"w.pt": zipped.getvalue(), "legacy.pt": legacy.getvalue(), "w.safetensors": save(state)}


VALID = valid_files()


@settings(max_examples=60, deadline=5000)
@given(
    name=st.sampled_from(sorted(VALID)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=9)), max_size=4),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_any_damage_ends_in_a_state_dict_or_a_typed_error(
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
    try:
        state = read_weights(path)
    except ModelError as error:
        assert name in str(error)
    else:
        assert all(isinstance(value, torch.Tensor) for value in state.values())
        with contextlib.suppress(ModelError):
            load_weights(nn.Linear(3, 2), state, source="fuzz")


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


def nested() -> nn.Module:
    """Return a network with a batch norm, whose counter has no dimension."""
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Sequential(nn.Linear(2, 1)))


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "model.module."])
def test_a_prefix_of_all_names_is_seen_through(prefix: str) -> None:
    network = nested()
    state = {prefix + name: value + 1 for name, value in network.state_dict().items()}
    load_weights(network, state, source="x")
    assert torch.equal(network[0].weight, state[prefix + "0.weight"])
    wrapped = nn.DataParallel(nested())
    load_weights(wrapped, dict(network.state_dict()), source="x")
    assert torch.equal(wrapped.module[0].weight, network[0].weight)


def test_what_a_wrapper_keeps_beside_the_network_is_left_out_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = nested()
    state = {f"net.{name}": value + 1 for name, value in network.state_dict().items()}
    load_weights(network, {**state, "loss.weight": torch.ones(3), "best": torch.ones(())}, source="x")
    assert torch.equal(network[0].weight, state["net.0.weight"])
    assert "left out of the weights, since the network has none of it: best, loss.weight" in caplog.text


def test_two_networks_in_one_file_are_ambiguous() -> None:
    state = nested().state_dict()
    both = {f"{prefix}{name}": value for prefix in ("net.", "ema.") for name, value in state.items()}
    with pytest.raises(ModelError, match=r"more than once, under 'net\.', 'ema\.'.*save the one"):
        load_weights(nested(), both, source="x")


@pytest.mark.parametrize(
    "spoil",
    [lambda s: s.pop("module.0.bias"), lambda s: s.update({"module.other": s["module.0.bias"]})],
)
def test_a_prefix_of_some_names_is_not(spoil: Callable[[dict[str, torch.Tensor]], object]) -> None:
    state = {f"module.{name}": value for name, value in nested().state_dict().items()}
    spoil(state)
    with pytest.raises(ModelError, match="do not fit"):
        load_weights(nested(), state, source="x")


def test_a_counter_of_one_element_is_a_number_and_nothing_else_is_reshaped() -> None:
    network = nested()
    state = {
        name: value.reshape(1) if not value.ndim else value for name, value in network.state_dict().items()
    }
    state["1.num_batches_tracked"][0] = 7
    load_weights(network, state, source="x")
    assert network[1].num_batches_tracked == 7
    turned = {**network.state_dict(), "0.weight": torch.zeros(3, 2)}
    assert fitted(turned, network.state_dict())["0.weight"].shape == (3, 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_cast(dtype: torch.dtype) -> None:
    network = nested()
    state = {name: value.to(dtype) if value.ndim else value for name, value in network.state_dict().items()}
    load_weights(network, state, source="x")
    assert network[0].weight.dtype == torch.float32
    with pytest.raises(ModelError, match=r"as torch\.int8, as in a quantised model"):
        load_weights(network, {**state, "0.weight": torch.zeros(2, 3, dtype=torch.int8)}, source="x")


def test_a_state_that_is_no_tensor_is_named() -> None:
    class Extra(nn.Linear):
        def get_extra_state(self) -> dict[str, int]:
            return {"calls": 1}

        def set_extra_state(self, state: object) -> None:
            pass

    with pytest.raises(ModelError, match=r"something other than a tensor in its state .*_extra_state"):
        load_weights(Extra(3, 1), nn.Linear(3, 1).state_dict(), source="x")


def test_tied_weights_are_written_once_for_each_name() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    read = load(save(writable(network.state_dict())))
    assert read.keys() == network.state_dict().keys()
    assert all(torch.equal(read[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("as_saved", [dict, lambda s: {k: nn.Parameter(v, False) for k, v in s.items()}])
def test_tensors_of_every_make_are_read_from_files_of_torch(
    tmp_path: Path, as_saved: Callable[[dict[str, torch.Tensor]], object], legacy: bool
) -> None:
    whole, dtypes = torch.arange(12).reshape(3, 4), (torch.float64, torch.bfloat16, torch.int8, torch.bool)
    state = {str(dtype): (whole % 2).to(dtype) for dtype in dtypes}
    state |= {"turned": whole.T, "a part": whole[1:, ::2], "again": whole, "empty": torch.zeros(0, 3)}
    state["number"] = torch.tensor(3)
    torch.save(as_saved(state), tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    read = read_weights(tmp_path / "w.pt")
    assert read.keys() == state.keys()
    assert all(read[k].dtype == v.dtype and torch.equal(read[k], v) for k, v in state.items())


def test_weights_of_an_averaged_model_are_read() -> None:
    network = nn.Linear(3, 1)
    averaged = torch.optim.swa_utils.AveragedModel(nn.Linear(3, 1)).state_dict()
    load_weights(network, dict(averaged), source="w")
    assert torch.equal(network.weight, averaged["module.weight"])
