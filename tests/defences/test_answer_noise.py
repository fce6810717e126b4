"""answer-noise adds noise that depends on the input and a secret alone."""

from __future__ import annotations

import hashlib
import hmac
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.defences import defence_from
from memberscan.defences.answer_noise import laplace, uniform_of
from memberscan.errors import BadInputError

from .lab import answers

LAWS = {"gaussian": stats.norm(), "laplace": stats.laplace(scale=1 / math.sqrt(2))}
every_law = pytest.mark.parametrize("law", LAWS)


def slowly(value: float, scan: np.ndarray, secret: bytes, scale: float, law: str) -> float:
    """Return one answer, by the formula of the page."""
    said = hmac.new(secret, bytes(4) + hashlib.sha256(scan.astype("<f4").tobytes()).digest(), "sha256")
    u = (int.from_bytes(said.digest()[:8], "big") // 2**12 + 0.5) / 2**52
    if law == "gaussian":
        return value + scale * NormalDist().inv_cdf(u)
    return value + scale / math.sqrt(2) * (math.log(2 * u) if u < 0.5 else -math.log(2 * (1 - u)))


@every_law
@given(seed=st.integers(0, 1000), secret=st.binary(max_size=80), scale=st.floats(0.01, 100))
def test_the_noise_is_that_of_the_formula(law: str, seed: int, secret: bytes, scale: float) -> None:
    rng = np.random.default_rng(seed)
    values, scans = rng.normal(60, 10, 5), rng.normal(size=(5, 3, 2))
    defence = defence_from(f"answer-noise:scale={scale},law={law}")
    expected = [slowly(v, x, secret, scale, law) for v, x in zip(values, scans, strict=True)]
    np.testing.assert_allclose(defence.answered(answers(values, scans, secret)), expected, rtol=1e-9)


@every_law
def test_the_noise_has_the_law_and_its_scale(law: str) -> None:
    scans = np.random.default_rng(0).normal(size=(20_000, 3))
    noise = defence_from(f"answer-noise:scale=2,law={law}").answered(answers(np.zeros(20_000), scans))
    assert stats.kstest(noise / 2, LAWS[law].cdf).pvalue > 0.01
    assert noise.std() == pytest.approx(2, rel=0.03)
    assert abs(np.corrcoef(noise, scans[:, 0])[0, 1]) < 4 / math.sqrt(len(noise))


def test_a_repeated_question_is_answered_alike_and_a_changed_one_or_another_secret_is_not() -> None:
    scans = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    defence = defence_from("answer-noise:scale=1")
    once = defence.answered(answers(np.zeros(6), scans))
    # In another order, and one by one.
    np.testing.assert_array_equal(defence.answered(answers(np.zeros(6), scans[::-1])), once[::-1])
    for scan, noise in zip(scans, once, strict=True):
        assert defence.answered(answers([0.0], scan[None])) == noise
    nudged = scans.copy()
    nudged[:, 0] = np.nextafter(nudged[:, 0], np.float32(np.inf))
    for other in (answers(np.zeros(6), nudged), answers(np.zeros(6), scans, b"another")):
        assert not np.isin(defence.answered(other), once).any()


def test_slightly_changed_questions_average_the_noise_out() -> None:
    # The page says so: k questions leave scale / sqrt(k).
    scans = np.tile(np.arange(100.0)[:, None, None], (1, 25, 1)) + 1e-3 * np.arange(25)[:, None]
    noise = defence_from("answer-noise:scale=5").answered(answers(np.zeros(2500), scans.reshape(-1, 1)))
    assert noise.reshape(100, 25).mean(axis=1).std() == pytest.approx(1, rel=0.2)


def test_no_bytes_give_an_infinite_number() -> None:
    ends = np.array([[0] * 32, [255] * 32], dtype=np.uint8)
    uniform = uniform_of(ends)
    np.testing.assert_array_equal(uniform, [2.0**-53, 1 - 2.0**-53])
    assert np.isfinite(laplace(uniform)).all() and np.isfinite(stats.norm.ppf(uniform)).all()
    np.testing.assert_allclose(laplace(uniform), LAWS["laplace"].ppf(uniform))
    assert laplace(np.array([0.5])) == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("answer-noise", "scale is missing"),
        ("answer-noise:scale=0", "scale is '0'; it must be above 0"),
        ("answer-noise:scale=inf", "scale is 'inf'"),
        ("answer-noise:scale=1,law=cauchy", "choose gaussian or laplace"),
    ],
)
def test_bad_options_are_refused(text: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        defence_from(text)
