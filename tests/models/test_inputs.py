from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from memberscan.cohort import Cohort
from memberscan.errors import BadInputError, NotARegressorError
from memberscan.models import inputs
from memberscan.models.inputs import as_inputs, batches, full_precision, predict, resolve_device


def test_volumes_get_a_channel_and_tables_stay_as_they_are(volumes: Cohort, table: Cohort) -> None:
    ids = volumes.scans.index[:2].tolist()
    assert as_inputs(volumes, ids).shape == (2, 1, *volumes.shape)
    assert as_inputs(table, table.scans.index[:3].tolist()).shape == (3, *table.shape)


@pytest.mark.parametrize("ahead", [0, inputs.READ_AHEAD])
@pytest.mark.parametrize("size", [1, 4, 5, 100])
def test_batches_hold_every_scan_once_in_the_order_asked_for(
    volumes: Cohort, size: int, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "READ_AHEAD", ahead)
    ids = volumes.scans.index.tolist()[::-1][:11]
    order = np.random.default_rng(0).permutation(11)
    parts = list(batches(volumes, ids, size, order=order))
    assert [len(y) for _, y in parts[:-1]] == [size] * (len(parts) - 1)
    shuffled = [ids[place] for place in order]
    torch.testing.assert_close(torch.cat([x for x, _ in parts]), as_inputs(volumes, shuffled))
    expected = volumes.scans.loc[shuffled, "age"].to_numpy(np.float32)
    np.testing.assert_array_equal(torch.cat([y for _, y in parts]), expected)


@pytest.mark.parametrize("ahead", [0, inputs.READ_AHEAD])
def test_no_scans_give_no_batches(volumes: Cohort, ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "READ_AHEAD", ahead)
    assert list(batches(volumes, [], 4)) == []


def test_devices_go_by_name() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize("name", ["gpu", "", "meta"])
def test_an_unknown_device_is_an_error(name: str) -> None:
    with pytest.raises(BadInputError, match="choose auto, cpu or cuda"):
        resolve_device(name)


def test_cuda_where_there_is_none_is_an_error() -> None:
    with pytest.raises(BadInputError, match="choose cpu"):
        resolve_device("cuda")


def test_a_cuda_device_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(BadInputError, match="'cuda:1' is asked for, but torch sees 1"):
        resolve_device("cuda:1")


def switches() -> tuple[object, ...]:
    cudnn = torch.backends.cudnn
    rounds = cudnn.conv.fp32_precision if hasattr(cudnn, "conv") else cudnn.allow_tf32
    return cudnn.deterministic, cudnn.benchmark, rounds


@pytest.mark.parametrize("searches", [True, False])
def test_full_precision_ends_where_it_began(searches: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", searches)
    before = switches()

    @full_precision()
    def fail() -> None:
        assert switches() in ((True, False, "ieee"), (True, False, False))
        raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            fail()
        assert switches() == before


@pytest.mark.usefixtures("cuda")
def test_convolutions_on_cuda_round_as_single_precision_does() -> None:
    layer, x = nn.Conv3d(64, 64, 3, bias=False, device="cuda"), torch.randn(2, 64, 12, 12, 12, device="cuda")
    with torch.no_grad(), full_precision():
        exact = nn.functional.conv3d(x.double(), layer.weight.double())
        assert (layer(x) - exact).norm() < 1e-5 * exact.norm()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_classifier_is_refused_whatever_the_batch(count: int, classes: int) -> None:
    with pytest.raises(NotARegressorError, match=f"{count}, {classes}.*one number per scan"):
        predict(nn.Linear(6, classes), torch.zeros(count, 6))


def test_a_model_that_gives_a_tuple_or_one_number_for_all_is_refused() -> None:
    class Tuple(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input), input  # type: ignore[return-value]

    class Mean(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input).mean()

    for model in (Tuple(6, 1), Mean(6, 1)):
        with pytest.raises(NotARegressorError):
            predict(model, torch.zeros(3, 6))
