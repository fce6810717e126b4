"""A network that predicts anew each time, or no scan by itself, is refused in words."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from memberscan.errors import ModelError, NotARegressorError
from memberscan.models.trial import require_predicts

INPUTS = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))


class Odd(nn.Linear):
    """A layer whose answer depends on how it is asked."""

    def __init__(self, how: str, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(6, 1, dtype=dtype)
        self.how, self.asked = how, 0

    def forward(self, input: Tensor) -> Tensor:
        self.asked += 1
        years = super().forward(input)
        if self.how == "dropout":
            return nn.functional.dropout(years + 60)
        if self.how == "state":
            return years + self.asked
        if self.how == "in place":
            return super().forward(input.add_(1))
        if self.how == "dict":
            return {"age": years}  # type: ignore[return-value]
        if self.how == "tuple":
            return years, input  # type: ignore[return-value]
        return years.to(torch.bfloat16) if self.how == "half" else years


@pytest.mark.parametrize("how", ["dropout", "state"])
def test_a_network_that_predicts_anew_each_time_is_refused(how: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(ModelError, match=r"the model 'x' predicts \S+ for a scan, but \S+ for the same scan"):
        require_predicts(Odd(how).eval(), INPUTS, "the model 'x'")


@pytest.mark.parametrize("how", ["plain", "in place", "half"])
def test_one_that_predicts_the_same_passes_and_its_input_stays_as_it_was(how: str) -> None:
    inputs = INPUTS.clone()
    require_predicts(Odd(how).eval(), inputs, "the model 'x'")
    assert torch.equal(inputs, INPUTS)


@pytest.mark.parametrize("how", ["dict", "tuple"])
def test_one_that_returns_more_than_a_tensor_is_told_to_name_the_part(how: str) -> None:
    with pytest.raises(NotARegressorError, match=rf"returns a {how}.*name the part .*--output age") as error:
        require_predicts(Odd(how).eval(), INPUTS, "the model 'x'")
    assert "classifier" not in str(error.value)


def test_one_that_cannot_predict_a_scan_by_itself_is_refused() -> None:
    network = nn.Sequential(nn.BatchNorm1d(6, track_running_stats=False), nn.Linear(6, 1)).eval()
    with pytest.raises(ModelError, match=r"2 scans together but not on one alone.*running statistics"):
        require_predicts(network, INPUTS, "the model 'x'")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_named(dtype: torch.dtype) -> None:
    with pytest.raises(ModelError, match=rf"{dtype}.*return model\.float\(\)"):
        require_predicts(Odd("plain", dtype).eval(), INPUTS, "the model 'x'")
