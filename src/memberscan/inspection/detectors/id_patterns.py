"""How the ids of people look in known cohorts, and in the naming of BIDS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Pattern(NamedTuple):
    """The ids of one cohort."""

    cohort: str
    """Whose ids they are."""
    hint: str
    """Characters that all of them have; texts without them are not searched, which saves time."""
    pattern: re.Pattern[str]
    """The ids, with the id itself as the first group."""


def _pattern(cohort: str, hint: str, pattern: str) -> Pattern:
    return Pattern(cohort, hint, re.compile(rf"(?<![A-Za-z0-9#])(?:{pattern})(?![A-Za-z0-9])"))


# From the public documentation of each cohort. Ids that are only digits (HCP, ABIDE, UK Biobank, PPMI) look
# like any other number, and are found by the name of their column or as a cohort's ids.
PATTERNS = (
    # A label with a digit: "sub-optimal" and "sub-module" are English.
    _pattern("BIDS", "sub-", r"(sub-(?=[A-Za-z]*\d)[A-Za-z0-9]+)(?:_[a-z]+-[A-Za-z0-9]+)*(?:_[A-Za-z0-9]+)?"),
    _pattern("ADNI", "_S_", r"(\d{3}_S_\d{4})"),
    _pattern("IXI", "IXI", r"(IXI\d{3})(?:-(?:Guys|HH|IOP)-\d{4}\S*)?"),
    _pattern("OASIS", "OAS", r"(OAS[1234]_?\d{4,5})(?:_MR\d)?(?:_\w+)?"),
    _pattern("Cam-CAN", "CC", r"(CC\d{6})"),
    _pattern("NDA (ABCD, HBN, HCP-D)", "NDAR", r"(NDAR(?:_INV)?[A-Z0-9]{8,9})"),
    _pattern("NKI-Rockland", "A000", r"(A000\d{5})"),
    _pattern("HCP-Aging, HCP-Development", "HC", r"(HC[AD]\d{7})(?:_V\d_MR)?"),
    _pattern("NACC", "NACC", r"(NACC\d{6})"),
    _pattern("BLSA", "BLSA", r"(BLSA_\d{4})(?:_\d+)?"),
)  # fmt: skip


def ids_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield (cohort, id) for every id of a known form in a text."""
    for cohort, hint, pattern in PATTERNS:
        if hint in text:
            for match in pattern.finditer(text):
                yield cohort, match[1]
