from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from memberscan.models.layers import parameter_gradients

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def by_autograd(layer: nn.Module, inputs: Tensor, upstream: Tensor, count: int) -> Tensor:
    """The naive twin: the layer's own backward pass on the rows of each sample."""
    rows = []
    for x, g in zip(inputs.chunk(count), upstream.chunk(count), strict=True):
        gradients = torch.autograd.grad(layer(x), list(layer.parameters()), g)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    return torch.stack(rows)


def check(layer: nn.Module, inputs: Tensor, count: int) -> None:
    layer = layer.double()
    outputs = layer(inputs).detach()
    upstream = torch.randn(outputs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = parameter_gradients(layer, inputs, upstream, count)
    torch.testing.assert_close(found, by_autograd(layer, inputs, upstream, count))
    assert found.shape == (count, sum(p.numel() for p in layer.parameters()))


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@settings(deadline=None, max_examples=120)
@given(st.data())
def test_convolutions_of_any_kind_agree_with_autograd(data: st.DataObject) -> None:
    dimensions = data.draw(st.integers(1, 3))
    per_axis = lambda low, high: tuple(data.draw(st.integers(low, high)) for _ in range(dimensions))  # noqa: E731
    kernel, dilation, groups = per_axis(1, 3), per_axis(1, 2), data.draw(st.integers(1, 3))
    mode = data.draw(st.sampled_from(["zeros", "zeros", "circular", "replicate"]))
    named = data.draw(st.sampled_from([None, None, None, "same", "valid"]))
    layer = CONVOLUTIONS[dimensions](
        groups * data.draw(st.integers(1, 2)),
        groups * data.draw(st.integers(1, 2)),
        kernel,  # type: ignore[arg-type]
        stride=1 if named else per_axis(1, 3),  # type: ignore[arg-type]
        padding=named or per_axis(0, 2),  # type: ignore[arg-type]
        dilation=dilation,  # type: ignore[arg-type]
        groups=groups,
        bias=data.draw(st.booleans()),
        padding_mode=mode,
    )
    count, folded = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    check(layer, values(count * folded, layer.in_channels, *per_axis(5, 7)), count)


def test_large_inputs_agree_with_autograd() -> None:
    # Those of few values are done in groups, all at once.
    check(nn.Conv3d(2, 3, 3), values(2, 2, 103, 100, 3), 2)


@settings(deadline=None)
@given(
    st.integers(1, 3),
    st.lists(st.integers(1, 3), max_size=2),
    st.integers(1, 4),
    st.integers(1, 4),
    st.booleans(),
)
def test_linear_layers_on_any_number_of_axes_agree_with_autograd(
    count: int, extra: list[int], width: int, out: int, bias: bool
) -> None:
    check(nn.Linear(width, out, bias=bias), values(count, *extra, width), count)


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
def test_a_folded_batch_is_summed_within_each_sample(count: int, folded: int, width: int, out: int) -> None:
    check(nn.Linear(width, out), values(count * folded, width), count)


def test_layers_without_a_rule_of_their_own_agree_too() -> None:
    for layer in (
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4, affine=True),
        nn.BatchNorm2d(4).eval(),
        nn.PReLU(4),
    ):
        check(layer, values(6, 4, 7, 8), 3)
    check(nn.LayerNorm([4, 7]), values(3, 4, 7), 3)
    check(nn.ConvTranspose2d(4, 2, 3, stride=2), values(3, 4, 7, 8), 3)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_first_layers_of_3d_networks_agree_with_autograd(data: st.DataObject) -> None:
    per_axis = lambda low, high: tuple(data.draw(st.integers(low, high)) for _ in range(3))  # noqa: E731
    layer = nn.Conv3d(
        1,
        data.draw(st.integers(1, 3)),
        per_axis(1, 3),  # type: ignore[arg-type]
        padding=per_axis(0, 2),  # type: ignore[arg-type]
        bias=data.draw(st.booleans()),
    )
    count, folded = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    check(
        layer,
        values(count * folded, 1, *data.draw(st.sampled_from([(7, 8, 9), (3, 4, 5), (11, 3, 4)]))),
        count,
    )


def test_a_stride_and_padding_that_keep_the_shape_are_no_plain_product() -> None:
    layer = nn.Conv1d(1, 1, kernel_size=1, stride=2, padding=2, bias=False)
    check(layer, torch.arange(1.0, 6.0, dtype=torch.float64).reshape(1, 1, 5), 1)
