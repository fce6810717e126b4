"""What defences that change answers have in common: their input and order, and where they are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from memberscan.cohort import Cohort
from memberscan.defences import DEFENCES, allow_own, answering, defence_from, own, strengths
from memberscan.defences.answers import AnswerDefence, digests_of
from memberscan.defences.defence import Defence
from memberscan.errors import BadInputError, ModelError
from memberscan.models import MLP

from .lab import answers, federated, go

EVERY = [
    text
    for text in (strengths(name)[0] for name in DEFENCES)
    if isinstance(defence_from(text), AnswerDefence)
]
every_defence = pytest.mark.parametrize("text", EVERY)


def test_a_digest_is_that_of_the_numbers_of_one_input() -> None:
    inputs = np.random.default_rng(0).normal(size=(3, 2, 4))
    expected = [hashlib.sha256(np.array(x, "<f4").tobytes()).digest() for x in inputs]
    # The order in memory does not matter.
    for same in (inputs, inputs.astype(np.float32), np.asfortranarray(inputs)):
        assert [bytes(row) for row in digests_of(same)] == expected


def test_several_change_answers_in_their_order() -> None:
    values = [10.0, 58.7, 91.0]
    assert defence_from("round:step=4+clip:low=55,high=65").answered(answers(values)).tolist() == [55, 60, 65]
    assert defence_from("clip:low=55,high=65+round:step=4").answered(answers(values)).tolist() == [56, 60, 64]
    # Defences of the training change no answer.
    assert defence_from("prune+round:step=4").answered(answers(values)).tolist() == [8, 60, 92]
    said = defence_from("prune+round:step=4+clip:low=55,high=65").changes_answers()
    assert (
        said
        == "Every answer is rounded to a multiple of 4. Every answer is limited to the range from 55 to 65."
    )


def test_two_that_draw_noise_draw_it_independently() -> None:
    zeros = answers(np.zeros(4000))
    noise = defence_from("answer-noise:scale=3+answer-noise:scale=4").answered(zeros)
    # Equal draws would add up to 7, and these to 5.
    assert noise.std() == pytest.approx(5, rel=0.05)


def test_only_what_changes_answers_is_found_in_a_text() -> None:
    assert answering(None) is None and answering("prune+mixup") is None
    found = answering("mixup+round:step=1.0+prune+clip:low=1.0,high=2.0")
    assert found is not None and found[0] == "round:step=1.0+clip:low=1.0,high=2.0"
    assert found[1].answered(answers([0.0, 9.0])).tolist() == [1, 2]
    # A run of a later version may name what this one does not know.
    assert answering("gloves:size=3") is None


def test_a_class_of_ones_own_counts_only_if_the_user_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab_of_answers.py").write_text(
        "from memberscan.defences.defence import Defence\n\n\nclass Zero(Defence):\n"
        "    def answered(self, answers):\n        return 0 * answers.values\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(own, "_allowed", set())
    assert answering("lab_of_answers:Zero") is None
    allow_own("lab_of_answers:Zero")
    found = answering("lab_of_answers:Zero")
    assert found is not None and found[1].answered(answers([3.0])) == 0
    assert found[1].changes_answers() == "Every answer is changed."


@every_defence
def test_the_model_is_trained_as_without_it(text: str, table: Cohort, tmp_path: Path) -> None:
    plain, changed = (
        go(table, tmp_path / str(place), defence, validation=0.2)
        for place, defence in enumerate((None, text))
    )
    assert changed.weights_fingerprint == plain.weights_fingerprint
    assert changed.defence is not None and changed.guarantee is None


@every_defence
def test_classes_and_federations_are_refused(text: str, table: Cohort, tmp_path: Path) -> None:
    defence = defence_from(text)
    with pytest.raises(
        ModelError, match="changes answers that are numbers, but the target 'sex' has classes"
    ):
        defence.require(MLP((7,), head="classes"), table.with_target("sex"))
    defence.require(MLP((7,)), table)
    with pytest.raises(BadInputError, match="every learner of a federation holds the weights"):
        federated(table, tmp_path / "run", text)
    assert not (tmp_path / "run").exists()


def test_by_default_answers_are_the_predictions() -> None:
    assert Defence().answered(answers([1.5, 2.5])).tolist() == [1.5, 2.5]
