"""Encrypted aggregation gives FedAvg's result, to nobody but the holders of the secret key."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tenseal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memberscan.errors import EncryptionError, MissingExtraError, OutputConflictError
from memberscan.federation import ckks

SHAPES = {"conv1.weight": (7, 8, 9), "conv1.bias": (7,), "age_mean": (), "feature_mean": (5000,)}
WEIGHTS = [0.5, 0.3, 0.2]
NTT_FLAG = 544  # the bit without which a ciphertext loads, and fails at its first use


def model(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "conv1.weight": rng.normal(0, 0.05, (7, 8, 9)).astype(np.float32),
        "conv1.bias": rng.normal(0, 1e-6, 7).astype(np.float32),
        "age_mean": np.float32(60.25 + seed),
        "feature_mean": rng.normal(4000, 100, 5000).astype(np.float32),
    }


def average(models: list[dict[str, np.ndarray]], weights: list[float]) -> dict[str, np.ndarray]:
    return {k: sum(w * m[k].astype(float) for w, m in zip(weights, models, strict=True)) for k in models[0]}


@pytest.fixture(scope="module")
def keys() -> tuple[bytes, bytes]:
    return ckks.make_keys()


@pytest.fixture(scope="module")
def updates(keys) -> list[list[bytes]]:
    return [ckks.encrypt(model(seed), keys[1]) for seed in range(3)]


@pytest.fixture(scope="module")
def total(keys, updates) -> list[bytes]:
    return ckks.weighted_sum(updates, WEIGHTS, keys[1])


def test_the_sum_is_that_of_plain_fedavg(keys, total):
    result = ckks.decrypt(total, SHAPES, keys[0])
    assert list(result) == list(SHAPES)
    for name, expected in average([model(s) for s in range(3)], WEIGHTS).items():
        assert result[name].shape == SHAPES[name]
        assert result[name].dtype == np.float32
        # Half a step of the grid, and half a unit in the last place of float32.
        np.testing.assert_allclose(result[name], expected, atol=2**-25 + 1e-11, rtol=2**-24)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(arrays(np.float32, (3, 2), elements=st.floats(-16000, 16000, width=32)), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_any_models_and_any_weights(keys, states, random):
    raw = [random.uniform(0.01, 1) for _ in states]
    weights = [w / sum(raw) for w in raw]
    sums = ckks.weighted_sum([ckks.encrypt({"w": s}, keys[1]) for s in states], weights, keys[1])
    expected = sum(w * s.astype(float) for w, s in zip(weights, states, strict=True))
    result = ckks.decrypt(sums, {"w": (3, 2)}, keys[0])["w"]
    np.testing.assert_allclose(result, expected, rtol=2**-24, atol=2**-25 + 1e-11)


@pytest.mark.parametrize("value", [-ckks.LIMIT + 1, ckks.LIMIT - 1])
def test_a_chunk_full_of_the_largest_values_does_not_wrap_around(keys, value):
    state = {"w": np.full(ckks.SLOTS, value, np.float32)}
    sums = ckks.weighted_sum([ckks.encrypt(state, keys[1])] * 8, [1 / 8] * 8, keys[1])
    assert np.all(ckks.decrypt(sums, {"w": (ckks.SLOTS,)}, keys[0])["w"] == value)


def test_the_chain_that_is_said_to_wrap_around_does():
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, ckks.DEGREE, coeff_mod_bit_sizes=[60, 52, 60])
    context.global_scale = ckks.SCALE
    values = (tenseal.ckks_vector(context, [4000.0] * ckks.SLOTS) * 0.5).decrypt()
    assert abs(values[0] - 2000) > 1000


def test_the_parameters_are_of_128_bit_security():
    # SEAL refuses what falls short of it.
    with pytest.raises(ValueError, match="not set correctly"):
        tenseal.context(tenseal.SCHEME_TYPE.CKKS, ckks.DEGREE, coeff_mod_bit_sizes=[60, 60, 60, 39])
    assert sum(ckks.PRIMES) < 60 + 60 + 60 + 39


def test_decrypted_values_show_no_noise(keys, total):
    flat = np.concatenate([a.ravel() for a in ckks.decrypt(total, SHAPES, keys[0]).values()]).astype(float)
    assert np.array_equal(flat * 2**24, np.round(flat * 2**24))


@pytest.mark.parametrize("learners", [2, 3, 8])
def test_rounding_does_not_show_the_sign_of_the_noise(keys, learners):
    rng = np.random.default_rng(learners)
    # Magnitudes at which float32 has the steps that decrypted values are rounded to.
    models = rng.uniform(0.5, 1, (learners, ckks.SLOTS)).astype(np.float32)
    exact = models.astype(float).mean(axis=0)
    updates = [ckks.encrypt({"w": model}, keys[0]) for model in models]
    sums = ckks.weighted_sum(updates, [1 / learners] * learners, keys[1])
    found = ckks.decrypt(sums, {"w": (ckks.SLOTS,)}, keys[0])["w"].astype(float) * 2**24
    fraction = exact * 2**24 % 1
    assert abs(fraction - ckks._EDGE).min() > 1e-4
    assert (fraction == 0.5).mean() > (0.4 if learners == 2 else 0.05 if learners == 8 else -1)
    # What the exact average alone decides holds nothing of the noise.
    assert np.array_equal(found, np.floor(exact * 2**24) + (fraction > ckks._EDGE))


def test_tensors_are_taken_as_they_come(keys):
    layer = torch.nn.Linear(3, 2)
    sums = ckks.weighted_sum([ckks.encrypt(layer.state_dict(), keys[0])], [1.0], keys[1])
    result = ckks.decrypt(sums, {k: tuple(v.shape) for k, v in layer.state_dict().items()}, keys[0])
    assert all(np.abs(result[k] - v.numpy()).max() < 1e-7 for k, v in layer.state_dict().items())


def test_two_encryptions_of_one_model_differ(keys, updates):
    again = ckks.encrypt(model(0), keys[1])
    assert all(a != b for a, b in zip(again, updates[0], strict=True))


def test_the_papers_network_takes_720_ciphertexts():
    assert ckks.ciphertext_count(2_948_801) == 720
    assert [ckks.ciphertext_count(n) for n in (0, 1, 4096, 4097)] == [0, 1, 1, 2]


def test_the_public_key_holds_no_secret_and_does_not_decrypt(keys, total):
    context = tenseal.context_from(keys[1])
    assert not context.has_secret_key()
    with pytest.raises(ValueError, match="secret_key"):
        tenseal.ckks_vector_from(context, total[0]).decrypt()
    with pytest.raises(EncryptionError, match=r"cannot decrypt.*secret\.ckks"):
        ckks.decrypt(total, SHAPES, keys[1])


def test_another_federations_key_is_told(total):
    with pytest.raises(EncryptionError, match="ciphertext 0 of the sum was encrypted with another key"):
        ckks.decrypt(total, SHAPES, ckks.make_keys()[0])


def test_a_model_of_one_value_is_enough_to_tell_another_key(keys):
    sums = ckks.weighted_sum([ckks.encrypt({"w": np.float32(1)}, keys[1])], [1.0], keys[1])
    with pytest.raises(EncryptionError, match="another key"):
        ckks.decrypt(sums, {"w": ()}, ckks.make_keys()[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -ckks.LIMIT, 1e30])
def test_values_that_no_ciphertext_holds_are_refused(keys, value):
    with pytest.raises(EncryptionError, match=r"fc\.bias has values"):
        ckks.encrypt({"fc.bias": np.array([0, value], np.float32)}, keys[1])


def test_other_types_than_float32_are_refused(keys):
    with pytest.raises(EncryptionError, match="steps is int64"):
        ckks.encrypt({"steps": torch.tensor(3)}, keys[1])


@pytest.mark.parametrize("weights", [[0.5, 0.5], [1, 0, 0], [2, 2, 1], [np.nan, 0.5, 0.5], [-0.5, 0.5, 0.5]])
def test_weights_that_could_overflow_are_refused(keys, updates, weights):
    with pytest.raises(EncryptionError, match="divide the numbers of samples by their sum"):
        ckks.weighted_sum(updates, weights, keys[1])


def test_updates_of_different_models_are_refused(keys, updates):
    with pytest.raises(EncryptionError, match=r"updates have \[1, 2\] ciphertexts"):
        ckks.weighted_sum([updates[0], updates[1][:1]], [0.5, 0.5], keys[1])


def test_too_few_ciphertexts_are_refused(keys, updates, total):
    with pytest.raises(
        EncryptionError, match="1 ciphertexts do not make a model of 5,512 parameters, which takes 2"
    ):
        ckks.decrypt(total[:1], SHAPES, keys[0])
    with pytest.raises(EncryptionError, match="which takes 3"):
        ckks.check_update(updates[0], 9000, keys[1])


def test_a_sound_update_passes(keys, updates):
    ckks.check_update(updates[0], 5512, keys[1])


def foreign(scale: float, chain: list[int]) -> bytes:
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, ckks.DEGREE, coeff_mod_bit_sizes=chain)
    context.global_scale = scale
    return tenseal.ckks_vector(context, [1.0] * ckks.SLOTS).serialize()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"not a ciphertext",
        lambda data: foreign(2.0**40, list(ckks.PRIMES)),
        lambda data: foreign(ckks.SCALE, [60, 52, 60]),
    ],
    ids=["one byte short", "half", "empty", "text", "another scale", "another chain"],
)
def test_damaged_and_foreign_ciphertexts_are_named(keys, updates, total, damage):
    bad = [updates[1][0], damage(updates[1][1])]
    with pytest.raises(EncryptionError, match="ciphertext 1 of the update"):
        ckks.check_update(bad, 5512, keys[1])
    with pytest.raises(EncryptionError, match="ciphertext 1 of update 1"):
        ckks.weighted_sum([updates[0], bad], [0.5, 0.5], keys[1])
    with pytest.raises(EncryptionError, match="ciphertext 0 of the sum"):
        ckks.decrypt([damage(total[0]), total[1]], SHAPES, keys[0])


def test_an_update_is_no_sum_and_a_sum_no_update(keys, updates, total):
    with pytest.raises(EncryptionError, match="another length or scale"):
        ckks.decrypt(updates[0], SHAPES, keys[0])
    with pytest.raises(EncryptionError, match="another length or scale"):
        ckks.weighted_sum([total], [1.0], keys[1])


def passes_or_is_refused(changed: bytes, total: list[bytes], keys: tuple[bytes, bytes]) -> None:
    try:
        result = ckks.decrypt([changed, total[1]], SHAPES, keys[0])
    except EncryptionError:
        return
    expected = ckks.decrypt(total, SHAPES, keys[0])
    assert all(np.array_equal(result[name], expected[name]) for name in SHAPES)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_never_passes_for_another_model(keys, total, data):
    passes_or_is_refused(flipped(total[0], data.draw(st.integers(0, 8 * len(total[0]) - 1))), total, keys)


def test_no_flipped_bit_of_a_header_does_either(keys, updates, total):
    for bit in [*range(0, 8 * 120, 12), NTT_FLAG]:
        passes_or_is_refused(flipped(total[0], bit), total, keys)
        try:
            ckks.weighted_sum([[flipped(updates[0][0], bit)]], [1.0], keys[1])
        except EncryptionError:
            continue


def test_damaged_and_foreign_keys_are_refused(keys):
    other = tenseal.context(tenseal.SCHEME_TYPE.CKKS, ckks.DEGREE, coeff_mod_bit_sizes=[60, 40, 60])
    other.global_scale = 2.0**40
    integers = tenseal.context(tenseal.SCHEME_TYPE.BFV, ckks.DEGREE, 1032193)
    for key in (b"", b"no key", keys[1][:1000], integers.serialize()):
        with pytest.raises(EncryptionError, match="the key is damaged or not a CKKS key"):
            ckks.encrypt(model(0), key)
    with pytest.raises(EncryptionError, match="memberscan federation keys"):
        ckks.encrypt(model(0), other.serialize())


def test_key_files_are_private_and_never_overwritten(tmp_path: Path):
    secret, public = ckks.write_keys(tmp_path / "new" / "keys")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644
    assert tenseal.context_from(secret.read_bytes()).has_secret_key()
    assert not tenseal.context_from(public.read_bytes()).has_secret_key()
    before = secret.read_bytes()
    with pytest.raises(OutputConflictError, match=re.escape(str(secret))):
        ckks.write_keys(secret.parent)
    assert secret.read_bytes() == before


def test_a_missing_tenseal_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'memberscan[he]'")):
        ckks.make_keys()
