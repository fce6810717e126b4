"""A count sketch: inner products on average over projections, and the same projection every time."""

from __future__ import annotations

import numpy as np
import torch

from memberscan.signals.passes.sketch import Sketch


def test_a_sketch_keeps_inner_products_on_average_over_projections():
    rng = np.random.default_rng(0)
    a, b = (1 + rng.normal(size=(2, 300))).astype(np.float32)  # of a sign, which the signs must undo
    b += a / 2
    # Another number of parameters is another projection; the coordinates added are zero.
    off = []
    for more in range(1, 301):
        sketch = Sketch(64, {"one": 200, "two": 100, "more": more})
        rows = torch.from_numpy(np.stack([a, b]))
        first, second = sketch(
            {"one": rows[:, :200], "two": rows[:, 200:], "more": torch.zeros(2, more)}
        ).numpy()
        off.append(first @ second - a @ b)
    spread = np.sqrt((a @ a * (b @ b) + (a @ b) ** 2) / 64)
    assert abs(np.mean(off)) < 4 * np.std(off) / np.sqrt(len(off))
    assert 0.8 < np.std(off) / spread < 1.2


def test_a_sketch_is_linear_and_does_not_change_from_call_to_call():
    sizes = {"one": 50, "two": 70}
    rows = torch.randn(4, 120, generator=torch.Generator().manual_seed(0))
    parts = {"one": rows[:, :50], "two": rows[:, 50:]}
    one, other = Sketch(32, sizes)(parts), Sketch(32, sizes)(parts)
    assert torch.equal(one, other)
    summed = Sketch(32, sizes)({k: v.sum(0, keepdim=True) for k, v in parts.items()})
    torch.testing.assert_close(summed[0], one.sum(0), rtol=1e-4, atol=1e-4)
