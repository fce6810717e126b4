"""Copies of a volume against their definition."""

from __future__ import annotations

import numpy as np
import torch

from memberscan.models.copies import copies


def test_copies_are_mirrored_or_moved_and_repeat_the_border():
    volume = torch.arange(24.0).reshape(1, 1, 2, 3, 4)
    mirrored, *moved = (copy.squeeze().numpy() for copy in copies(volume))
    whole = volume.squeeze().numpy()
    np.testing.assert_array_equal(mirrored, whole[::-1])
    forward, backward, up, down = moved
    np.testing.assert_array_equal(forward, whole[:, [0, 0, 1]])
    np.testing.assert_array_equal(backward, whole[:, [1, 2, 2]])
    np.testing.assert_array_equal(up, whole[:, :, [0, 0, 1, 2]])
    np.testing.assert_array_equal(down, whole[:, :, [1, 2, 3, 3]])
