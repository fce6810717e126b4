"""Exposure of people from what an attacker sees, and its columns in the owner's table."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memberscan.auditing.reference_results import by_person, compare_with_references
from memberscan.auditing.tables import scores_table
from memberscan.errors import MisalignedError
from memberscan.evidence import quantizer_security as quantizer_security_module
from memberscan.evidence.person_exposure import PersonExposure, person_exposure
from memberscan.evidence.quantizer_security import quantizer_security
from memberscan.evidence.scores import Scores
from memberscan.people import People
from memberscan.report.outcome import PeopleFacts
from memberscan.report.published_references import references
from memberscan.signals import PREDICTION, View
from memberscan.signals.reference_models import REFERENCE_MEMBERS, REFERENCE_PREDICTIONS
from memberscan.studies.exposure import World

PEOPLE = 60


def seen(references: int) -> tuple[Any, View, np.ndarray]:
    """Return a target of people with two scans each, what is seen of it, and residuals by person."""
    world = World.of(PEOPLE, 20)
    residuals, inside = world.references(references, 0)
    scans = pd.DataFrame(
        {
            "subject_id": np.repeat([f"P{k:02d}" for k in range(PEOPLE)], 2),
            "label": np.repeat(world.age, 2),
        },
        index=[f"scan {k}" for k in range(2 * PEOPLE)],
    )
    # Scans of a person scatter around its mean.
    apart = np.tile([1.0, -1.0], PEOPLE)
    values = {
        PREDICTION: scans["label"].to_numpy(),
        REFERENCE_PREDICTIONS: scans["label"].to_numpy() - np.repeat(residuals, 2, axis=1) + apart,
        REFERENCE_MEMBERS: np.repeat(inside, 2, axis=1),
    }
    people = People.of(scans["subject_id"])
    member = np.arange(PEOPLE) % 2 == 0
    given = SimpleNamespace(
        predictions=values[REFERENCE_PREDICTIONS], inside=values[REFERENCE_MEMBERS], recipe="linear models"
    )
    target = SimpleNamespace(
        people=people, seed=3, member=member, scans=scans, references=given, service=None
    )
    return target, View(scans, values), residuals


def exposure_of(target: Any, view: View, scores: Sequence[Scores] = ()) -> PersonExposure | None:
    errors = np.ones(PEOPLE)
    people = PeopleFacts(target.member, target.people.mean(view.label), errors, errors, errors)
    found = compare_with_references(target, view, scores, people)
    assert found is not None and found.fit.count == len(target.references.predictions)
    return found.exposure


def test_scans_of_a_person_are_averaged():
    target, view, residuals = seen(8)
    found = exposure_of(target, view)
    assert found is not None and found.named is None
    inside = view[REFERENCE_MEMBERS][:, ::2]
    again = person_exposure(residuals, inside, view.label[::2], np.random.default_rng(0))
    np.testing.assert_allclose(found.auc, again.auc)


def test_members_are_named_by_an_attack_that_learns_from_nobody():
    target, view, _ = seen(8)
    values = np.where(target.member, 5.0, 0.0) + np.random.default_rng(0).normal(size=PEOPLE)
    once = Scores.of_draws(
        "stacking", fitted=False, values=values[None], member=target.member, thresholds=np.zeros(1)
    )
    found = exposure_of(target, view, [once])
    assert found is not None and found.named is not None
    assert (found.named.attack, found.named.members) == ("stacking", 30)
    assert found.named.named[0] > 20


def test_without_references_or_with_two_there_is_none():
    target, view, _ = seen(2)
    assert exposure_of(target, view) is None
    target, view, _ = seen(8)
    assert exposure_of(target, View(view.scans, {PREDICTION: view[PREDICTION]})) is None
    target.references = None
    nobody = PeopleFacts(*[np.zeros(0)] * 5)
    assert compare_with_references(target, view, [], nobody) is None


def test_a_reference_trained_on_one_of_two_scans_is_refused():
    target, view, _ = seen(6)
    inside = view[REFERENCE_MEMBERS].copy()
    inside[4, 7] = ~inside[4, 7]
    with pytest.raises(MisalignedError, match="reference 4 was trained on some scans of a person and not"):
        by_person(view[REFERENCE_PREDICTIONS], inside, target.people)


def test_the_owners_table_has_exposure_with_its_error():
    target, view, _ = seen(8)
    found = exposure_of(target, view)
    assert found is not None
    table = scores_table(target.people.ids, target.member, [], None, found)
    assert list(table.columns) == ["member", "exposure_auc", "exposure_se"]
    assert sorted(table["exposure_auc"]) == sorted(found.auc)
    assert "exposure_auc" not in scores_table(target.people.ids, target.member, [], None)


def test_only_a_quantized_model_of_numbers_has_an_indicator_of_its_quantizer(monkeypatch):
    # About 15 of 60 people are outside of two models.
    monkeypatch.setattr(quantizer_security_module, "FEWEST", 8)
    target, view, residuals = seen(8)
    for defence, classes, expected in (
        ("quantize:bits=4", (), True),
        ("mixup+quantize:bits=ternary", (), True),
        ("quantize:bits=4", ("a", "b"), False),
        ("prune", (), False),
        (None, (), False),
    ):
        target.run, target.variable = SimpleNamespace(defence=defence), SimpleNamespace(classes=classes)
        errors = np.random.default_rng(1).normal(size=PEOPLE)
        people = PeopleFacts(target.member, target.people.mean(view.label), errors, errors, errors)
        found = compare_with_references(target, view, [], people)
        assert found is not None and (found.quantizer is not None) == expected
        if found.quantizer is not None:
            inside = np.vstack([target.member, view[REFERENCE_MEMBERS][:, ::2]])
            losses = np.vstack([errors, residuals]) ** 2
            assert found.quantizer.indicator == pytest.approx(
                quantizer_security(losses, inside, 30).indicator
            )
            shown = references(found, 0.1)
            assert shown is not None and shown.quantizer is not None
            assert shown.quantizer.indicator == round(found.quantizer.indicator, 2)
            assert shown.quantizer.low <= found.quantizer.low
        else:
            assert "quantizer" not in references(found, 0.1).dump()  # type: ignore[union-attr]
