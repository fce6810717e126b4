"""Audits that have reference models: exposure of people by linear models, added to audits of predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import ndtr

from memberscan.evidence.naming import name_members
from memberscan.evidence.person_exposure import PersonExposure, person_exposure
from memberscan.evidence.reference_power import measure_power
from memberscan.report import AuditContent, check, disclosure
from memberscan.report.outcome import PeopleFacts
from memberscan.report.published_people import person_exposure as published
from memberscan.studies.exposure import World

PEOPLE = 300


def exposure(references: int) -> tuple[PersonExposure, PeopleFacts]:
    """Return how exposed people are in linear models; for two of them there are too few references."""
    world, rng = World.of(PEOPLE, 40, heavy=True), np.random.default_rng(0)
    residuals, inside = world.references(references, 0)
    inside[:, :2] = True
    found = person_exposure(residuals, inside, world.age, rng)
    member = np.arange(PEOPLE) % 2 == 0
    nothing = np.zeros(PEOPLE)
    facts = PeopleFacts(
        member=member,
        label=world.age,
        residual=nothing,
        mean_absolute=nothing,
        mean_square=nothing,
        sex=pd.Series(rng.choice(["F", "M"], PEOPLE)),
        site=pd.Series(
            np.where(np.arange(PEOPLE) < 6, "small", np.where(rng.random(PEOPLE) < 0.3, "A", "B"))
        ),
        scans=rng.choice([1, 2, 3, 5], PEOPLE, p=[0.6, 0.2, 0.1, 0.1]),
    )
    scores = np.where(member, 3 * rng.standard_t(3, PEOPLE) ** 2, 0.0) + rng.normal(size=PEOPLE)
    power = measure_power(
        "stacking",
        lambda chosen: float(ndtr((1 - 0.5 / len(chosen)) / np.sqrt(2))) + rng.normal() / 400,
        8,
        rng,
    )
    return replace(found, named=name_members("stacking", scores, member), power=power), facts


def with_references(audit: AuditContent, references: int) -> AuditContent:
    """Return an audit with the exposure of people."""
    found, facts = exposure(references)
    content = published(found, facts, audit.disclosure.smallest_cell)
    assert content is not None
    return check(audit.model_copy(update={"person_exposure": disclosure.published(content)}).dump())
