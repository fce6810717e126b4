"""What an audit says that the weights add, to outputs alone and to outputs and references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memberscan import ThreatModel, TrainingConfig, audit, collect_references, plan_references, train
from memberscan.auditing.result import AuditResult
from memberscan.cohort import Cohort
from memberscan.report import check
from memberscan.report.content.finding_json import Gain
from memberscan.report.content.parts import Estimate
from memberscan.report.outcome import WITH_WEIGHTS
from memberscan.report.sections.reference_models import added
from memberscan.threat import Access

OF_OUTPUTS = ("prediction+label", "stacking")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[Access, AuditResult]:
    """Audits of a small perceptron with two references, with its outputs and with its weights."""
    folder, rng = tmp_path_factory.mktemp("gains"), np.random.default_rng(0)
    age = rng.uniform(45, 80, 60).round(1)
    table = pd.DataFrame(rng.normal(size=(60, 6)), columns=[f"m {k}" for k in range(6)])
    table["m 0"] += (age - 62) / 10
    table.assign(id=[f"P{k:03d}" for k in range(60)], age=age).to_csv(folder / "table.csv", index=False)
    cohort = Cohort.from_table(folder / "table.csv", folder / "cohort", subject="id", age="age")
    run = train(cohort, folder / "run", model="mlp", config=TrainingConfig(epochs=4, device="cpu"), seed=1)
    plan = plan_references(run.path, folder / "references", count=2)
    (folder / "references" / "returned").mkdir()
    for k, inside in enumerate(plan.inside):
        residual = 4 * rng.normal(size=60) * np.where(inside, 1, 1.5)
        rows = pd.DataFrame({"subject_id": list(plan.subjects), "prediction": age - residual})
        rows.to_csv(folder / "references" / "returned" / f"reference-{k + 1:03d}.tsv", sep="\t", index=False)
    collect_references(folder / "references", [])
    return {
        access: audit(
            run.path,
            attacks=[*OF_OUTPUTS, *more],
            references=folder / "references",
            threat=ThreatModel(access, repeats=1),
        )
        for access, more in ((Access.OUTPUTS, ()), (Access.WEIGHTS, ("activation", "gradient-magnitude")))
    }


def test_what_weights_add_to_references_is_told_where_weights_are_seen(
    results: dict[Access, AuditResult],
) -> None:
    assert not results[Access.OUTPUTS].content["gains"]
    gains = {gain["attack"]: gain for gain in results[Access.WEIGHTS].content["gains"]}
    assert gains[WITH_WEIGHTS]["over"] == "stacking"
    assert {gain["over"] for name, gain in gains.items() if name != WITH_WEIGHTS} == {"prediction+label"}
    found = gains[WITH_WEIGHTS]["difference"]
    assert found["low"] <= found["value"] <= found["high"]
    # It is a comparison, and not one more attack that would widen the bounds of all.
    assert WITH_WEIGHTS not in {finding["attack"] for finding in results[Access.WEIGHTS].content["findings"]}


def test_the_report_says_so_in_a_sentence(results: dict[Access, AuditResult], tmp_path: Path) -> None:
    content = check(dict(results[Access.WEIGHTS].content))
    results[Access.WEIGHTS].save(tmp_path / "audit")
    page = (tmp_path / "audit" / "audit.html").read_text("utf-8")
    (gain,) = (gain for gain in content.gains if gain.attack == WITH_WEIGHTS)
    assert added(gain) in page


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-0.01, 0.03, "No gain is shown"), (0.01, 0.05, "say more"), (-0.05, -0.01, "costs more")],
)
def test_its_conclusion_follows_from_the_interval(low: float, high: float, said: str) -> None:
    estimate = Estimate(value=(low + high) / 2, low=low, high=high)
    assert said in added(Gain(attack=WITH_WEIGHTS, over="stacking", difference=estimate))
