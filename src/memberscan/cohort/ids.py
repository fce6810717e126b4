"""Ids of people: which ids mean "missing", and which two ids are probably one person written in two ways."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import pandas as pd

from memberscan.cohort.cells import MISSING, is_missing

_PADDING = re.compile(r"(?<![0-9])0+(?=[0-9])")
_DECIMALS = re.compile(r"(?<=[0-9])\.0+(?=\n|\Z)")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_BETWEEN = re.compile("[-_ \t]+")


def is_nobody(ids: pd.Series) -> pd.Series:
    """Return where an id of a column of stripped ids means "missing", possibly after "sub-"."""
    return is_missing(ids) | ids.isin([f"sub-{code}" for code in MISSING if code])


def alike(ids: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of ids that differ only by case, padding zeros, ".0", blanks, dashes or invisible letters.

    Spreadsheets and programs turn one id into such variants: 007 becomes 7 or 7.0, and S1 becomes s1. If both
    ids are one person, that person would be counted twice, possibly as a member and as a non-member.

    Parameters
    ----------
    ids
        Distinct ids, stripped, without line breaks.
    """
    keys = folded(ids)
    first: dict[str, str] = {}
    pairs = []
    for key, name in zip(keys, ids, strict=True):
        other = first.setdefault(key, name)
        if other is not name:
            pairs.append((other, name))
    return pairs


def folded(ids: Sequence[str]) -> list[str]:
    """Return ids in lower case, without padding zeros, ".0" and invisible letters, and with one kind of dash.

    The substitutions run on the joined text: for a million ids, this is far faster than one at a time.
    """
    text = "\n".join(name.replace("\n", " ") for name in ids)
    if not text.isascii():
        text = _DASHES.sub("-", _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)))
    if any(between in text for between in ("_", " ", "\t", "--")):
        text = _BETWEEN.sub("-", text)
    return _DECIMALS.sub("", _PADDING.sub("", text.casefold())).split("\n") if ids else []


def same_person(pair: tuple[str, str]) -> str:
    """Return the message that two ids are probably one person."""
    return (
        f"{pair[0]!r} and {pair[1]!r} differ only by case, padding zeros, '.0', dashes or invisible letters "
        "(ids of two people must differ by more), and are probably one person"
    )
