"""Given ids are found as whole words, and numbers only where chance does not explain them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.inspection.id_search import IdSearch


@pytest.mark.parametrize(
    ("ids", "text", "found"),
    [
        (["sub-0012"], "data/sub-0012/anat/sub-0012_T1w.nii.gz", {"sub-0012"}),
        (["sub-0012"], "sub-00123 xsub-0012", set()),
        (["IXI002-Guys-0828"], "features of IXI002-Guys-0828.", {"IXI002-Guys-0828"}),
        (["ds000001_sub-01"], "ds000001_sub-01_ses-2", {"ds000001_sub-01"}),
        (["NDARAA306NT2", "NDARAB055BPR"], "NDARAB055BPR;NDARZZ999ZZZ", {"NDARAB055BPR"}),
        (["002_S_0295"], "ADNI_002_S_0295_MR", {"002_S_0295"}),
        (["12345", "12346"], "12345 voxels, 12346 steps", set()),
        (["ab"], "ab", set()),
    ],
)
def test_words_in_text(ids: list[str], text: str, found: set[str]):
    assert set(IdSearch(ids).in_text(text)) == found


def test_a_bids_label_is_found_with_and_without_its_prefix():
    search = IdSearch(["sub-CC110033"])
    assert set(search.in_text("CC110033 and sub-CC110033")) == {"sub-CC110033"}
    assert set(IdSearch(["CC110033"]).in_text("sub-CC110033")) == {"CC110033"}


def test_numbers_count_only_if_many_cells_are_ids():
    ids = [str(50000 + k) for k in range(100)]
    search = IdSearch(ids)
    assert search.in_column(["50001", "50002", "50003"]) == {"50001", "50002", "50003"}
    assert search.in_column(["50001", "50002"]) == set()
    assert search.in_column(np.array([50001, 50002, 50003])) == {"50001", "50002", "50003"}
    assert search.in_column(np.array([50001.0, 50002.0, 50003.5, 7.0, 8.0])) == set()
    assert search.in_column(["50001", "50002", "50003", *(str(k) for k in range(1000))]) == set()


@given(st.sets(st.from_regex(r"[A-Z]{2,3}[0-9]{3,5}", fullmatch=True), min_size=1, max_size=80), st.randoms())
def test_a_naive_search_finds_the_same(ids: set[str], rng: random.Random):
    chosen = rng.sample(sorted(ids), k=max(1, len(ids) // 2))
    others = ["AB1x", "12", "ZZZZ99999", "x" + chosen[0], chosen[0] + "7"]
    words = chosen + others
    rng.shuffle(words)
    text = " ; ".join(words)
    assert set(IdSearch(ids).in_text(text)) == {word for word in words if word in ids}
