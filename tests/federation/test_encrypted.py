from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from flwr.app import Context, Message

from memberscan.errors import EncryptionError, FederationError, TranscriptError
from memberscan.federation import ckks
from memberscan.federation.client import regressor
from memberscan.runs.transcript import SEEN_BY_LEARNERS, Transcript

from .consortium import App, Consortium, Killed, answering, asked, contents, settings, stop

ENCRYPTED = settings(rounds=2, secure="ckks")


@pytest.fixture(scope="module")
def keys() -> tuple[bytes, bytes]:
    return ckks.make_keys()


@pytest.fixture(scope="module")
def plain(three: Consortium, tmp_path_factory: pytest.TempPathFactory) -> Transcript:
    return three.federate(tmp_path_factory.mktemp("plain") / "rounds", settings(rounds=2))


@pytest.fixture(scope="module")
def encrypted(
    three: Consortium, keys: tuple[bytes, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Transcript:
    return three.federate(tmp_path_factory.mktemp("encrypted") / "rounds", ENCRYPTED, keys=keys)


def assert_close(found: Transcript, expected: Transcript) -> None:
    for number in range(len(expected.rounds) + 1):
        model = expected.global_model(number)
        its = found.global_model(number)
        assert its.keys() == model.keys()
        for name, values in model.items():
            torch.testing.assert_close(its[name], values, rtol=0, atol=1e-4)


def test_every_weight_is_that_of_plain_averaging(encrypted: Transcript, plain: Transcript) -> None:
    assert_close(encrypted, plain)
    for its, other in zip(encrypted.rounds, plain.rounds, strict=True):
        assert list(its.took_part) == list(other.took_part)
        assert [p.samples for p in its.took_part.values()] == [p.samples for p in other.took_part.values()]


def test_the_servers_folders_hold_no_model_in_the_clear(encrypted: Transcript, plain: Transcript) -> None:
    files = {p.relative_to(encrypted.path).as_posix() for p in encrypted.path.rglob("*") if p.is_file()}
    seen = {f"{SEEN_BY_LEARNERS}/{n:04d}.safetensors" for n in range(3)}
    described = {f"{n:04d}/round.json" for n in range(3)}
    assert files == seen | described | {"transcript.json", "0002/ciphertext.safetensors"}
    stored = (encrypted.path / "0002" / "ciphertext.safetensors").read_bytes()
    for model in (encrypted.global_model(2), plain.global_model(2), plain.learner_model(2, "learner-1")):
        for values in model.values():
            if values.numel() > 4:
                assert values.numpy().tobytes() not in stored


def test_the_servers_key_opens_nothing(encrypted: Transcript, keys: tuple[bytes, bytes]) -> None:
    stored = encrypted.ciphertext(2)
    chunks = [stored[name].numpy().tobytes() for name in sorted(stored)]
    shapes = {k: tuple(v.shape) for k, v in regressor(ENCRYPTED, (7,)).state_dict().items()}
    with pytest.raises(EncryptionError, match="cannot decrypt"):
        ckks.decrypt(chunks, shapes, keys[1])
    opened = ckks.decrypt(chunks, shapes, keys[0])
    for name, values in encrypted.global_model(2).items():
        assert torch.equal(torch.from_numpy(opened[name]), values)


def test_the_transcript_says_who_saw_what(encrypted: Transcript) -> None:
    assert encrypted.secure == "ckks"
    for its in encrypted.rounds:
        assert list(its.digests) == ["global"]
        with pytest.raises(TranscriptError, match="its model was encrypted"):
            encrypted.learner_model(its.number, "learner-1")
    with pytest.raises(TranscriptError, match=r"ciphertexts of round 1 .* are missing"):
        encrypted.ciphertext(1)


def test_a_changed_global_model_is_told(three: Consortium, keys: tuple[bytes, bytes], tmp_path: Path) -> None:
    transcript = three.federate(tmp_path, settings(rounds=1, secure="ckks"), keys=keys)
    seen = tmp_path / SEEN_BY_LEARNERS / "0001.safetensors"
    seen.write_bytes(seen.read_bytes()[:-1] + b"\x01")
    with pytest.raises(TranscriptError, match="truncated or has changed"):
        transcript.global_model(1)


def test_the_server_is_sent_nothing_in_the_clear(
    three: Consortium, keys: tuple[bytes, bytes], tmp_path: Path
) -> None:
    sent: set[tuple[str, ...]] = set()

    def around(app: App) -> App:
        def noted(message: Message, context: Context) -> Message:
            reply = app(message, context)
            sent.add((asked(message)[0], *sorted(reply.content)))
            return reply

        return noted

    three.federate(tmp_path, settings(rounds=1, secure="ckks"), around=around, keys=keys)
    assert sent == {
        ("query.introduce", "ciphertexts", "facts"),
        ("query.start", "ciphertexts"),
        ("train", "ciphertexts", "facts"),
        ("query.keep", "facts"),
    }


@pytest.mark.parametrize(
    ("kind", "number"), [("query.start", 0), ("query.keep", 0), ("train", 1), ("query.keep", 1), ("train", 2)]
)
def test_an_interrupted_one_goes_on(
    three: Consortium, plain: Transcript, keys: tuple[bytes, bytes], tmp_path: Path, kind: str, number: int
) -> None:
    with pytest.raises(Killed):
        three.federate(
            tmp_path, ENCRYPTED, around=answering(stop, kind=kind, number=number, place=0), keys=keys
        )
    finished = contents(tmp_path)
    transcript = three.federate(tmp_path, ENCRYPTED, keys=keys)
    assert_close(transcript, plain)
    after = contents(tmp_path)
    for name, data in finished.items():
        assert name.endswith("ciphertext.safetensors") or SEEN_BY_LEARNERS in name or after[name] == data


def fail(reply: Message) -> None:
    raise OSError("no space")


def spoil(reply: Message) -> None:
    reply.content["ciphertexts"]["ciphertexts"] = [b"spoilt"]


def shorten(reply: Message) -> None:
    reply.content["ciphertexts"]["ciphertexts"] = []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (fail, "failed (OSError)"),
        (spoil, "ciphertext 0 of the update is damaged"),
        (shorten, "0 ciphertexts do not"),
    ],
)
def test_a_learner_whose_ciphertexts_do_not_fit_is_left_out(
    three: Consortium,
    keys: tuple[bytes, bytes],
    tmp_path: Path,
    change: Callable[[Message], None],
    reason: str,
) -> None:
    transcript = three.federate(tmp_path, ENCRYPTED, around=answering(change), keys=keys)
    first, second = transcript.rounds
    assert not first.left_out
    assert reason in second.left_out["learner-2"]
    assert list(second.took_part) == ["learner-1", "learner-3"]


