"""What audit.json says where members were chosen: how far sides overlap, and what would explain a leak."""

from __future__ import annotations

from typing import Literal

from memberscan.report.content.parts import Fraction, Part


class Overlap(Part):
    """How far members and non-members overlap in the covariates that tell them apart.

    Shares of each side, rounded to 5% or more.
    """

    members: Fraction
    """Members who have people alike among non-members: their stratum holds at least two of each side."""
    nonmembers: Fraction
    """Non-members who have people alike among members."""
    effective_members: Fraction
    """Members who would give as precise a comparison if each weighed the same."""
    effective_nonmembers: Fraction
    """Non-members who would give as precise a comparison if each weighed the same."""
    extent: Literal["good", "partial", "failed"]
    """By effective_members: good from 0.75, failed below 0.3. The verdict can be confounded only if it
    failed, or if too few people are alike to compare any."""


class HiddenDifference(Part):
    """How large a difference that nobody recorded would have to be to explain the finding without a leak.

    From the bound that the verdict rests on. It says nothing about whether there is such a difference.
    """

    two_kinds: Fraction
    """Least difference in the shares of members and of non-members who are of one of two kinds, such as two
    scanners, if the attack ranks all of one kind above all of the other."""
    any_kinds: Fraction
    """Least total variation distance, if there are many kinds and the attack ranks them perfectly."""
