"""What imported networks return becomes the outputs of a head, and gradients are those of its loss."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from memberscan.errors import MemberscanError, ModelError, NotARegressorError
from memberscan.models import ModelSpec, build
from memberscan.models.given_head import give_head, head_from
from memberscan.models.gradients import agrees_with_autograd, capture, capture_slowly, parameter_layers
from memberscan.models.heads import Bins, Gaussian, Quantiles, SquaredError, head_of
from memberscan.models.inputs import outputs_of, predict
from memberscan.models.output_part import choose_output

INPUTS = torch.randn(3, 1, 7, 8, 9, generator=torch.Generator().manual_seed(0))
AGES = torch.tensor([51.0, 62.5, 80.0])
LEVELS, SFCN = "quantiles:levels=0.05/0.5/0.95", "bins:first=42,width=1"


class Network(nn.Module):
    """A small network of volumes whose ``head`` is a layer, and which returns its outputs in some form."""

    def __init__(self, outputs: int, form: Callable[[Tensor], Any] = lambda outputs: outputs) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Conv3d(1, 3, 3)
        self.head = nn.Conv3d(3, outputs, 1)
        self.form = form

    def forward(self, volumes: Tensor) -> Any:
        return self.form(self.head(self.first(volumes).relu().mean((2, 3, 4), keepdim=True)))


def sfcn(outputs: Tensor) -> Tensor:
    return outputs.log_softmax(dim=1)


def with_positive_second(outputs: Tensor) -> Tensor:
    return torch.cat([outputs[:, :1] + 60, nn.functional.softplus(outputs[:, 1:]) + 0.1], dim=1)


FORMS = [
    ("gaussian", 2, lambda y: y),
    ("gaussian", 2, lambda y: y.flatten(1).double()),
    ("gaussian", 2, lambda y: (y[:, 0], y[:, 1])),
    ("gaussian", 2, lambda y: {"mean": y[:, :1], "log_variance": y[:, 1].flatten()}),
    ("gaussian:second=log-variance", 2, lambda y: [*y.split(1, dim=1)]),
    ("gaussian:second=variance", 2, with_positive_second),
    ("gaussian:second=sd", 2, with_positive_second),
    (LEVELS, 3, lambda y: y),
    ("bins:first=42,width=1", 40, sfcn),
    ("bins:first=42,width=1", 40, lambda y: [sfcn(y)]),
    ("bins: first=40, width=3, sd=1.5", 13, lambda y: y.movedim(1, -1)),
]


@pytest.mark.parametrize(("text", "count", "form"), FORMS)
def test_gradients_by_sample_are_those_of_autograd(text: str, count: int, form: Any) -> None:
    network = Network(count, form)
    names = list(network.state_dict())
    assert give_head(network, text) is network
    assert list(network.state_dict()) == names
    layers, head = parameter_layers(network), head_of(network)
    assert agrees_with_autograd(network, INPUTS, layers, ["first"])
    assert outputs_of(network, INPUTS).shape == (3, count)
    torch.testing.assert_close(predict(network, INPUTS), head.prediction(outputs_of(network, INPUTS)))
    fast, slow = (take(network, INPUTS, AGES, layers=layers) for take in (capture, capture_slowly))
    for path in layers:
        rows = []
        for place in range(3):
            network.zero_grad()
            outputs = outputs_of(network, INPUTS[place : place + 1])
            head.loss(outputs, AGES[place : place + 1]).sum().backward()
            rows.append(torch.cat([p.grad.flatten() for p in network.get_submodule(path).parameters()]))  # type: ignore[union-attr]
        expected = torch.stack(rows)
        scale = float(expected.abs().max())
        assert scale > 0
        for found in (fast, slow):
            torch.testing.assert_close(found.gradients[path] / scale, expected / scale, rtol=1e-3, atol=1e-4)


def read(text: str, output: Any) -> Tensor:
    return head_from(text).read(output, 3)


@pytest.mark.parametrize(
    ("second", "written"),
    [("log-variance", torch.log), ("variance", lambda variance: variance), ("sd", torch.sqrt)],
)
def test_each_form_of_the_variance_gives_the_likelihood_of_a_normal_law(second: str, written: Any) -> None:
    mean, variance = torch.tensor([50.0, 60.0, 70.0]), torch.tensor([4.0, 25.0, 0.5])
    given = head_from(f"gaussian:second={second}")
    outputs = given.read((mean, written(variance)), 3)
    expected = -stats.norm.logpdf(AGES, mean, variance.sqrt()) - np.log(2 * np.pi) / 2
    np.testing.assert_allclose(given.head.loss(outputs, AGES), expected, rtol=1e-5)
    torch.testing.assert_close(given.head.prediction(outputs), mean)
    torch.testing.assert_close(given.head.uncertainty(outputs), variance.sqrt())


def test_bins_of_a_year_are_those_of_sfcn() -> None:
    logits = torch.randn(3, 40, 1, 1, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    given = head_from(SFCN)
    outputs = given.read(logits, 3)
    torch.testing.assert_close(outputs, read(SFCN, logits.log_softmax(dim=1)))
    probability = logits.flatten(1).softmax(dim=1).numpy()
    centres = np.arange(42, 82) + 0.5
    np.testing.assert_allclose(given.head.prediction(outputs), probability @ centres)
    ages = AGES.double()[:2]  # whose soft labels do not reach the open ends
    label = np.stack([np.diff(stats.norm.cdf(np.arange(42, 83), age, 1)) for age in ages.tolist()])
    np.testing.assert_allclose(
        given.head.loss(outputs[:2], ages), stats.entropy(label.T, probability[:2].T), rtol=1e-6
    )


def test_the_soft_label_is_as_wide_as_it_is_said_to_be() -> None:
    narrow, wide = (head_from(f"{SFCN},sd={sd}").head for sd in (0.5, 3))
    assert isinstance(narrow, Bins) and isinstance(wide, Bins)
    assert (narrow.width, narrow.sd, wide.sd, head_from(SFCN).head.sd) == (1, 0.5, 3, 1)  # type: ignore[attr-defined]
    flat = torch.zeros(3, 40)
    assert (narrow.loss(flat, AGES) > wide.loss(flat, AGES)).all()


def test_a_probability_of_zero_keeps_loss_and_entropy_finite() -> None:
    given = head_from(SFCN)
    logits = torch.zeros(3, 40)
    logits[:, 5:] = -torch.inf
    outputs = given.read(logits, 3)
    for found in (given.head.loss(outputs, AGES), given.head.uncertainty(outputs)):
        assert found is not None and found.isfinite().all()


def test_the_part_that_the_head_reads_is_chosen_before() -> None:
    network = choose_output(Network(40, lambda y: (y.mean((1, 2, 3, 4)), {"age": sfcn(y)})), "1.age")
    give_head(network, SFCN)
    assert outputs_of(network, INPUTS).shape == (3, 40)
    assert ((predict(network, INPUTS) > 42) & (predict(network, INPUTS) < 82)).all()


def test_a_copy_of_a_network_keeps_the_head_and_another_network_has_its_own() -> None:
    network = give_head(Network(3), LEVELS)
    copied = copy.deepcopy(network)
    head = head_of(copied)
    assert isinstance(head, Quantiles) and head.levels == (0.05, 0.5, 0.95)
    torch.testing.assert_close(predict(copied, INPUTS), predict(network, INPUTS))
    assert isinstance(head_of(Network(3)), SquaredError)
    assert isinstance(head_of(give_head(Network(1), "")), SquaredError)


def test_a_network_is_not_read_twice() -> None:
    network = give_head(Network(2, with_positive_second), "gaussian:second=sd")
    with pytest.raises(ModelError, match="the same network was returned before; build a new one"):
        give_head(network, "gaussian:second=sd")


def test_one_number_may_be_read_by_squared_error() -> None:
    network = give_head(Network(1), "squared-error")
    torch.testing.assert_close(predict(network, INPUTS), predict(Network(1), INPUTS))


def test_torchscript_is_read_too() -> None:
    traced = torch.jit.trace(nn.Sequential(nn.Flatten(), nn.Linear(504, 2)), INPUTS)
    assert isinstance(head_of(give_head(traced, "gaussian")), Gaussian)  # type: ignore[arg-type]
    assert outputs_of(traced, INPUTS).shape == (3, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sofmax", "head 'sofmax' is unknown; choose squared-error or gaussian"),
        (":first=42", "head '' is unknown"),
        ("gaussian:third=sd", "'third' is not an option of gaussian; its options are second"),
        ("gaussian:sd", "'sd' is not an option of gaussian"),
        ("gaussian:second=precision", "second is 'precision'; choose log-variance or variance or sd"),
        ("gaussian:second=sd,second=sd", "'second' is not an option.*each once"),
        ("squared-error:width=1", "'width' is not an option of squared-error; it takes none"),
        ("quantiles", "lacks levels; write it as .*quantiles:levels=0.05/0.5/0.95"),
        ("quantiles:levels=0.05/0.95", "0.05/0.95: give the level.*with 0.5 among them"),
        ("quantiles:levels=0.95/0.5/0.05", "ascending"),
        ("quantiles:levels=0/0.5/1", "between 0 and 1"),
        ("quantiles:levels=5%/50%", "levels is '5%/50%'; write it as"),
        ("quantiles:levels=nan/0.5", "levels=nan/0.5"),
        ("bins", "lacks first and width"),
        ("bins:first=42", "lacks width"),
        ("bins:first=42,width=0", "first=42,width=0,sd=0: give the lower edge"),
        ("bins:first=42,width=-1", "above 0"),
        ("bins:first=42,width=1,sd=0", "above 0"),
        ("bins:first=nan,width=1", "give the lower edge"),
        ("bins:first=42,width=inf", "above 0"),
        ("bins:first=42,width=year", "width is 'year'"),
        ("bins:first=42,width=1,count=40", "'count' is not an option of bins; its options are first"),
    ],
)
def test_what_is_wrong_with_a_head_is_said(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        head_from(text)
    assert text in str(error.value) or "unknown" in message


TWO = torch.ones(3, 2)


@pytest.mark.parametrize(
    ("text", "output", "error", "message"),
    [
        ("gaussian", torch.ones(3), ModelError, "reads 2 numbers for each scan, but the network gives 1;"),
        ("gaussian", torch.ones(3, 40), ModelError, "gives 40"),
        (LEVELS, TWO, ModelError, "--head quantiles reads 3 numbers"),
        (SFCN, torch.ones(3, 1), ModelError, "reads two or more numbers"),
        (SFCN, torch.full((3, 40, 1, 1, 1), 1 / 40), ModelError, "gives probabilities.*their logarithm"),
        ("gaussian:second=variance", TWO * 0, ModelError, "gives 0 as the variance of a scan.*positive"),
        ("gaussian:second=sd", -TWO, ModelError, "gives -1 as the sd of a scan"),
        ("gaussian:second=sd", TWO * torch.nan, ModelError, "gives nan as the sd"),
        ("gaussian", torch.ones(3, 2, 7, 8, 9), NotARegressorError, r"a tensor of shape \(3, 2, 7, 8, 9\)"),
        ("gaussian", torch.ones(2, 3), NotARegressorError, r"shape \(2, 3\) for 3 scans"),
        ("gaussian", torch.tensor(1.0), NotARegressorError, r"shape \(\)"),
        ("gaussian", TWO.to(torch.complex64), NotARegressorError, "a tensor"),
        ("gaussian", (TWO, TWO), NotARegressorError, r"a tuple of 2 parts.*\(--output\)"),
        ("gaussian", (TWO[:, 0], None), NotARegressorError, "a tuple of 2 parts"),
        ("gaussian", {"age": TWO, "site": "a"}, NotARegressorError, "the keys age, site"),
        ("gaussian", (), NotARegressorError, "a tuple of 0 parts"),
        ("gaussian", None, NotARegressorError, "a NoneType"),
    ],
)
def test_what_does_not_fit_the_head_is_refused(
    text: str, output: Any, error: type[MemberscanError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read(text, output)


def test_whole_numbers_and_half_precision_are_read_in_single() -> None:
    for kind in (torch.int64, torch.float16, torch.bfloat16):
        assert read("gaussian", TWO.to(kind)).dtype is torch.float32
    assert read("gaussian", (TWO[:, 0].double(), TWO[:, 1])).dtype is torch.float64


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec("mlp", (7,), head="gaussian"), "model 'mlp' takes its head as an option: head=gaussian"),
        (ModelSpec(f"{__name__}:one", (7,), trained_here=True, head="gaussian"), "leave out --head gaussian"),
    ],
)
def test_networks_that_have_a_head_of_their_own_get_no_other(spec: ModelSpec, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(spec, code=spec.code)


def one() -> nn.Module:
    return nn.Linear(7, 1)