@pytest.mark.parametrize(("kind", "number"), [("query.start", 0), ("query.keep", 1)])
def test_another_learner_does_what_the_first_one_cannot(
    three: Consortium, plain: Transcript, keys: tuple[bytes, bytes], tmp_path: Path, kind: str, number: int
) -> None:
    around = answering(fail, kind=kind, number=number, place=0)
    assert_close(three.federate(tmp_path, ENCRYPTED, around=around, keys=keys), plain)


def test_when_no_learner_can_decrypt_it_says_why(
    three: Consortium, keys: tuple[bytes, bytes], tmp_path: Path
) -> None:
    def around(app: App) -> App:
        for place in range(3):
            app = answering(fail, kind="query.keep", number=1, place=place)(app)
        return app

    with pytest.raises(FederationError, match=r"learner-3 failed .OSError: no space"):
        three.federate(tmp_path, ENCRYPTED, around=around, keys=keys)
    assert len(Transcript.open(tmp_path).rounds) == 0
    three.federate(tmp_path, ENCRYPTED, keys=keys)


def test_learners_without_a_key_take_no_part(three: Consortium, tmp_path: Path) -> None:
    with pytest.raises(FederationError, match=r"learner learner-\d has no key for decryption"):
        three.federate(tmp_path, ENCRYPTED)


def test_a_server_without_its_key_says_so(
    three: Consortium, keys: tuple[bytes, bytes], tmp_path: Path
) -> None:
    with pytest.raises(FederationError, match="public key"):
        three.federate(tmp_path, ENCRYPTED, keys=(keys[0], None))  # type: ignore[arg-type]
